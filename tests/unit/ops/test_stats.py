import asyncio

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
