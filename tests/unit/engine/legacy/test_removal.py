"""Deleting and overwriting: what is newest goes last, so nothing older ever comes back."""

import itertools

import pytest

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.legacy import names as older_names
from deltaglider_proxy.engine.model import BucketPolicy, ObjectInfo
from deltaglider_proxy.storage.errors import StorageError
from deltaglider_proxy.storage.steps import When, no_hook
from tests.fixtures.legacy import older
from tests.fixtures.legacy.older import Thing
from tests.support.engine.bodies import noise
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place
from tests.unit.engine.legacy.conftest import POLICIES

KEY = "app/k"
DELTA = Thing(f"{KEY}.delta", b"\xd6\xc3\xc4\x00", older.headers(older.fields(KEY, b"delta", "delta", b"base")))
PLAIN = older.fields(KEY, b"plain", "passthrough")
EARLIER = Thing(KEY, b"plain", older.headers({**PLAIN, "created_at": "2020-01-01T00:00:00Z"}))
LATER = Thing(KEY, b"plain", older.headers({**PLAIN, "created_at": "2024-01-01T00:00:00Z"}))
FIRST = Thing("app/reference.bin", b"first", older.headers(older.fields(KEY, b"first", "reference", original_name="k")))


class Crash(StorageError):
    pass


async def etag(node: Node) -> str | None:
    try:
        return (await node.engine.head(BUCKET, KEY)).etag
    except errors.NoSuchKey:
        return None


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(
    "things", [[DELTA], [LATER], [DELTA, EARLIER], [DELTA, LATER], [FIRST], [DELTA, FIRST], [DELTA, EARLIER, FIRST]]
)
async def test_a_delete_that_ends_anywhere(service: Place, reader: Node, things: list[Thing], ours: bool) -> None:
    """At each step the key holds what it held, or nothing."""
    for last in itertools.count():
        await older.store(service.memory, BUCKET, things)
        if ours:
            await reader.put(KEY, b"our own")
        held = await etag(reader)
        assert held is not None
        left = last

        async def fail(when: When, step: str, bucket: str, key: str) -> None:
            nonlocal left
            if when is When.BEFORE and step in ("delete", "commit"):
                if left == 0:
                    raise Crash
                left -= 1

        service.memory.hook = service.backend.hook = fail
        try:
            await reader.engine.delete(BUCKET, KEY)
        except errors.EngineError:
            ended = False
        else:
            ended = True
        service.memory.hook = service.backend.hook = no_hook
        after = service.process(policies=POLICIES)
        assert await etag(after) in ({None} if ended else {held, None})
        if ended:
            assert not await after.engine.delete(BUCKET, KEY)
            remaining = await service.keys("app/")
            assert remaining == [FIRST.key] * (FIRST in things)
            return
        await after.engine.delete(BUCKET, KEY)
        for key in await service.keys(""):
            await service.memory.delete(BUCKET, key)


@pytest.mark.parametrize("things", [[DELTA], [LATER], [DELTA, EARLIER], [FIRST], [DELTA, FIRST]])
async def test_a_put_hides_what_was_there_for_good(service: Place, reader: Node, things: list[Thing]) -> None:
    await older.store(service.memory, BUCKET, things)
    made = await reader.put(KEY, noise(1, 100))
    assert await reader.read(KEY) == noise(1, 100)
    page = await reader.engine.list(BUCKET)
    assert [(e.key, e.etag) for e in page.entries if isinstance(e, ObjectInfo)] == [(KEY, made.etag)]
    assert await reader.engine.delete(BUCKET, KEY)
    assert await etag(reader) is None
    assert not (await reader.engine.list(BUCKET)).entries


async def test_the_later_of_two_counts(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, [DELTA, EARLIER])
    assert await etag(reader) == older.md5(b"delta")
    await older.store(service.memory, BUCKET, [LATER])
    assert await etag(reader) == older.md5(b"plain")
    assert await reader.read(KEY) == b"plain"


async def test_a_condition_sees_the_older_object(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, [DELTA])
    seen: list[ObjectInfo | None] = []

    def refuse(info: ObjectInfo | None) -> None:
        seen.append(info)
        raise errors.PreconditionFailed("no")

    with pytest.raises(errors.PreconditionFailed):
        await reader.engine.delete(BUCKET, KEY, refuse)
    assert seen == [await reader.engine.head(BUCKET, KEY)]
    assert await reader.engine.delete(BUCKET, KEY, seen.append)
    assert await etag(reader) is None


async def test_a_delete_takes_nothing_but_its_key(service: Place, reader: Node) -> None:
    foreign = Thing("x.delta", b"mine", {})
    await older.store(service.memory, BUCKET, [foreign, DELTA])
    assert not await reader.engine.delete(BUCKET, "x")
    assert not await reader.engine.delete(BUCKET, DELTA.key)
    assert await reader.read("x.delta") == b"mine"
    assert await reader.engine.delete(BUCKET, "x.delta")
    assert await etag(reader) is not None


async def test_buckets_that_are_not_there(service: Place) -> None:
    reader = service.process(policies={"nowhere": BucketPolicy(legacy=True)})
    for work in (reader.engine.head, reader.engine.open, reader.engine.delete):
        with pytest.raises(errors.NoSuchBucket):
            await work("nowhere", KEY)


@pytest.mark.parametrize("key", ["x.delta", "a/reference.bin", "reference.bin", ".dg/lock"])
async def test_new_keys_that_would_be_in_the_way(service: Place, reader: Node, files: Node, key: str) -> None:
    with pytest.raises(errors.KeyRejected, match="older layout"):
        older_names.refuse(reader.engine.ctx, BUCKET, key)
    older_names.refuse(service.process().engine.ctx, BUCKET, key)
    with pytest.raises(errors.KeyRejected):
        older_names.refuse(files.engine.ctx, BUCKET, f"deltaspaces/{key}")
    older_names.refuse(reader.engine.ctx, BUCKET, f"deltaspaces/{key}x")
    older_names.refuse(files.engine.ctx, BUCKET, "a/x.delta")
