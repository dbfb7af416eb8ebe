"""What the requests of one process may take together: bytes, codec slots, and how much of each body is on its way."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

SOON, LATER = 0, 1
"""How urgent a frame is."""

LARGE_STEP, SMALL_STEP = 1 << 20, 256 << 10
_FEW = 8


class Budget:
    """A number of bytes that may be held at once."""

    def __init__(self, total: int) -> None:
        self._free = total

    def reserve(self, size: int) -> bool:
        """Take `size` bytes, if they are free."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def release(self, size: int) -> None:
        self._free += size


class Slots:
    """Codec slots: a frame is encoded or decoded by whoever holds one.

    Reads and the first frame of an upload go before later frames of uploads: they wait with a client behind them or
    with a time limit, while an upload whose first frame is encoded just goes on being spooled. In turn otherwise.
    """

    def __init__(self, total: int) -> None:
        self.free = total
        self._order = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def hold(self, urgency: int = SOON, patience: float | None = None) -> AsyncIterator[None]:
        """A slot for the block. Raises TimeoutError if there is none for `patience` seconds."""
        async with asyncio.timeout(patience):
            await self._acquire(urgency)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, urgency: int) -> None:
        if self.free:
            self.free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was granted in the same turn of the loop
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1


class Streams:
    """Bodies on their way out.

    The HTTP server holds about eight pieces of each, whatever their size. Large ones cost less, so a few streams get
    those; what many would take is bounded by small ones.
    """

    def __init__(self) -> None:
        self._open = 0

    def begin(self) -> int:
        """Bytes that each piece of one more stream should have; `end` it."""
        self._open += 1
        return LARGE_STEP if self._open <= _FEW else SMALL_STEP

    def end(self) -> None:
        self._open -= 1
