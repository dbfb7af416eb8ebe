"""Encoding an upload while it arrives: plaintext and container grow side by side in the spool.

Frames are encoded as soon as they are complete, in parallel, each in a codec slot that it keeps until its payload is
in the container, so memory is bounded by the slots and not by the uploads. Which of the two is kept is decided at the
end, or earlier when the delta is sure to lose.
"""

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog

from deltaglider_proxy.codecs import container, frames, windows
from deltaglider_proxy.codecs.container import FRAME_SIZE, Frame, Index, Reference
from deltaglider_proxy.codecs.frames import Encoded
from deltaglider_proxy.engine import references
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.errors import Corrupt, DiskFull
from deltaglider_proxy.engine.limits import LATER, SOON
from deltaglider_proxy.engine.reference_cache import OpenReference
from deltaglider_proxy.engine.reference_facts import PIECE
from deltaglider_proxy.engine.spool import Spool
from deltaglider_proxy.storage.errors import StorageError
from deltaglider_proxy.telemetry.tasks import Crew

_log = structlog.get_logger("deltaglider_proxy.encoder")

_HOPELESS_BLOCKS = 4
_HOPELESS_RATIO = 0.95


class Encoder:
    """Spools one body and encodes it against one reference, or compresses it alone where there is none.

    Use it as a context manager, then `finish` it.
    """

    def __init__(
        self,
        ctx: Context,
        spool: Spool,
        object_id: str,
        reference: tuple[Reference, OpenReference] | None,
        most: float | None = None,
    ) -> None:
        """`most`: the size of container from which on the delta has lost; None while that is unknown."""
        self._ctx = ctx
        self._object_id = object_id
        self._reference: Reference | None
        self._opened: OpenReference | None
        self._reference, self._opened = reference or (None, None)
        self._most = most
        self._crew = Crew()
        self._frames: list[Frame] = []
        self._blocks = 0
        self._appended = asyncio.Condition()
        self._seconds = 0.0
        self.plain = spool.file()
        self.container = spool.file()
        self.container.append(container.header(object_id))
        if self._reference is not None:
            self.container.append(container.reference_record(self._reference))
        self.lost = False
        """The delta is given up; the plaintext is still whole."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._crew.close()
        finally:
            self.plain.close()
            self.container.close()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        before = self.plain.size
        await self._ctx.pool.run(self.plain.append, data)
        for number in range(before // FRAME_SIZE, self.plain.size // FRAME_SIZE):
            self._start(number, number * FRAME_SIZE, (number + 1) * FRAME_SIZE)

    async def finish(self) -> bool:
        """Encode what is left. Whether the container is whole: if not, only the plaintext can be used."""
        done = self.plain.size // FRAME_SIZE * FRAME_SIZE
        if done < self.plain.size:
            self._start(done // FRAME_SIZE, done, self.plain.size)
        await self._crew.join()
        if self.lost:
            return False
        if self._reference is not None and await self._is_exact_copy():
            self.container.truncate()
            self.container.append(references.exact_copy(self._reference, self._object_id))
        else:
            used = (self._reference,) if self._reference is not None else ()
            index = Index(self._object_id, used, tuple(self._frames))
            self.container.append(container.closing(index, self.container.size))
        ratio = self.container.size / max(self.plain.size, 1)
        self._ctx.events.encoded(ratio, self._seconds)
        return True

    async def _is_exact_copy(self) -> bool:
        assert self._opened is not None
        assert self._reference is not None
        pieces = self._opened.facts.pieces
        if self.plain.size != self._reference.size or not pieces:
            return False
        # The first block of an exact copy shrinks to next to nothing, so others are not read again.
        if self._frames and self._frames[0].payload > self._frames[0].size // 100:
            return False

        def equal() -> bool:
            starts = range(0, self.plain.size, PIECE)
            found = (container.digest(self.plain.read(start, start + PIECE)) for start in starts)
            return all(a == b for a, b in zip(found, pieces, strict=True))

        return await self._ctx.pool.run(equal)

    def _start(self, number: int, start: int, stop: int) -> None:
        if not self.lost:
            self._crew.start(self._encode(number, start, stop))

    async def _encode(self, number: int, start: int, stop: int) -> None:
        first = number == 0
        try:
            async with self._ctx.slots.hold(SOON if first else LATER, self._ctx.settings.codec_wait if first else None):
                if not self.lost:
                    await self._encode_in_slot(number, start, stop)
        except TimeoutError:
            await self._give_up("no codec slot in time")

    async def _encode_in_slot(self, number: int, start: int, stop: int) -> None:
        try:
            async with asyncio.timeout(self._ctx.settings.codec_timeout):
                encoded = await self._block(start, stop)
            await self._append(number, stop, encoded)
        except TimeoutError:
            await self._give_up("a frame took longer than codec_timeout_secs")
        except (Corrupt, StorageError) as error:
            name = self._reference.name if self._reference is not None else None
            _log.warning("a reference cannot be used", reference=name, reason=str(error))
            await self._give_up("the reference cannot be used")
        except DiskFull:
            await self._give_up("no spool room")

    async def _block(self, start: int, stop: int) -> list[Encoded]:
        ctx = self._ctx
        began = ctx.clock.monotonic()
        data = self.plain.map(start, stop)
        if self._opened is None:
            encoded = [await ctx.codec_pool.run(frames.encode, data)]
        else:
            facts = self._opened.facts
            alignment = await ctx.codec_pool.run(windows.align, data, facts.index, facts.size)
            # A delta against damaged bytes would be lost with them, so kept pieces are checked each time.
            known = await self._opened.load(alignment.ranges)
            encoded = await ctx.codec_pool.run(frames.encode_block, data, alignment, facts.size, lambda _: known)
        self._seconds += ctx.clock.monotonic() - began
        return encoded

    async def _append(self, number: int, stop: int, encoded: list[Encoded]) -> None:
        """Put the frames of a block into the container when all blocks before it are there."""
        async with self._appended:
            await self._appended.wait_for(lambda: self._blocks == number or self.lost)
            if self.lost:
                return
            for frame, payload in encoded:
                head = container.frame_head(frame)
                number_of_reference = 0 if frame.ranges else None
                placed = replace(frame, reference=number_of_reference, offset=self.container.size + len(head))
                await self._ctx.pool.run(self.container.append, head)
                if payload:
                    await self._ctx.pool.run(self.container.append, payload)
                self._frames.append(placed)
            self._blocks += 1
            hopeless = self._blocks == _HOPELESS_BLOCKS and self.container.size > _HOPELESS_RATIO * stop
            self._appended.notify_all()
        if hopeless or (self._most is not None and self.container.size >= self._most):
            await self._give_up("the delta does not pay")

    async def _give_up(self, reason: str) -> None:
        async with self._appended:
            if not self.lost:
                _log.info("storing an object as it is", reason=reason)
            self.lost = True
            self._appended.notify_all()
