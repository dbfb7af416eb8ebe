"""Opening an object for reading: one generation of it, whole or by ranges."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

from deltaglider_proxy.engine import errors, marks, names, sides, tags
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.decoder import Decoder, Layout, read_layout
from deltaglider_proxy.engine.legacy.opening import Legacy
from deltaglider_proxy.engine.model import Kind, ObjectInfo
from deltaglider_proxy.engine.reference_cache import ReferenceCache
from deltaglider_proxy.engine.spool import Spool
from deltaglider_proxy.engine.tags import Tagged
from deltaglider_proxy.engine.translate import translated_stream
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Reader


class Source(Protocol):
    """What gives the logical bytes of an object that is not stored as it is."""

    @property
    def cache_hit(self) -> bool | None: ...

    def chunks(self, start: int, stop: int, step: int) -> AsyncIterator[bytes | memoryview]: ...

    async def close(self) -> None: ...


class Getter:
    """Gives open objects and their descriptions."""

    def __init__(self, ctx: Context, cache: ReferenceCache, spool: Spool, tagged: Tagged) -> None:
        self._ctx = ctx
        self._cache = cache
        self._spool = spool
        self._legacy = Legacy(ctx)
        self._tagged = tagged

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        if self._ctx.settings.policy(bucket).legacy and (older := await self._legacy.head(bucket, key)) is not None:
            return await self._with_tags(bucket, older)
        storage_key = names.to_storage(key)
        backend = self._ctx.backend
        try:
            stored = backend.head_now(bucket, storage_key) or await backend.head(bucket, storage_key)
        except storage.NoSuchKey as error:
            raise errors.NoSuchKey(key) from error
        mark = marks.mark_of(stored)
        side = await sides.read(self._ctx, bucket, mark) if mark is not None and mark.side else None
        return await self._with_tags(bucket, marks.describe(stored, key, side))

    async def _with_tags(self, bucket: str, info: ObjectInfo) -> ObjectInfo:
        if not await self._tagged.any(bucket):
            return info
        counted = await tags.count(self._ctx, bucket, info)
        return replace(info, tag_count=counted) if counted else info

    async def open(self, bucket: str, key: str) -> "OpenObject":
        if self._ctx.settings.policy(bucket).legacy and (older := await self._legacy.open(bucket, key)) is not None:
            return OpenObject(self._ctx, older.reader, older.info, None, older.source)
        return await self.open_stored(bucket, names.to_storage(key))

    async def open_stored(self, bucket: str, storage_key: str) -> "OpenObject":
        """Open what a storage key holds, a staged part for instance."""
        key = names.to_client(storage_key) or ""
        try:
            reader = await self._ctx.backend.open(bucket, storage_key)
        except storage.NoSuchKey as error:
            raise errors.NoSuchKey(key) from error
        try:
            side = await sides.read(self._ctx, bucket, marks.mark_of(reader.stored))
            info = marks.describe(reader.stored, key, side)
            if key:
                info = await self._with_tags(bucket, info)
            layout = decoder = None
            if info.kind is Kind.DELTA:
                layout = await read_layout(self._ctx, reader)
                if layout.index.object_id != info.object_id or layout.index.size != info.size:
                    raise errors.Corrupt("a container is not the one that its metadata says")
                decoder = Decoder(self._ctx, self._cache, self._spool, bucket, reader, layout.index)
        except BaseException:
            await reader.close()
            raise
        return OpenObject(self._ctx, reader, info, layout, decoder)


class OpenObject:
    """See `engine.api.OpenObject`."""

    def __init__(
        self, ctx: Context, reader: Reader, info: ObjectInfo, layout: Layout | None, source: Source | None
    ) -> None:
        self._ctx = ctx
        self._streams = 0
        self.info = info
        self.layout = layout
        """Of a container; None for an object that is stored as it is."""
        self.reader = reader
        self._source = source

    def read_now(self, start: int, stop: int) -> bytes | None:
        return self.reader.read_now(start, stop) if self._source is None else None

    @property
    def reference_names(self) -> set[str]:
        return {r.name for r in self.layout.index.references} if self.layout is not None else set()

    def stream(self, start: int, stop: int) -> AsyncIterator[bytes | memoryview]:
        step = self._ctx.streams.begin()
        self._streams += 1
        source = self._source if self._source is not None else self.reader
        return translated_stream(source.chunks(start, stop, step))

    @property
    def cache_hit(self) -> bool | None:
        return self._source.cache_hit if self._source is not None else None

    async def close(self) -> None:
        while self._streams:
            self._streams -= 1
            self._ctx.streams.end()
        try:
            if self._source is not None:
                await self._source.close()
        finally:
            await self.reader.close()
