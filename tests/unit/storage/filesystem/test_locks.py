import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.backends.filesystem.locks import Locks
from deltaglider_proxy.telemetry.pool import Pool


@pytest.fixture
def locks(tmp_path: Path) -> Iterator[Locks]:
    files = Files()
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield Locks(files, fd, "locks")
    files.close(fd)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool(4)
    yield made
    made.close()


class Counter:
    """Loses counts if two threads are in `add` at once."""

    def __init__(self) -> None:
        self.value = 0
        self.inside = 0
        self.most = 0

    def add(self) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        value = self.value
        threading.Event().wait(0.001)
        self.value = value + 1
        self.inside -= 1


async def test_a_key_is_held_alone(locks: Locks, pool: Pool) -> None:
    counter = Counter()
    await asyncio.gather(*(locks.with_key(pool, "b", "k", counter.add) for _ in range(40)))
    assert (counter.value, counter.most) == (40, 1)


async def test_different_keys_are_held_together(locks: Locks, pool: Pool) -> None:
    meeting = threading.Barrier(2, timeout=30)
    await asyncio.gather(*(locks.with_key(pool, "b", key, meeting.wait) for key in ("one", "two")))


@pytest.mark.parametrize("size", [1, 2])
async def test_a_full_pool_does_not_deadlock(locks: Locks, size: int) -> None:
    pool = Pool(size)
    counters = [Counter() for _ in range(6)]
    jobs = [locks.with_key(pool, "b", f"key-{n % 6}", counters[n % 6].add) for n in range(60)]
    await asyncio.gather(*jobs)
    assert [counter.value for counter in counters] == [10] * 6
    pool.close()


async def test_a_bucket_is_held_alone_against_all_its_keys(locks: Locks, pool: Pool) -> None:
    counter = Counter()

    def whole() -> None:
        with locks.bucket("b"):
            counter.add()

    await asyncio.gather(
        *(pool.run(whole) for _ in range(10)), *(locks.with_key(pool, "b", "k", counter.add) for _ in range(20))
    )
    assert (counter.value, counter.most) == (30, 1)


async def test_a_cancelled_task_keeps_its_lock_while_its_thread_works(locks: Locks, pool: Pool) -> None:
    entered, leave = threading.Event(), threading.Event()
    order: list[str] = []

    def slow() -> None:
        entered.set()
        assert leave.wait(30)
        order.append("slow")

    async with asyncio.TaskGroup() as group:
        first = group.create_task(locks.with_key(pool, "b", "k", slow))
        await pool.run(entered.wait, 30)
        first.cancel()
        second = group.create_task(locks.with_key(pool, "b", "k", lambda: order.append("second")))
        await asyncio.sleep(0.01)
        assert not first.done()
        assert order == []
        leave.set()
        await second
    assert order == ["slow", "second"]
    assert first.cancelled()


async def test_an_error_releases(locks: Locks, pool: Pool) -> None:
    def fail() -> None:
        raise ValueError("boom")

    for _ in range(3):
        with pytest.raises(ValueError, match="boom"):
            await locks.with_key(pool, "b", "k", fail)
    await locks.with_key(pool, "b", "k", lambda: None)
