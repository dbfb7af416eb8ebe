"""The bounded thread pool for native work that releases the GIL: hashing, codecs, file operations.

A cancelled caller does not stop a thread that already runs, so `run` waits for it even then: whoever holds a lock or a
file across the call may release it as soon as `run` has returned or raised.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Pool:
    """Runs plain functions in at most `size` threads."""

    def __init__(self, size: int, name: str = "pool") -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix=name)
        self.size = size

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        return self._executor.submit(function, *args, **kwargs)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` in a thread; on cancellation, first wait until it has ended (or was never begun)."""
        return await self.wait(self._executor.submit(function, *args, **kwargs))

    async def wait(self, job: Future[R]) -> R:
        """The result of a submitted job, under the same rule."""
        waiter = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            if not job.cancel():
                await asyncio.wait([waiter])
                if not waiter.cancelled():
                    waiter.exception()
            raise

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
