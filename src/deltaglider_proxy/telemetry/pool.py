"""The bounded thread pool for native work that releases the GIL: hashing, codecs, file operations.

A cancelled caller does not stop a thread that already runs, so `run` waits for it even then: whoever holds a lock or a
file across the call may release it as soon as `run` has returned or raised.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Pool:
    """Runs plain functions in `size` threads, which all begin now.

    A thread that begins when memory has run out may die before it says that it lives, and whoever has started it, here
    the event loop, would wait for that for ever. Raises RuntimeError if the system gives no thread.
    """

    def __init__(self, size: int, name: str = "pool") -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix=name)
        self.size = size
        # An executor starts a thread only where none is idle, so each waits until all are there.
        together = threading.Barrier(size + 1)
        try:
            for _ in range(size):
                self._executor.submit(together.wait)
        except RuntimeError:
            together.abort()
            self.close()
            raise
        together.wait()

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
