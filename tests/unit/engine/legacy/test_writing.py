"""Writing into a bucket that has older objects."""

import pytest

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.model import Attributes, BucketPolicy, ObjectInfo
from tests.fixtures.legacy import older
from tests.fixtures.legacy.older import Thing
from tests.support.engine.nodes import BUCKET, GRACE, Node
from tests.support.engine.place import Place
from tests.unit.engine.legacy.test_removal import DELTA, EARLIER, FIRST, KEY, LATER


def absent(info: ObjectInfo | None) -> None:
    if info is not None:
        raise errors.PreconditionFailed("it is there")


@pytest.mark.parametrize("things", [[DELTA], [LATER], [DELTA, EARLIER], [DELTA, LATER], [FIRST], [DELTA, FIRST]])
async def test_conditions_are_about_the_older_object(service: Place, reader: Node, things: list[Thing]) -> None:
    await older.store(service.memory, BUCKET, things)
    head = await reader.engine.head(BUCKET, KEY)
    with pytest.raises(errors.PreconditionFailed):
        await reader.put(KEY, b"new", precondition=absent)
    assert await reader.engine.head(BUCKET, KEY) == head
    seen: list[ObjectInfo | None] = []
    await reader.put(KEY, b"new", precondition=seen.append)
    assert {info.etag for info in seen if info is not None} == {head.etag}
    assert None not in seen
    assert await reader.read(KEY) == b"new"


@pytest.mark.parametrize("key", ["x.delta", "a/reference.bin", ".dg/x"])
async def test_keys_that_would_be_in_the_way_are_refused(reader: Node, key: str) -> None:
    with pytest.raises(errors.KeyRejected):
        await reader.put(key, b"")
    with pytest.raises(errors.KeyRejected):
        await reader.engine.create_upload(BUCKET, key, Attributes(), None, None)
    await reader.put("x", b"")
    with pytest.raises(errors.KeyRejected):
        await reader.engine.copy((BUCKET, "x"), (BUCKET, key), None)


async def test_a_bucket_without_objects_can_be_deleted(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, [DELTA, FIRST])
    with pytest.raises(errors.BucketNotEmpty):
        await reader.engine.delete_bucket(BUCKET)
    await reader.engine.delete(BUCKET, KEY)
    await reader.engine.delete_bucket(BUCKET)
    with pytest.raises(errors.NoSuchBucket):
        await reader.engine.head_bucket(BUCKET)


async def test_tags_of_older_objects_are_not_collected(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, [DELTA])
    await reader.engine.set_tags(BUCKET, KEY, {"a": "1"})
    for _ in range(3):
        await reader.engine.collect(BUCKET)
        service.clock.advance(2 * GRACE)
    assert await reader.engine.get_tags(BUCKET, KEY) == {"a": "1"}


async def test_quotas_know_older_objects(service: Place) -> None:
    policy = BucketPolicy(legacy=True, quota_bytes=10)
    reader = service.process(policies={BUCKET: policy})
    await older.store(service.memory, BUCKET, [DELTA])  # 5 bytes
    with pytest.raises(errors.QuotaExceeded):
        await reader.put("other", b"123456")
    await reader.put("other", b"12345")
    await reader.put(KEY, b"54321")
    with pytest.raises(errors.QuotaExceeded):
        await reader.put("more", b"1")
    await reader.engine.delete(BUCKET, KEY)
    await reader.put("more", b"12345")
