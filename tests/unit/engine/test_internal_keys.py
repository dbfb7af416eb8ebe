"""No operation of a client reaches an internal key, whatever name it uses."""

import pytest

from deltaglider_proxy.engine import errors, names
from deltaglider_proxy.engine.model import Attributes, CompletedPart
from tests.support.engine.bodies import MEDIUM, body, edited, noise
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place

BASE = noise(1, MEDIUM)


async def inhabited(place: Place) -> Node:
    """A process over a bucket with internal keys of every kind."""
    node = place.process()
    await node.put("a-1.bin", BASE, tags={"t": "1"})
    await node.quiet()
    await node.put("a-2.bin", edited(BASE, 1), {"large": "x" * 4000})
    await node.quiet()
    await node.put("c-1.bin", BASE)
    await node.quiet()
    upload = await node.engine.create_upload(BUCKET, "m", Attributes(), None, None)
    await node.engine.put_part(BUCKET, "m", upload, 1, body(b"part"))
    await node.engine.delete(BUCKET, "a-1.bin")
    found = await place.keys(names.INTERNAL)
    for kind in (names.REFERENCES, names.FIRSTS, names.PARTS, names.UPLOADS, names.SIDES, names.TAGS):
        assert any(key.startswith(kind) for key in found), kind
    return node


async def test_they_can_neither_be_read_nor_changed_nor_copied(place: Place) -> None:
    node = await inhabited(place)
    internal = await place.keys(names.INTERNAL)
    before = {key: (await place.memory.head(BUCKET, key)).etag for key in internal}
    for key in internal:
        with pytest.raises(errors.NoSuchKey):
            await node.engine.head(BUCKET, key)
        with pytest.raises(errors.NoSuchKey):
            await node.engine.open(BUCKET, key)
        with pytest.raises(errors.NoSuchKey):
            await node.engine.copy((BUCKET, key), (BUCKET, "copy"), None)
        with pytest.raises(errors.NoSuchKey):
            await node.engine.get_tags(BUCKET, key)
        with pytest.raises(errors.NoSuchKey):
            await node.engine.set_tags(BUCKET, key, {"t": "2"})
        assert not await node.engine.delete(BUCKET, key)
        await node.put(key, b"mine")
        assert await node.read(key) == b"mine"
        await node.engine.copy((BUCKET, key), (BUCKET, key + "x"), None)
        assert await node.engine.delete(BUCKET, key)
        assert await node.engine.delete(BUCKET, key + "x")
    await node.quiet()
    assert {key: (await place.memory.head(BUCKET, key)).etag for key in internal} == before


async def test_they_are_not_listed(place: Place) -> None:
    node = await inhabited(place)
    for prefix in ("", ".", ".deltaglider/", names.INTERNAL, names.REFERENCES, ".deltaglider/~"):
        for delimiter in ("", "/"):
            page = await node.engine.list(BUCKET, prefix, "", 1000, delimiter)
            assert [e for e in page.entries if not isinstance(e, str)] == (
                [await node.engine.head(BUCKET, key) for key in ("a-2.bin", "c-1.bin")] if not prefix else []
            ) or not prefix
            assert not [e for e in page.entries if isinstance(e, str)]


async def test_an_upload_to_such_a_name_is_the_clients_own(place: Place) -> None:
    node = await inhabited(place)
    (reference,) = await place.references()
    upload = await node.engine.create_upload(BUCKET, reference, Attributes(), None, None)
    part = await node.engine.put_part(BUCKET, reference, upload, 1, body(b"mine"))
    await node.engine.complete_upload(BUCKET, reference, upload, [CompletedPart(1, part.etag)])
    assert await node.read(reference) == b"mine"
    assert await node.read("a-2.bin") == edited(BASE, 1)


@pytest.mark.parametrize("upload_id", ["", "..", "../refs/x", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "/"])
async def test_an_upload_id_cannot_lead_elsewhere(place: Place, upload_id: str) -> None:
    node = await inhabited(place)
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.put_part(BUCKET, "m", upload_id, 1, body(b"x"))
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.abort_upload(BUCKET, "m", upload_id)
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.complete_upload(BUCKET, "m", upload_id, [])
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.list_parts(BUCKET, "m", upload_id)


async def test_an_upload_belongs_to_its_key(place: Place) -> None:
    node = await inhabited(place)
    (upload,) = (await node.engine.list_uploads(BUCKET, "", "", "", 10, "")).entries
    assert not isinstance(upload, str)
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.put_part(BUCKET, "another", upload.upload_id, 1, body(b"x"))
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.abort_upload(BUCKET, "another", upload.upload_id)


async def test_internal_keys_do_not_keep_a_bucket(place: Place) -> None:
    node = await inhabited(place)
    for key in ("a-2.bin", "c-1.bin"):
        await node.engine.delete(BUCKET, key)
    await node.engine.delete_bucket(BUCKET)
    with pytest.raises(errors.NoSuchBucket):
        await node.engine.head_bucket(BUCKET)


async def test_a_client_key_with_such_a_name_keeps_a_bucket(place: Place) -> None:
    node = place.process()
    await node.put(".deltaglider/v1/refs/x", b"mine")
    with pytest.raises(errors.BucketNotEmpty) as refused:
        await node.engine.delete_bucket(BUCKET)
    assert refused.value.key == ".deltaglider/v1/refs/x"
