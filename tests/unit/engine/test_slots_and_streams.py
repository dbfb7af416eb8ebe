"""Codec slots are handed out by urgency, then in turn, and none is ever lost; many streams get smaller pieces."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.engine.limits import LARGE_STEP, LATER, SMALL_STEP, SOON, Slots, Streams


async def turns(slots: Slots, wanted: list[tuple[str, int]]) -> list[str]:
    """In which order those who wait behind one holder get their slot."""
    served: list[str] = []

    async def one(name: str, urgency: int) -> None:
        async with slots.hold(urgency):
            served.append(name)

    async with asyncio.TaskGroup() as group, slots.hold():
        for name, urgency in wanted:
            group.create_task(one(name, urgency))
            await asyncio.sleep(0)
    return served


async def test_first_frames_go_before_later_ones() -> None:
    wanted = [("a1", LATER), ("a2", LATER), ("b0", SOON), ("a3", LATER), ("c0", SOON)]
    assert await turns(Slots(1), wanted) == ["b0", "c0", "a1", "a2", "a3"]


async def test_no_more_than_there_are() -> None:
    slots, held, most = Slots(2), 0, 0

    async def one() -> None:
        nonlocal held, most
        async with slots.hold():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1

    await asyncio.gather(*(one() for _ in range(9)))
    assert (most, slots.free) == (2, 2)


async def test_without_patience_for_a_slot() -> None:
    slots = Slots(1)
    async with slots.hold():
        with pytest.raises(TimeoutError):
            async with slots.hold(patience=0.001):
                raise AssertionError
    assert slots.free == 1


async def test_an_error_gives_the_slot_back() -> None:
    slots = Slots(1)
    with pytest.raises(ZeroDivisionError):
        async with slots.hold():
            raise ZeroDivisionError
    assert slots.free == 1


@given(st.lists(st.tuples(st.sampled_from([SOON, LATER]), st.integers(0, 4)), max_size=12), st.integers(1, 3))
async def test_whoever_is_cancelled_whenever(waiting: list[tuple[int, int]], total: int) -> None:
    """Each waiter is cancelled after some turns of the loop, also in the very one that grants it a slot."""
    slots = Slots(total)

    async def one(urgency: int) -> None:
        async with slots.hold(urgency):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def cancelled(urgency: int, after: int) -> None:
        task = asyncio.ensure_future(one(urgency))
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    await asyncio.gather(*(cancelled(*w) for w in waiting), *(one(LATER) for _ in range(3)))
    assert slots.free == total


def test_pieces_of_many_streams_are_small() -> None:
    streams = Streams()
    steps = [streams.begin() for _ in range(12)]
    assert steps == [LARGE_STEP] * 8 + [SMALL_STEP] * 4
    for _ in range(5):
        streams.end()
    assert streams.begin() == LARGE_STEP
