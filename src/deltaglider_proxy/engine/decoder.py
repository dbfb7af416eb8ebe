"""Decoding a container: its index, then the frames that a range touches, each verified before it is handed on.

What fails a check is read once more from storage; a second failure is Corrupt. Decoded frames wait in memory only
within a budget of the process; beyond it they wait in the spool, so that slow readers cost disk and not memory.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from deltaglider_proxy.codecs import container, frames, zstd
from deltaglider_proxy.codecs.buffers import Buffer
from deltaglider_proxy.codecs.container import Codec, Frame, Index
from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.reference_cache import OpenReference, ReferenceCache
from deltaglider_proxy.engine.reference_facts import PIECE, piece_numbers
from deltaglider_proxy.engine.spool import Spool, SpoolFile
from deltaglider_proxy.storage.backend import Reader
from deltaglider_proxy.storage.errors import NoSuchBucket, NoSuchKey
from deltaglider_proxy.telemetry.tasks import beside

_log = structlog.get_logger("deltaglider_proxy.decoder")

_TAIL = 16 << 10


@dataclass(frozen=True, slots=True)
class Layout:
    """The index of a container, and where its records end and the index begins."""

    index: Index
    records_end: int


async def read_layout(ctx: Context, reader: Reader) -> Layout:
    """The layout of the container that `reader` has open. Raises Corrupt."""
    reason = ""
    for attempt in (1, 2):
        try:
            return await _read_layout(reader)
        except container.Broken as error:
            ctx.events.integrity_failed()
            key = reader.stored.key
            _log.error("the index of a container fails a check", key=key, attempt=attempt, reason=str(error))
            reason = str(error)
    raise errors.Corrupt(f"the index of a container is damaged, or of a later format: {reason}")


async def _read_layout(reader: Reader) -> Layout:
    size = reader.stored.size
    begin = max(size - _TAIL, 0)
    tail = await reader.read(begin, size)
    start, stop = container.parse_trailer(tail, size)
    if start >= begin:
        return Layout(container.parse_index(tail[start - begin : stop - begin]), start)
    record = bytearray()
    for at in range(start, stop, container.FRAME_SIZE):
        record += await reader.read(at, min(at + container.FRAME_SIZE, stop))
    return Layout(container.parse_index(bytes(record)), start)


class Decoder:
    """The frames of one container; close it."""

    def __init__(
        self, ctx: Context, cache: ReferenceCache, spool: Spool, bucket: str, reader: Reader, index: Index
    ) -> None:
        self._ctx = ctx
        self._cache = cache
        self._spool = spool
        self._bucket = bucket
        self._reader = reader
        self._index = index
        self._references: dict[int, OpenReference] = {}
        self._stack = AsyncExitStack()
        self.cache_hit: bool | None = None
        """Whether no piece of a reference had to be read for this user so far; None while none was needed."""

    async def close(self) -> None:
        if self.cache_hit is not None:
            self._ctx.events.reference_used(hit=self.cache_hit)
        await self._stack.aclose()

    async def chunks(self, start: int, stop: int, step: int) -> AsyncIterator[bytes | memoryview]:
        """Logical bytes `start` to `stop`, `step` at a time; the next frame is decoded while one is consumed."""
        wanted = list(container.spans(self._index.frames, start, stop))
        piece = await self._piece(*wanted[0]) if wanted else None
        for following in [*wanted[1:], None]:
            if piece is None:
                return
            try:
                if following is None:
                    async for chunk in piece.chunks(step):
                        yield chunk
                    return
                async with beside(self._piece(*following)) as decoding:
                    try:
                        async for chunk in piece.chunks(step):
                            yield chunk
                        upcoming = await decoding
                    except BaseException:
                        if decoding.done() and not decoding.cancelled() and decoding.exception() is None:
                            decoding.result().close()
                        raise
            finally:
                piece.close()
            piece = upcoming

    async def _piece(self, frame: Frame, start: int, stop: int) -> "_Held | _Spooled | _Copied":
        if frame.codec is Codec.COPY:
            return _Copied(self, await self._reference(frame), frame, start, stop)
        async with self._ctx.slots.hold():
            data: Buffer = memoryview(await self._decoded(frame))[start:stop]
            if 2 * len(data) < frame.size:
                data = bytes(data)
            if self._ctx.decoded.reserve(len(data)):
                return _Held(self._ctx, memoryview(data))
            spooled = _Spooled(self._ctx, self._spool.file())
            try:
                await self._ctx.pool.run(spooled.file.append, data)
            except BaseException:
                spooled.close()
                raise
            return spooled

    async def _decoded(self, frame: Frame) -> Buffer:
        ctx = self._ctx
        for attempt in (1, 2):
            payload = await self._reader.read(frame.offset, frame.offset + frame.payload)
            opened = await self._reference(frame) if frame.codec is Codec.ZSTD_PREFIX else None
            if opened is not None:
                await self.ensure(opened, frame.ranges)
            began = ctx.clock.monotonic()
            try:
                async with asyncio.timeout(ctx.settings.codec_timeout):
                    data = await ctx.codec_pool.run(frames.decode, frame, payload, opened.read if opened else None)
            except TimeoutError as error:
                raise errors.Busy("decoding a frame took longer than codec_timeout_secs") from error
            except (zstd.BrokenFrame, errors.Corrupt) as error:
                ctx.events.integrity_failed()
                _log.error("a frame fails a check", attempt=attempt, reason=str(error), key=self._reader.stored.key)
                if opened is not None:
                    await opened.recheck(frame.ranges)
                continue
            ctx.events.decoded(ctx.clock.monotonic() - began)
            return data
        raise errors.Corrupt("a frame is damaged")

    async def _reference(self, frame: Frame) -> OpenReference:
        number = frame.reference
        assert number is not None
        if number not in self._references:
            try:
                opened = await self._cache.open(self._bucket, self._index.references[number])
            except errors.Corrupt as error:
                if await self._was_replaced():
                    raise errors.Unavailable("the object was replaced or deleted before it was read") from error
                self._ctx.events.integrity_failed()
                raise
            self._references[number] = await self._stack.enter_async_context(opened)
        return self._references[number]

    async def _was_replaced(self) -> bool:
        """Whether collection had the right to remove a reference of this generation."""
        stored = self._reader.stored
        try:
            return (await self._ctx.backend.head(self._bucket, stored.key)).etag != stored.etag
        except (NoSuchKey, NoSuchBucket):
            return True

    async def ensure(self, opened: OpenReference, ranges: Sequence[tuple[int, int]]) -> None:
        await opened.ensure(ranges)
        self.cache_hit = opened.hit and self.cache_hit is not False

    async def copied(self, opened: OpenReference, number: int) -> memoryview:
        """A piece of the reference, as it is: nothing but its own digest says that it is right."""
        piece = await opened.piece(number)
        self.cache_hit = opened.hit and self.cache_hit is not False
        return memoryview(piece)


@dataclass(slots=True)
class _Held:
    """Decoded bytes in memory, within the budget of the process."""

    ctx: Context
    view: memoryview
    closed: bool = False

    async def chunks(self, step: int) -> AsyncIterator[bytes | memoryview]:
        for at in range(0, len(self.view), step):
            yield self.view[at : at + step]

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.ctx.decoded.release(len(self.view))


@dataclass(slots=True)
class _Spooled:
    """Decoded bytes in a file, because memory is used up by other readers."""

    ctx: Context
    file: SpoolFile

    async def chunks(self, step: int) -> AsyncIterator[bytes | memoryview]:
        for at in range(0, self.file.size, step):
            yield await self.ctx.pool.run(self.file.read, at, min(at + step, self.file.size))

    def close(self) -> None:
        self.file.close()


@dataclass(slots=True)
class _Copied:
    """A part of the reference that needs no decoding; read as it is sent."""

    decoder: Decoder
    opened: OpenReference
    frame: Frame
    start: int
    stop: int

    async def chunks(self, step: int) -> AsyncIterator[bytes | memoryview]:
        at = 0
        for begin, length in self.frame.ranges:
            first, last = begin + max(self.start - at, 0), begin + min(self.stop - at, length)
            for number in piece_numbers([(first, last - first)]) if first < last else ():
                origin = number * PIECE
                piece = (await self.decoder.copied(self.opened, number))[: last - origin]
                for offset in range(max(first - origin, 0), len(piece), step):
                    yield piece[offset : offset + step]
            at += length

    def close(self) -> None:
        """Nothing is held beyond the reference, which the decoder closes."""
