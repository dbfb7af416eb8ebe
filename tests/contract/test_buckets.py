"""Buckets come and go as a whole."""

import asyncio

import pytest

from deltaglider_proxy.storage.backend import Backend, Piece
from deltaglider_proxy.storage.errors import BucketExists, BucketNotEmpty, NoSuchBucket
from deltaglider_proxy.telemetry.clock import SystemClock
from tests.support.storage.kinds import Kind
from tests.support.storage.objects import BUCKET, keys, put


async def test_created_listed_and_deleted(backend: Backend) -> None:
    for name in ("zzz", "aaa", "a-b", "a.b"):
        await backend.create_bucket(name)
    found = await backend.buckets()
    assert [info.name for info in found] == ["a-b", "a.b", "aaa", BUCKET, "zzz"]
    for info in found:
        assert abs(info.created - SystemClock().now()) < 60
        assert await backend.bucket(info.name) == info
    with pytest.raises(BucketExists):
        await backend.create_bucket("aaa")
    await backend.delete_bucket("aaa", "")
    with pytest.raises(NoSuchBucket):
        await backend.bucket("aaa")
    with pytest.raises(NoSuchBucket):
        await backend.delete_bucket("aaa", "")
    assert [info.name for info in await backend.buckets()] == ["a-b", "a.b", BUCKET, "zzz"]


async def test_the_time_of_creation_stays(backend: Backend) -> None:
    before = await backend.bucket(BUCKET)
    await put(backend, "key")
    await put(backend, "a/b/c")
    assert await backend.bucket(BUCKET) == before


@pytest.mark.parametrize("key", ["key", "a/b", "a//b", "..", "x" * 300, ".deltaglider/v2", ".deltaglider/v"])
async def test_a_bucket_with_a_key_stays(backend: Backend, kind: Kind, key: str) -> None:
    if not kind.holds(key):
        return
    await put(backend, key)
    await put(backend, ".deltaglider/v1/refs/r")
    with pytest.raises(BucketNotEmpty) as caught:
        await backend.delete_bucket(BUCKET, ".deltaglider/v1/")
    assert caught.value.key == key
    assert set(await keys(backend)) == {key, ".deltaglider/v1/refs/r"}


async def test_nothing_is_disposable_by_default(backend: Backend) -> None:
    await put(backend, "key")
    with pytest.raises(BucketNotEmpty):
        await backend.delete_bucket(BUCKET, "")


async def test_a_bucket_goes_with_what_is_disposable(backend: Backend, kind: Kind) -> None:
    for key in filter(kind.holds, (".deltaglider/v1/r", ".deltaglider/v1//odd", ".deltaglider/v1/" + "x" * 300)):
        await put(backend, key)
    await backend.delete_bucket(BUCKET, ".deltaglider/v1/")
    with pytest.raises(NoSuchBucket):
        await backend.list(BUCKET)
    await backend.create_bucket(BUCKET)
    assert await keys(backend) == []


async def test_a_writer_finds_its_bucket_gone(backend: Backend) -> None:
    writer = await backend.write(BUCKET, "key", {})
    await writer.write(b"data")
    await backend.delete_bucket(BUCKET, "")
    with pytest.raises(NoSuchBucket):
        await writer.commit()
    await writer.abort()
    assert await backend.buckets() == []


async def test_deletion_against_writers(kind: Kind, backend: Backend) -> None:
    """Each write is in the bucket that survived, or was told that there is none."""
    odd = "d//e" if kind.holds("d//e") else "d/e"
    for attempt in range(8):
        name = f"race-{attempt}"
        await backend.create_bucket(name)

        async def write(key: str, name: str = name) -> bool:
            try:
                await put(backend, key, bucket=name)
            except NoSuchBucket:
                return False
            return True

        async def delete(name: str = name) -> bool:
            try:
                await backend.delete_bucket(name, "")
            except BucketNotEmpty:
                return False
            return True

        jobs = {"a": write("a"), "b/c": write("b/c"), "": delete(), odd: write(odd)}
        order = sorted(jobs, key=lambda name: (len(name) + attempt) % 4)
        outcomes = dict(zip(order, await asyncio.gather(*(jobs[name] for name in order)), strict=True))
        written = {key for key, done in outcomes.items() if key and done}
        if outcomes[""]:
            assert written == set()
        else:
            assert set(await keys(backend, name)) == written


async def test_buckets_are_apart(backend: Backend) -> None:
    await backend.create_bucket("other")
    await put(backend, "key", b"one")
    assert await keys(backend, "other") == []
    await put(backend, "key", b"two", bucket="other")
    await backend.delete(BUCKET, "key")
    assert await keys(backend, "other") == ["key"]
    await backend.compose("other", "copy", [Piece("key", 0, 3)], {})
    assert await keys(backend) == []
