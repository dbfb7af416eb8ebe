import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.ops.stats import Stats, StatsUnavailable, Totals
from deltaglider_proxy.telemetry.clock import ManualClock


@pytest.mark.parametrize(
    ("logical", "stored", "percentage"),
    [(0, 0, 0.0), (0, 10, 0.0), (100, 25, 75.0), (100, 100, 0.0), (100, 150, 0.0), (10**6, 1, 99.99), (100, 0, 99.99)],
)
def test_savings(logical: int, stored: int, percentage: float) -> None:
    assert Totals(1, logical, stored).savings_percentage == pytest.approx(percentage)


@given(st.integers(0, 1 << 60), st.integers(0, 1 << 60))
def test_savings_stay_in_range(logical: int, stored: int) -> None:
    assert 0 <= Totals(1, logical, stored).savings_percentage <= 99.99


class Source:
    def __init__(self) -> None:
        self.calls: list[str | None] = []
        self.failing = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, bucket: str | None) -> Totals:
        self.calls.append(bucket)
        await self.gate.wait()
        if self.failing:
            raise StatsUnavailable("counter file: disk I/O error")
        return Totals(len(self.calls))


async def test_the_totals_of_all_buckets_are_kept_for_ten_seconds() -> None:
    source, clock = Source(), ManualClock()
    stats = Stats(source, clock)
    found = []
    for _ in range(4):
        found.append((await stats.totals(None)).objects)
        clock.advance(5)
    assert found == [1, 1, 2, 2]


async def test_one_bucket_is_read_afresh() -> None:
    source = Source()
    stats = Stats(source, ManualClock())
    assert [(await stats.totals(name)).objects for name in (None, "b", "b", None)] == [1, 2, 3, 1]
    assert source.calls == [None, "b", "b"]


async def test_buckets_are_looked_at_one_at_a_time_and_never_before_they_were_asked_for() -> None:
    source = Source()
    source.gate.clear()
    stats = Stats(source, ManualClock())
    loop = asyncio.get_running_loop()
    first = loop.create_task(stats.totals("a"))
    while not source.calls:
        await asyncio.sleep(0)
    later = [loop.create_task(stats.totals(name)) for name in ("a", "a", "b", "a", "b")]
    await asyncio.sleep(0)
    later[0].cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert source.calls == ["a"]
    source.gate.set()
    assert (await first).objects == 1
    assert [(await task).objects for task in later[1:]] == [2, 3, 2, 3], "who came after a look began has the next"
    assert source.calls == ["a", "a", "b"]


async def test_a_bucket_that_cannot_be_read_is_told_to_all_who_wait() -> None:
    source = Source()
    source.failing = True
    stats = Stats(source, ManualClock())
    results = await asyncio.gather(*(stats.totals("a") for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StatsUnavailable] * 3
    source.failing = False
    assert (await stats.totals("a")).objects == 2


async def test_one_computation_answers_everybody_who_waits() -> None:
    source = Source()
    source.gate.clear()
    stats = Stats(source, ManualClock())
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(stats.totals(None)) for _ in range(50)]
        while not source.calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        source.gate.set()
    assert {task.result().objects for task in waiting[1:]} == {2}
    assert len(source.calls) == 2, "one that its caller gave up, and one for all others"


async def test_a_failure_is_not_kept() -> None:
    source = Source()
    source.failing = True
    stats = Stats(source, ManualClock())
    with pytest.raises(StatsUnavailable):
        await stats.totals(None)
    source.failing = False
    assert (await stats.totals(None)).objects == 2


async def test_one_computation_answers_all_workers(tmp_path: Path) -> None:
    source, clock = Source(), ManualClock()
    source.gate.clear()
    workers = [Stats(source, clock, tmp_path) for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(worker.totals(None)) for worker in workers for _ in range(4)]
        while not source.calls:
            await asyncio.sleep(0)
        source.gate.set()
    assert {task.result().objects for task in waiting} == {1}
    assert source.calls == [None]


async def test_all_workers_see_the_same_age(tmp_path: Path) -> None:
    source, clock = Source(), ManualClock()
    one, other = (Stats(source, clock, tmp_path) for _ in range(2))
    assert (await one.totals(None)).objects == 1
    clock.advance(9)
    assert (await other.totals(None)).objects == 1
    clock.advance(1)
    assert (await other.totals(None)).objects == 2, "ten seconds after the computation, not after the first look"
    assert (await one.totals(None)).objects == 2


async def test_a_worker_that_dies_while_it_computes_holds_up_nobody(tmp_path: Path) -> None:
    source, clock = Source(), ManualClock()
    source.gate.clear()
    dying = asyncio.get_running_loop().create_task(Stats(source, clock, tmp_path).totals(None))
    while not source.calls:
        await asyncio.sleep(0)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    source.gate.set()
    assert (await Stats(source, clock, tmp_path).totals(None)).objects == 2


async def test_totals_of_an_earlier_boot_are_not_of_now(tmp_path: Path) -> None:
    source = Source()
    assert (await Stats(source, ManualClock(), tmp_path).totals(None)).objects == 1
    assert (await Stats(source, ManualClock(boot="boot-2"), tmp_path).totals(None)).objects == 2
