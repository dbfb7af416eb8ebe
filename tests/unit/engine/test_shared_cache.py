"""Processes that share one cache directory fetch each piece of a reference once, and survive one another."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deltaglider_proxy.codecs.container import Reference
from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.reference_cache import ReferenceCache, build_facts
from deltaglider_proxy.engine.reference_entry import Entry, remove_unless_open
from deltaglider_proxy.engine.reference_facts import PIECE, encode
from deltaglider_proxy.storage.backends.memory import MemoryBackend
from deltaglider_proxy.storage.steps import When
from deltaglider_proxy.storage.wrappers.faulty import Action, Call, Delay, FaultyBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.engine.bodies import noise
from tests.support.storage.objects import BUCKET, put

DATA = noise(1, PIECE + 1000)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(4)
    yield made
    made.close()


class Host:
    """Two processes' caches in one directory, over a storage whose reads of references are counted and held."""

    def __init__(self, directory: Path, pool: Pool) -> None:
        self.release = asyncio.Event()
        self.begun = asyncio.Event()
        self.reads = 0
        self._inner = MemoryBackend(SystemClock())
        self._pool = pool
        backend = FaultyBackend(self._inner, self._script)
        self.caches = [ReferenceCache(directory, 1 << 30, backend, pool) for _ in range(2)]

    def _script(self, call: Call) -> Action:
        if call.step != "read" or call.when is When.AFTER or call.key.endswith(names.FACTS_SUFFIX):
            return None
        self.reads += 1
        self.begun.set()
        return Delay(self.release)

    async def reference(self) -> Reference:
        await self._inner.create_bucket(BUCKET)
        await put(self._inner, "plain", DATA)
        reader = await self._inner.open(BUCKET, "plain")
        facts = await build_facts(reader, self._pool)
        name = names.reference("space", facts.sha256)
        await put(self._inner, names.INTERNAL + name, DATA)
        await put(self._inner, names.INTERNAL + name + names.FACTS_SUFFIX, encode(facts))
        return Reference(name, len(DATA))


async def test_a_piece_that_two_processes_want_is_fetched_once(tmp_path: Path, pool: Pool) -> None:
    host = Host(tmp_path, pool)
    reference = await host.reference()
    first, second = [await cache.open(BUCKET, reference) for cache in host.caches]
    async with first, second, asyncio.TaskGroup() as group:
        group.create_task(first.ensure([(0, len(DATA))]))
        await host.begun.wait()
        late = group.create_task(second.ensure([(0, len(DATA))]))
        await asyncio.wait([late], timeout=0.02)
        assert not late.done()
        host.release.set()
        await late
        assert second.read([(0, len(DATA))]) == DATA
        assert host.reads == 2, "one for each piece"
        assert (first.hit, second.hit) == (False, False)


async def test_who_gives_up_does_not_stop_the_next(tmp_path: Path, pool: Pool) -> None:
    host = Host(tmp_path, pool)
    reference = await host.reference()
    first, second = [await cache.open(BUCKET, reference) for cache in host.caches]
    async with second:
        given_up = asyncio.ensure_future(first.ensure([(0, 1)]))
        await host.begun.wait()
        given_up.cancel()
        await asyncio.wait([given_up])
        await first.close()
        host.release.set()
        await second.ensure([(0, 1)])
        assert host.reads == 2


def test_an_entry_in_use_is_not_removed(tmp_path: Path) -> None:
    entry = Entry(tmp_path / "entry", 3)
    entry.flags[1] = 1
    assert not remove_unless_open(tmp_path / "entry")
    entry.close()
    assert remove_unless_open(tmp_path / "entry")
    assert not remove_unless_open(tmp_path / "entry")
    again = Entry(tmp_path / "entry", 3)
    assert bytes(again.flags) == bytes(3)
    again.close()
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_removing_and_opening_at_once(tmp_path: Path) -> None:
    """However they meet, who opened an entry has both of its files under their names, or can open it again."""
    folder = tmp_path / "entry"
    with_threads = Pool(2)

    def open_and_check() -> None:
        for _ in range(300):
            entry = Entry(folder, 3)
            assert {path.name for path in folder.iterdir()} == {"state", "data"}
            entry.close()

    def remove() -> None:
        for _ in range(300):
            remove_unless_open(folder)

    jobs = [with_threads.submit(open_and_check), with_threads.submit(remove)]
    for job in jobs:
        job.result()
    with_threads.close()
