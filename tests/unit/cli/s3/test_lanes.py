import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.cli.s3.lanes import Lanes


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 4))
async def test_order_within_a_lane_and_no_more_at_once(lanes: list[str], width: int) -> None:
    done: list[int] = []
    running: set[int] = set()
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        assert all(lanes[other] != lanes[number] for other in running)
        running.add(number)
        most = max(most, len(running))
        for _ in range(number % 3):
            await asyncio.sleep(0)
        running.remove(number)
        done.append(number)

    async with Lanes(width) as started:
        for number, lane in enumerate(lanes):
            await started.start(lane, partial(work, number))
    assert sorted(done) == list(range(len(lanes)))
    for lane in "abc":
        own = [number for number in done if lanes[number] == lane]
        assert own == sorted(own)
    assert most <= width


async def test_lanes_run_side_by_side() -> None:
    met = asyncio.Barrier(3)

    async def meet() -> None:
        await met.wait()

    async with asyncio.timeout(5), Lanes(3) as lanes:
        for lane in "abc":
            await lanes.start(lane, meet)


async def test_an_error_ends_the_others_and_comes_as_it_is() -> None:
    ended = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("broken")

    async def both() -> None:
        async with Lanes(2) as lanes:
            await lanes.start("a", wait)
            await lanes.start("b", fail)

    with pytest.raises(KeyError, match="broken"):
        await both()
    assert ended == ["waiting"]
