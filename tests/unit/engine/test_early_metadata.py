"""Storage that takes metadata before the bytes: what only the end of a body tells is kept all the same."""

import zlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deltaglider_proxy.engine import errors, names
from deltaglider_proxy.engine.model import Attributes, Body, Checksum, ChecksumAlgorithm, Digests
from deltaglider_proxy.engine.references import SKETCH
from tests.support.engine.bodies import body, noise
from tests.support.engine.explore import Storage
from tests.support.engine.nodes import BUCKET
from tests.support.engine.place import Place

LARGE = noise(1, SKETCH + 5000)
SMALL = LARGE[:5000]
ATTRIBUTES = Attributes({"content-type": "text/plain"}, {"by": "me"})
KEY = "key"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path, Storage(late_metadata=False, listing_has_metadata=False))
    await made.begin()
    yield made
    await made.close()


def checksum(data: bytes) -> Checksum:
    return Checksum(ChecksumAlgorithm.CRC32, b64encode(zlib.crc32(data).to_bytes(4, "big")).decode())


def upload(data: bytes, *, claimed: bool) -> Body:
    """With its checksum in a header (`claimed`), or behind it in a trailer."""

    def verify(digests: Digests, size: int) -> Checksum:
        assert size == len(data)
        assert digests["crc32"] == zlib.crc32(data).to_bytes(4, "big")
        return checksum(data)

    plain = body(data)
    said = checksum(data) if claimed else None
    return Body(plain.chunks, len(data), frozenset({"crc32"}), verify, said, trailing=not claimed)


@pytest.mark.parametrize("claimed", [True, False], ids=["header", "trailer"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_the_checksum_is_kept(place: Place, data: bytes, *, claimed: bool) -> None:
    node = place.process()
    info = await node.engine.put(BUCKET, KEY, upload(data, claimed=claimed), ATTRIBUTES)
    found = await node.engine.head(BUCKET, KEY)
    assert found == replace(info, checksum=checksum(data))
    assert (found.headers, found.user_metadata) == (ATTRIBUTES.headers, ATTRIBUTES.user_metadata)
    assert await node.read(KEY) == data
    assert await sides(place) == (0 if claimed else 1)


@pytest.mark.parametrize("claimed", [True, False], ids=["header", "trailer"])
async def test_the_checksum_of_a_part_is_kept(place: Place, *, claimed: bool) -> None:
    node = place.process()
    upload_id = await node.engine.create_upload(BUCKET, KEY, ATTRIBUTES, ChecksumAlgorithm.CRC32, None)
    await node.engine.put_part(BUCKET, KEY, upload_id, 1, upload(LARGE, claimed=claimed))
    _, (part,), _ = await node.engine.list_parts(BUCKET, KEY, upload_id)
    assert part.checksum == checksum(LARGE)


async def test_a_refused_body_leaves_nothing(place: Place) -> None:
    def refuse(_: Digests, __: int) -> Checksum:
        raise ValueError("the checksum differs")

    refused = replace(upload(LARGE, claimed=False), verify=refuse)
    with pytest.raises(ValueError, match="differs"):
        await place.process().engine.put(BUCKET, KEY, refused, ATTRIBUTES)
    assert await place.keys() == []


async def test_collection_takes_the_side_object_with_its_owner(place: Place) -> None:
    node = place.process()
    await node.engine.put(BUCKET, KEY, upload(LARGE, claimed=False), ATTRIBUTES)
    await node.engine.collect(BUCKET, quiescent=True)
    assert await sides(place) == 1
    await node.engine.delete(BUCKET, KEY)
    with pytest.raises(errors.NoSuchKey):
        await node.engine.head(BUCKET, KEY)
    await node.engine.collect(BUCKET, quiescent=True)
    assert await sides(place) == 0


async def sides(place: Place) -> int:
    return len(await place.keys(names.SIDES))
