"""A question that is open at most once at a time, for those who can wait for the answer only so long.

A thread in a hung file system cannot be cancelled. Who gives up waiting leaves the question open, and whoever asks
meanwhile waits for the same answer, so something that hangs takes one thread and not one per second.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from deltaglider_proxy.telemetry.tasks import Background

R = TypeVar("R")


class Question(Generic[R]):
    def __init__(self, name: str, ask: Callable[[], Awaitable[R]]) -> None:
        # Not the server's own background work: what hangs must not hold up the end of the process.
        self._background = Background()
        self._name = name
        self._ask = ask
        self._open: asyncio.Future[R] | None = None

    async def answer(self, seconds: float) -> R:
        """Raises TimeoutError, and whatever asking raised."""
        if self._open is None:
            self._open = asyncio.get_running_loop().create_future()
            self._open.add_done_callback(_retrieved)
            self._background.start(self._name, self._find(self._open))
        await asyncio.wait([answer := self._open], timeout=seconds)
        if not answer.done():
            raise TimeoutError(f"{self._name}: no answer within {seconds:g} s")
        return answer.result()

    async def _find(self, answer: asyncio.Future[R]) -> None:
        try:
            found = await self._ask()
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            answer.set_exception(error)
        else:
            answer.set_result(found)
        finally:
            self._open = None
            answer.cancel()


def _retrieved(answer: asyncio.Future[R]) -> None:
    """An error that nobody waited for any more is no news."""
    if not answer.cancelled():
        answer.exception()
