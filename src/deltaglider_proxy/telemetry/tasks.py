"""Background work that outlives the request that began it, such as promotions; nothing it raises is lost."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.get_logger("deltaglider_proxy.tasks")


class Background:
    """A set of running tasks; `close` waits for all of them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("background work failed", task=task.get_name(), exc_info=error)

    async def drain(self) -> None:
        """Wait until everything that runs now, and what it starts, has ended."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
