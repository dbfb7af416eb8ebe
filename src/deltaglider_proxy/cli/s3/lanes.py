"""Work that runs side by side, except that what shares a lane runs in its order.

The lane of an upload is its family of names: the first object of a family is what later ones resemble, and two that
arrive at the same time cannot find each other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

_WAITING = 4


class Lanes:
    """Leaving the block waits for the end of all work. An error of one ends the others and is raised as it is."""

    def __init__(self, width: int) -> None:
        """`width`: how much runs at once; four times as much may wait, which bounds memory."""
        self._running = asyncio.Semaphore(width)
        self._room = asyncio.Semaphore((1 + _WAITING) * width)
        self._group = asyncio.TaskGroup()
        self._last: dict[str, asyncio.Event] = {}

    async def start(self, lane: str, work: Callable[[], Awaitable[None]]) -> None:
        """Waits while too much waits already."""
        await self._room.acquire()
        before, done = self._last.get(lane), asyncio.Event()
        self._last[lane] = done
        self._group.create_task(self._run(lane, work, before, done))

    async def _run(
        self, lane: str, work: Callable[[], Awaitable[None]], before: asyncio.Event | None, done: asyncio.Event
    ) -> None:
        try:
            if before is not None:
                await before.wait()
            async with self._running:
                await work()
        finally:
            done.set()
            if self._last.get(lane) is done:
                del self._last[lane]
            self._room.release()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
