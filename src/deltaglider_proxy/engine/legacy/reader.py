"""Reading objects of the older layout, so that no byte of a wrong object is sent.

A delta can be decoded only whole. So it is decoded to a file, compared with the digest that its metadata names, and
served from there, whole or by ranges; the file is kept, so that the many ranges of one download decode once. Plain
bytes are hashed as they pass, and their last piece waits for the digest; ranges of them are as safe as their storage.
"""

import hashlib
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing

import structlog

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import packing, vcdiff
from deltaglider_proxy.engine.legacy.baseline import Baseline, fetch, open_baseline
from deltaglider_proxy.engine.legacy.kept import Kept, Scratch
from deltaglider_proxy.engine.legacy.metadata import Record
from deltaglider_proxy.storage.backend import Reader

_log = structlog.get_logger("deltaglider_proxy.legacy")

_PACKED = 1032
"""Times its size that a packed file may have inside: what deflate can do at best."""
_SMALL = 64 << 10


class _KeptBaseline(Exception):
    """What was decoded against a kept copy of a baseline is wrong."""


class Plain:
    """Bytes that are stored as they are."""

    cache_hit: bool | None = None

    def __init__(self, ctx: Context, reader: Reader, record: Record) -> None:
        self._ctx = ctx
        self._reader = reader
        self._record = record

    async def chunks(self, start: int, stop: int, step: int) -> AsyncIterator[bytes | memoryview]:
        size = self._reader.stored.size
        if self._record.size not in (None, size):
            raise self._damaged(f"has {size} bytes and its metadata says {self._record.size}")
        if (start, stop) != (0, size):
            async for chunk in self._reader.chunks(start, stop, step):
                yield chunk
            return
        digest = hashlib.sha256()
        held: bytes | None = None
        async for chunk in self._reader.chunks(start, stop, step):
            if held is not None:
                yield held
            await self._ctx.pool.run(digest.update, chunk)
            held = chunk
        if digest.hexdigest() != self._record.sha256:
            raise self._damaged("does not have the digest that its metadata gives")
        if held is not None:
            yield held

    def _damaged(self, reason: str) -> errors.Corrupt:
        self._ctx.events.integrity_failed()
        return errors.Corrupt(f"{self._reader.stored.key} {reason}")

    async def close(self) -> None:
        """Nothing is held beyond the reader."""


class Delta:
    """A delta, decoded when its first byte is asked for."""

    def __init__(self, ctx: Context, kept: Kept, bucket: str, reader: Reader, record: Record) -> None:
        self._ctx = ctx
        self._kept = kept
        self._bucket = bucket
        self._reader = reader
        self._record = record
        self._size = record.size or 0
        self._opened = ExitStack()
        self._file: Scratch | None = None
        self.cache_hit: bool | None = None

    async def chunks(self, start: int, stop: int, step: int) -> AsyncIterator[bytes | memoryview]:
        if self._file is None:
            self._file = self._opened.enter_context(closing(await self._rebuilt()))
        for at in range(start, min(stop, self._size), step):
            yield await self._ctx.pool.run(self._file.read, at, min(at + step, stop, self._size))

    async def close(self) -> None:
        self._opened.close()
        if self.cache_hit is not None:
            self._ctx.events.reference_used(hit=self.cache_hit)

    async def _rebuilt(self) -> Scratch:
        stored = self._reader.stored
        name = f"object {self._bucket}/{stored.key} {stored.etag} {self._record.sha256}"
        if (found := await self._kept.open(name)) is not None:
            self.cache_hit = True
            return found
        async with self._kept.alone(name):
            if (found := await self._kept.open(name)) is not None:
                self.cache_hit = True
                return found
            return await self._rebuild(name)

    async def _rebuild(self, name: str) -> Scratch:
        ctx = self._ctx
        if not ctx.spooled.reserve(self._size):
            raise errors.Busy("no spool room to rebuild an object of the older layout; see spool_max_bytes")
        try:
            try:
                return await self._rebuild_on(name, fresh=False)
            except _KeptBaseline:
                # A kept copy is as mortal as any file; the baseline in the storage may still be right.
                return await self._rebuild_on(name, fresh=True)
        except errors.Corrupt as error:
            ctx.events.integrity_failed()
            _log.error("a delta cannot be rebuilt", key=self._reader.stored.key, reason=str(error))
            raise
        finally:
            ctx.spooled.release(self._size)

    async def _rebuild_on(self, name: str, *, fresh: bool) -> Scratch:
        """Raises _KeptBaseline instead of Corrupt if the baseline may be to blame."""
        key = self._reader.stored.key
        baseline = await open_baseline(self._ctx, self._kept, self._bucket, key, self._record, fresh=fresh)
        self.cache_hit = baseline.hit
        try:
            return await self._rebuild_with(baseline, name)
        except errors.Corrupt as error:
            if baseline.kept:
                raise _KeptBaseline from error
            raise
        finally:
            await baseline.close()

    async def _rebuild_with(self, baseline: Baseline, name: str) -> Scratch:
        ctx = self._ctx
        result = self._kept.scratch()
        try:
            async with ctx.slots.hold():
                began = ctx.clock.monotonic()
                await self._decode(baseline, result)
                ctx.events.decoded(ctx.clock.monotonic() - began)
            await self._kept.keep(name, result)
        except BaseException:
            result.close()
            raise
        return result

    async def _decode(self, baseline: Baseline, result: Scratch) -> None:
        """Fill `result` with the verified object."""
        with ExitStack() as files:
            header = vcdiff.read_header(await self._reader.read(0, vcdiff.HEADER))
            delta = await self._delta(files)
            source = baseline.file
            if header.source:
                unpacked = files.enter_context(closing(self._kept.scratch()))
                await packing.unpack(self._ctx, header.source, source, unpacked, self._inside(baseline.size))
                source = unpacked.fileno()
            if not header.target:
                digest = await self._run(source, delta, result, self._size)
                if result.size != self._size or digest != self._record.sha256:
                    raise self._wrong()
                return
            plain = files.enter_context(closing(self._kept.scratch()))
            await self._run(source, delta, plain, self._inside(self._size))
            record = self._record
            await packing.repack(self._ctx, header.target, plain, result, record.sha256, self._size)

    def _inside(self, packed: int) -> int:
        """Bytes that may come out of a packed file of this size."""
        return min(_PACKED * max(packed, _SMALL), self._ctx.settings.spool_bytes // 4)

    async def _delta(self, files: ExitStack) -> int:
        """A descriptor of the delta."""
        descriptor = self._reader.fileno()
        if descriptor is not None:
            return descriptor
        copy = files.enter_context(closing(self._kept.scratch()))
        await fetch(self._ctx, self._reader, copy)
        return copy.fileno()

    async def _run(self, source: int, delta: int, target: Scratch, limit: int) -> str:
        """Write what the command makes to `target`, at most `limit` bytes; its SHA-256."""
        digest = hashlib.sha256()

        def take(chunk: bytes) -> None:
            target.append(chunk)
            digest.update(chunk)

        async with vcdiff.decoding(source, delta, self._ctx.settings.codec_timeout) as chunks:
            async for chunk in chunks:
                if target.size + len(chunk) > limit:
                    raise self._wrong()
                await self._ctx.pool.run(take, chunk)
        return digest.hexdigest()

    def _wrong(self) -> errors.Corrupt:
        return errors.Corrupt(f"the delta {self._reader.stored.key} does not make the object that its metadata names")
