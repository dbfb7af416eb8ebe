"""Multipart uploads: parts that are deltas and parts that are not, joined, replaced, copied, listed."""

import asyncio
import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.engine import errors, multipart, names
from deltaglider_proxy.engine.model import Attributes, BucketPolicy, CompletedPart, Kind, ObjectInfo, UploadInfo
from tests.support.engine.bodies import MEDIUM, body, edited, noise
from tests.support.engine.nodes import BUCKET, GRACE, Node
from tests.support.engine.place import Place

BASE = noise(1, MEDIUM)
ALIKE = edited(BASE, 2)
OTHER = noise(3, 9_000)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MIN_PART", 1000)


async def with_reference(place: Place) -> Node:
    node = place.process()
    await node.put("a-1.bin", BASE)
    await node.quiet()
    await node.put("a-2.bin", edited(BASE, 1))
    await node.quiet()
    return node


async def upload(node: Node, key: str, *pieces: bytes) -> tuple[str, list[CompletedPart]]:
    upload_id = await node.engine.create_upload(BUCKET, key, Attributes({"content-type": "a/b"}), None, None)
    named = []
    for number, piece in enumerate(pieces, 1):
        part = await node.engine.put_part(BUCKET, key, upload_id, number, body(piece))
        assert part.etag == hashlib.md5(piece).hexdigest()
        named.append(CompletedPart(number, part.etag))
    return upload_id, named


def etag_of(*pieces: bytes) -> str:
    joined = b"".join(hashlib.md5(piece).digest() for piece in pieces)
    return f"{hashlib.md5(joined).hexdigest()}-{len(pieces)}"


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ((ALIKE,), Kind.DELTA),
        ((ALIKE, ALIKE), Kind.DELTA),
        ((ALIKE, OTHER), Kind.DELTA),
        ((OTHER, ALIKE), Kind.DELTA),
        ((OTHER, noise(4, 200_000), ALIKE), Kind.IDENTITY),
        ((OTHER,), Kind.IDENTITY),
        ((OTHER, b"end"), Kind.IDENTITY),
        ((BASE, BASE[:5000], b"end"), Kind.DELTA),
        ((b"",), Kind.IDENTITY),
    ],
)
async def test_parts_become_the_object(place: Place, pieces: tuple[bytes, ...], kind: Kind) -> None:
    node = await with_reference(place)
    upload_id, named = await upload(node, "a-3.bin", *pieces)
    info = await node.engine.complete_upload(BUCKET, "a-3.bin", upload_id, named)
    await node.quiet()
    assert (info.kind, info.etag, info.size) == (kind, etag_of(*pieces), sum(map(len, pieces)))
    reader = place.process()
    head = await reader.engine.head(BUCKET, "a-3.bin")
    assert (head.etag, head.part_sizes, dict(head.headers)) == (
        info.etag,
        tuple(map(len, pieces)),
        {"content-type": "a/b"},
    )
    whole = b"".join(pieces)
    assert await reader.read("a-3.bin") == whole
    assert await reader.read("a-3.bin", len(whole) // 3, len(whole) // 2) == whole[len(whole) // 3 : len(whole) // 2]
    assert not await place.keys(names.PARTS)
    assert not await place.keys(names.UPLOADS)


async def test_completing_again_says_the_same_until_the_object_is_another(place: Place) -> None:
    node = await with_reference(place)
    upload_id, named = await upload(node, "a-3.bin", ALIKE)
    first = await node.engine.complete_upload(BUCKET, "a-3.bin", upload_id, named)
    again = await place.process().engine.complete_upload(BUCKET, "a-3.bin", upload_id, named)
    assert (again.etag, again.size, again.modified) == (first.etag, first.size, first.modified)
    await node.quiet()
    await node.put("a-3.bin", OTHER)
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.complete_upload(BUCKET, "a-3.bin", upload_id, named)
    assert await node.read("a-3.bin") == OTHER


async def test_parts_on_a_condemned_reference_are_stored_anew(place: Place) -> None:
    node = await with_reference(place)
    upload_id, named = await upload(node, "a-3.bin", ALIKE, OTHER)
    for key in ("a-1.bin", "a-2.bin"):
        await node.engine.delete(BUCKET, key)
    parts, place.memory._buckets[BUCKET].objects = place.memory._buckets[BUCKET].objects, {}
    place.memory._buckets[BUCKET].objects.update({k: v for k, v in parts.items() if not k.startswith(names.PARTS)})
    await node.engine.collector.collect(BUCKET)
    place.memory._buckets[BUCKET].objects.update(parts)
    info = await node.engine.complete_upload(BUCKET, "a-3.bin", upload_id, named)
    assert (info.kind, info.etag) == (Kind.IDENTITY, etag_of(ALIKE, OTHER))
    await node.quiet()
    place.clock.advance(GRACE)
    await node.engine.collector.collect(BUCKET)
    assert not await place.references()
    assert await place.process().read("a-3.bin") == ALIKE + OTHER


async def test_a_part_is_replaced_by_its_successor(place: Place) -> None:
    node = await with_reference(place)
    upload_id, named = await upload(node, "a-3.bin", OTHER)
    part = await node.engine.put_part(BUCKET, "a-3.bin", upload_id, 1, body(ALIKE))
    assert len(await place.keys(names.PARTS)) == 1
    with pytest.raises(errors.InvalidPart):
        await node.engine.complete_upload(BUCKET, "a-3.bin", upload_id, named)
    await node.engine.complete_upload(BUCKET, "a-3.bin", upload_id, [CompletedPart(1, part.etag)])
    assert await node.read("a-3.bin") == ALIKE


async def test_a_condition_that_fails_leaves_the_upload_open(place: Place) -> None:
    node = await with_reference(place)
    upload_id, named = await upload(node, "a-2.bin", OTHER)

    def absent(found: ObjectInfo | None) -> None:
        if found is not None:
            raise errors.PreconditionFailed

    with pytest.raises(errors.PreconditionFailed):
        await node.engine.complete_upload(BUCKET, "a-2.bin", upload_id, named, absent)
    assert await node.read("a-2.bin") == edited(BASE, 1)
    await node.engine.delete(BUCKET, "a-2.bin")
    await node.engine.complete_upload(BUCKET, "a-2.bin", upload_id, named, absent)
    assert await node.read("a-2.bin") == OTHER


async def test_an_aborted_upload_leaves_nothing(place: Place) -> None:
    node = place.process(policies={BUCKET: BucketPolicy(compression=False)})
    upload_id, named = await upload(node, "k", OTHER, ALIKE)
    await node.engine.abort_upload(BUCKET, "k", upload_id)
    assert await place.keys() == []
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.complete_upload(BUCKET, "k", upload_id, named)
    with pytest.raises(errors.NoSuchUpload):
        await node.engine.put_part(BUCKET, "k", upload_id, 1, body(b"x"))


@settings(max_examples=60, deadline=None)
@given(
    wanted=st.lists(st.sampled_from(["a", "a/b", "a/c", "b", "b/", ".deltaglider/v1/x"]), max_size=8),
    prefix=st.sampled_from(["", "a", "a/", "b", "."]),
    delimiter=st.sampled_from(["", "/"]),
    limit=st.integers(1, 4),
)
def test_pages_of_uploads_add_up(wanted: list[str], prefix: str, delimiter: str, limit: int) -> None:
    async def check(directory: str) -> None:
        place = Place(Path(directory))
        await place.begin()
        node = place.process()
        made = []
        for key in wanted:
            made.append((key, await node.engine.create_upload(BUCKET, key, Attributes(), None, None)))
            place.clock.advance(1)
        expected: list[tuple[str, str] | str] = []
        for key, upload_id in sorted(made, key=lambda m: m[0].encode()):
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = (key, upload_id) if cut < 0 else key[: cut + 1]
            if key.startswith(prefix) and entry not in expected:
                expected.append(entry)
        found: list[tuple[str, str] | str] = []
        after_key = after_upload = ""
        while True:
            page = await node.engine.list_uploads(BUCKET, prefix, after_key, after_upload, limit, delimiter)
            found += [(e.key, e.upload_id) if isinstance(e, UploadInfo) else e for e in page.entries]
            if not page.truncated:
                break
            last = found[-1]
            after_key, after_upload = (last, "") if isinstance(last, str) else last
        assert found == expected
        await place.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(check(directory))


async def test_a_condition_that_fails_is_told_as_such(place: Place) -> None:
    """A key that must be there and is not is no lost part."""
    node = place.process()
    upload = await node.engine.create_upload(BUCKET, "key", Attributes(), None, None)
    part = await node.engine.put_part(BUCKET, "key", upload, 1, body(b"part"))

    def must_exist(current: ObjectInfo | None) -> None:
        if current is None:
            raise errors.NoSuchKey("key")

    with pytest.raises(errors.NoSuchKey):
        await node.engine.complete_upload(BUCKET, "key", upload, [CompletedPart(1, part.etag)], must_exist)
    await node.engine.complete_upload(BUCKET, "key", upload, [CompletedPart(1, part.etag)])
    assert await node.read("key") == b"part"
