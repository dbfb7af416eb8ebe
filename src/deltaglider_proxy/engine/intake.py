"""The body of an upload on its way in: gathered into batches, counted against the limit, hashed while it is stored."""

from collections.abc import Awaitable, Callable

from deltaglider_proxy.engine.digests import BodyDigests
from deltaglider_proxy.engine.errors import TooLarge
from deltaglider_proxy.engine.model import Body
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import beside

BATCH = 1 << 20

Sink = Callable[[bytes | bytearray | memoryview], Awaitable[None]]


class Intake:
    """Reads one body once: first its head, to decide what to do with it, then all of it, head included."""

    def __init__(self, body: Body, limit: int, pool: Pool, extra: frozenset[str] = frozenset()) -> None:
        self._chunks = body.chunks
        self._limit = limit
        self._pool = pool
        self._head = bytearray()
        self._ended = False
        self.size = 0
        self.digests = BodyDigests(body.digests | extra)

    async def head(self, size: int) -> tuple[bytearray, bool]:
        """The first `size` bytes or a little more, and whether that is all."""
        while len(self._head) < size and not self._ended:
            await self._next_into(self._head)
        return self._head, self._ended

    async def drain(self, sink: Sink) -> None:
        """Send all of the body to `sink`, in batches; while one is hashed and stored, the next is received."""
        batch, self._head = self._head, bytearray()
        while batch and not self._ended:
            async with beside(self._store(batch, sink)) as storing:
                batch = bytearray()
                while len(batch) < BATCH and not self._ended:
                    await self._next_into(batch)
                await storing
        if batch:
            await self._store(batch, sink)

    async def _store(self, batch: bytearray, sink: Sink) -> None:
        if len(batch) < BATCH // 8:
            await self.digests.update(batch, self._pool)
            await sink(batch)
            return
        async with beside(self.digests.update(batch, self._pool)) as hashing:
            await sink(batch)
            await hashing

    async def _next_into(self, batch: bytearray) -> None:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._ended = True
            return
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge(self.size, self._limit)
        batch += chunk
