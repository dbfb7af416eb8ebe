"""Bytes that change or go missing on their way are noticed before anybody takes them for the object."""

import os
from collections.abc import AsyncIterator

import pytest

from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.errors import Changed, Damaged, StorageError, Unavailable
from tests.support.storage.objects import get, put
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import Corrupt, Cut, Rule, Side

BODY = os.urandom(3 << 20)


@pytest.mark.parametrize("reset", [True, False])
async def test_a_read_that_breaks_goes_on_where_it_broke(
    backend: S3Backend, proxy: FaultProxy, bucket: str, reset: bool
) -> None:
    await put(backend, "key", BODY, bucket=bucket)
    for after in (100, 700_000, 0):
        proxy.add(Rule(Cut(Side.ANSWER, after, reset), "GET"))
    assert await get(backend, "key", bucket) == BODY


async def test_a_read_that_goes_on_breaking_is_given_up(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    await put(backend, "key", BODY, bucket=bucket)
    reader = await backend.open(bucket, "key")
    proxy.add(Rule(Cut(Side.ANSWER, 0), "GET", times=None))
    with pytest.raises(Unavailable):
        [chunk async for chunk in reader.chunks(0, len(BODY))]
    await reader.close()


async def test_a_read_does_not_go_on_with_another_generation(
    backend: S3Backend, proxy: FaultProxy, bucket: str
) -> None:
    await put(backend, "key", BODY, bucket=bucket)
    reader = await backend.open(bucket, "key")
    proxy.add(Rule(Cut(Side.ANSWER, 1 << 20), "GET"))
    chunks = reader.chunks(0, len(BODY))
    received = [await anext(chunks)]
    await put(backend, "key", BODY[::-1], bucket=bucket)
    with pytest.raises(Changed):
        received.extend([chunk async for chunk in chunks])
    assert BODY.startswith(b"".join(received))
    await reader.close()


@pytest.mark.parametrize("size", [1000, 100_000, 3 << 20])
async def test_a_whole_read_is_compared_with_its_etag(
    backend: S3Backend, proxy: FaultProxy, bucket: str, size: int
) -> None:
    await put(backend, "key", BODY[:size], bucket=bucket)
    proxy.add(Rule(Corrupt(Side.ANSWER, 500), "GET"))
    received: list[bytes] = []
    reader = await backend.open(bucket, "key")
    with pytest.raises(Damaged):
        await _collect(reader.chunks(0, size), received)
    assert sum(map(len, received)) < size
    await reader.close()
    proxy.add(Rule(Corrupt(Side.ANSWER, 500), "GET"))
    reader = await backend.open(bucket, "key")
    with pytest.raises(Damaged):
        await reader.read(0, size)
    await reader.close()


async def _collect(chunks: AsyncIterator[bytes], received: list[bytes]) -> None:
    async for chunk in chunks:
        received.append(chunk)


async def test_a_small_body_that_changes_on_its_way_is_refused(
    backend: S3Backend, proxy: FaultProxy, bucket: str
) -> None:
    await put(backend, "key", b"old", bucket=bucket)
    proxy.add(Rule(Corrupt(Side.REQUEST, 10), "PUT"))
    with pytest.raises(StorageError):
        await put(backend, "key", BODY, bucket=bucket)
    assert await get(backend, "key", bucket) == b"old"


async def test_a_large_body_that_changes_on_its_way_is_refused(
    backend: S3Backend, proxy: FaultProxy, bucket: str
) -> None:
    await put(backend, "key", b"old", bucket=bucket)
    rule = proxy.add(Rule(Corrupt(Side.REQUEST, 10 << 20), "PUT"))
    with pytest.raises(StorageError):
        await put(backend, "key", BODY * 4, bucket=bucket)
    assert rule.happened == 1
    assert await get(backend, "key", bucket) == b"old"
