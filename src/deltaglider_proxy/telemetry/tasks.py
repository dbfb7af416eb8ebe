"""Tasks whose exceptions are never lost: beside a block, as a crew that a block waits for, or in the background.

A TaskGroup would wrap each error in a group and cancel its owner; here errors reach the owner as they are.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

R = TypeVar("R")

_AGAIN = 5.0
"""Seconds."""

_log = structlog.get_logger("deltaglider_proxy.tasks")


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, R]) -> AsyncIterator[asyncio.Task[R]]:
    """Run `work` while the block runs; the block awaits it. If the block fails first, `work` is cancelled and ended."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # looked at: the block has failed already, and that is what is told


async def kept_going(
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Run what has no end, and begin it again if it fails: a server that goes on without, say, looking at its
    configuration is worse than one that says so. Ends when `work` returns, or is cancelled.
    """
    while True:
        try:
            return await work()
        except Exception:  # noqa: BLE001 - whatever it is, the server must not go on without this work
            _log.exception("work that must not end has failed; it is begun again", task=name)
        await pause(_AGAIN)


class Crew:
    """Tasks of one owner. Leaving the block cancels those that still run and waits for their end."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def join(self) -> None:
        """Wait for all; raises the first error."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        for task in self._tasks:
            task.result()

    async def close(self) -> None:
        """Cancel those that still run and wait for their end."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Background:
    """Work that outlives the request that began it, such as promotions."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(self.watch(name, work))

    def watch(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """As `start`, for whoever may want to wait for the end of it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background work failed", task=task.get_name(), exc_info=error)

    async def drain(self) -> None:
        """Wait until everything that runs now, and what it starts, has ended."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
