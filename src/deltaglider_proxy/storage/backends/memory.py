"""A backend in the memory of one process: the smallest thing that keeps the contract, and the model for the others.

Each method takes effect at one instant between two calls of the hook, so that a test decides what happens in between.
Nothing is durable. The options imitate what other storage can and cannot do.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import (
    ANY_SIZE,
    STEP,
    BucketInfo,
    Capabilities,
    Condition,
    IfAbsent,
    IfMatch,
    Metadata,
    Page,
    Piece,
    Reader,
    Stored,
    Writer,
)
from deltaglider_proxy.storage.errors import (
    BucketExists,
    BucketNotEmpty,
    Changed,
    ConditionFailed,
    MetadataTooLarge,
    NoSuchBucket,
    NoSuchKey,
)
from deltaglider_proxy.storage.steps import Hook, When, no_hook
from deltaglider_proxy.telemetry.clock import Clock

DEFAULT = Capabilities(max_metadata=3500, listing_has_metadata=True, late_metadata=ANY_SIZE, local=False)


class Etags(StrEnum):
    UNIQUE = "unique"
    """No two generations share one."""
    MD5 = "md5-of-bytes"
    """As S3 has it: equal bytes have equal ETags, whatever their metadata."""


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    stored: Stored


@dataclass(slots=True)
class _Bucket:
    created: float
    objects: dict[str, _Object] = field(default_factory=dict)


class _MemoryReader:
    def __init__(self, content: _Object, bucket: str, hook: Hook, *, local: bool) -> None:
        self.stored = content.stored
        self._data = content.data
        self._bucket = bucket
        self._hook = hook
        self._local = local
        self._descriptor: int | None = None

    async def read(self, start: int, stop: int) -> bytes:
        await self._hook(When.BEFORE, "read", self._bucket, self.stored.key)
        data = self._data[max(start, 0) : max(stop, 0)]
        await self._hook(When.AFTER, "read", self._bucket, self.stored.key)
        return data

    def read_now(self, start: int, stop: int) -> bytes | None:
        return self._data[max(start, 0) : max(stop, 0)] if self._local else None

    async def chunks(self, start: int, stop: int, step: int = STEP) -> AsyncIterator[bytes]:
        stop = min(stop, len(self._data))
        for at in range(max(start, 0), stop, step):
            yield await self.read(at, min(at + step, stop))

    def fileno(self) -> int | None:
        if self._local and self._descriptor is None:
            self._descriptor = os.memfd_create("object")
            with os.fdopen(self._descriptor, "wb", closefd=False) as file:
                file.write(self._data)
        return self._descriptor

    async def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _MemoryWriter:
    def __init__(
        self,
        backend: "MemoryBackend",
        bucket: str,
        key: str,
        metadata: Metadata,
        size: int | None,
        *,
        conditional: bool,
    ) -> None:
        self._backend = backend
        self._conditional = conditional
        self._size = size
        self._bucket = bucket
        self._key = key
        self._metadata = metadata
        self._data = bytearray()
        self._open = True

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self._open, "write after the writer has ended"
        await self._backend.hook(When.BEFORE, "append", self._bucket, self._key)
        self._data += data
        await self._backend.hook(When.AFTER, "append", self._bucket, self._key)

    async def commit(self, condition: Condition = None, metadata: Metadata | None = None) -> Stored:
        assert self._open, "commit after the writer has ended"
        assert self._size in (None, len(self._data)), f"size: {self._size} announced, {len(self._data)} written"
        prepared = self._conditional or len(self._data) <= self._backend.abilities.late_metadata
        assert condition is None or prepared, "a condition that was not announced"
        if metadata is not None:
            if len(self._data) > self._backend.abilities.late_metadata:
                raise ValueError(
                    "metadata: this backend takes it when the writer begins; see Capabilities.late_metadata"
                )
            self._metadata = metadata
        self._open = False
        try:
            return await self._backend.store(
                "commit", self._bucket, self._key, bytes(self._data), self._metadata, condition
            )
        except ConditionFailed:
            self._open = True
            raise

    async def abort(self) -> None:
        self._open = False
        self._data.clear()


class MemoryBackend:
    """See the module's docstring. `clock` gives Last-Modified; `hook` is awaited before and after each effect."""

    def __init__(
        self,
        clock: Clock,
        capabilities: Capabilities = DEFAULT,
        etags: Etags = Etags.UNIQUE,
        hook: Hook = no_hook,
    ) -> None:
        self.abilities = capabilities
        self.hook = hook
        self._clock = clock
        self._etags = etags
        self._buckets: dict[str, _Bucket] = {}
        self._generations = 0

    def capabilities(self, _bucket: str, /) -> Capabilities:
        return self.abilities

    async def buckets(self) -> Sequence[BucketInfo]:
        await self.hook(When.BEFORE, "buckets", "", "")
        found = [BucketInfo(name, bucket.created) for name, bucket in sorted(self._buckets.items())]
        await self.hook(When.AFTER, "buckets", "", "")
        return found

    async def bucket(self, bucket: str) -> BucketInfo:
        await self.hook(When.BEFORE, "bucket", bucket, "")
        info = BucketInfo(bucket, self._find(bucket).created)
        await self.hook(When.AFTER, "bucket", bucket, "")
        return info

    async def create_bucket(self, bucket: str) -> None:
        await self.hook(When.BEFORE, "create_bucket", bucket, "")
        if bucket in self._buckets:
            raise BucketExists(bucket)
        self._buckets[bucket] = _Bucket(self._clock.now())
        await self.hook(When.AFTER, "create_bucket", bucket, "")

    async def delete_bucket(self, bucket: str, disposable: str) -> None:
        await self.hook(When.BEFORE, "delete_bucket", bucket, "")
        for key in self._find(bucket).objects:
            if not (disposable and key.startswith(disposable)):
                raise BucketNotEmpty(key)
        del self._buckets[bucket]
        await self.hook(When.AFTER, "delete_bucket", bucket, "")

    async def head(self, bucket: str, key: str) -> Stored:
        await self.hook(When.BEFORE, "head", bucket, key)
        stored = self._get(bucket, key).stored
        await self.hook(When.AFTER, "head", bucket, key)
        return stored

    def head_now(self, bucket: str, key: str) -> Stored | None:
        return self._get(bucket, key).stored if self.abilities.local else None

    async def open(self, bucket: str, key: str) -> Reader:
        await self.hook(When.BEFORE, "open", bucket, key)
        content = self._get(bucket, key)
        await self.hook(When.AFTER, "open", bucket, key)
        return _MemoryReader(content, bucket, self.hook, local=self.abilities.local)

    async def write(
        self, bucket: str, key: str, metadata: Metadata, size: int | None = None, *, conditional: bool = False
    ) -> Writer:
        keys.check(key)
        await self.hook(When.BEFORE, "write", bucket, key)
        self._find(bucket)
        await self.hook(When.AFTER, "write", bucket, key)
        return _MemoryWriter(self, bucket, key, metadata, size, conditional=conditional)

    async def delete(self, bucket: str, key: str, condition: IfMatch | None = None) -> bool:
        await self.hook(When.BEFORE, "delete", bucket, key)
        objects = self._find(bucket).objects
        _check(condition, objects.get(key))
        existed = objects.pop(key, None) is not None
        await self.hook(When.AFTER, "delete", bucket, key)
        return existed

    async def compose(
        self,
        bucket: str,
        key: str,
        pieces: Sequence[Piece],
        metadata: Metadata,
        condition: Condition = None,
        pin: IfMatch | None = None,
    ) -> Stored:
        keys.check(key)
        sources = [self._get(bucket, piece.key) for piece in pieces]
        if pin is not None and sources[0].stored.etag != pin.etag:
            raise Changed(pieces[0].key)
        for piece, source in zip(pieces, sources, strict=True):
            if not 0 <= piece.start <= piece.stop <= len(source.data):
                raise Changed(piece.key)
        data = b"".join(source.data[p.start : p.stop] for p, source in zip(pieces, sources, strict=True))
        return await self.store("compose", bucket, key, data, metadata, condition)

    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        keys.check(key)
        return await self.store("replace", bucket, key, data, metadata, expected)

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = "", hidden: str = ""
    ) -> Page:
        await self.hook(When.BEFORE, "list", bucket, prefix)
        page = self._page(self._find(bucket).objects, prefix, after, limit, delimiter, hidden)
        await self.hook(When.AFTER, "list", bucket, prefix)
        return page

    async def close(self) -> None:
        """Nothing to release."""

    async def store(
        self, step: str, bucket: str, key: str, data: bytes, metadata: Metadata, condition: Condition | Stored
    ) -> Stored:
        """Make `data` the object at the key, if `condition` holds: what all mutations end with."""
        await self.hook(When.BEFORE, step, bucket, key)
        if sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items()) > (
            self.abilities.max_metadata
        ):
            raise MetadataTooLarge(f"metadata of {key!r}: more than {self.abilities.max_metadata} bytes")
        objects = self._find(bucket).objects
        _check(condition, objects.get(key))
        self._generations += 1
        etag = (
            f"generation-{self._generations}"
            if self._etags is Etags.UNIQUE
            else hashlib.md5(data, usedforsecurity=False).hexdigest()
        )
        stored = Stored(key, len(data), etag, self._clock.now(), dict(metadata))
        objects[key] = _Object(data, stored)
        await self.hook(When.AFTER, step, bucket, key)
        return stored

    def _find(self, bucket: str) -> _Bucket:
        found = self._buckets.get(bucket)
        if found is None:
            raise NoSuchBucket(bucket)
        return found

    def _get(self, bucket: str, key: str) -> _Object:
        found = self._find(bucket).objects.get(key)
        if found is None:
            raise NoSuchKey(key)
        return found

    def _page(
        self, objects: Mapping[str, _Object], prefix: str, after: str, limit: int, delimiter: str, hidden: str
    ) -> Page:
        entries: list[Stored | str] = []
        for key in sorted(objects):
            if not key.startswith(prefix) or (hidden and key.startswith(hidden)):
                continue
            rolled = keys.common_prefix(key, prefix, delimiter)
            if (rolled or key) <= after or (rolled is not None and rolled in entries[-1:]):
                continue
            if len(entries) >= limit:
                return Page(tuple(entries), truncated=True)
            entries.append(self._listed(objects[key].stored) if rolled is None else rolled)
        return Page(tuple(entries), truncated=False)

    def _listed(self, stored: Stored) -> Stored:
        return stored if self.abilities.listing_has_metadata else replace(stored, metadata=None)


def _check(condition: Condition | Stored, current: _Object | None) -> None:
    match condition:
        case Stored(etag=etag, metadata=beside) if current is None or (
            current.stored.etag,
            current.stored.metadata,
        ) != (etag, beside):
            raise ConditionFailed("the key does not hold exactly this object")
        case IfAbsent() if current is not None:
            raise ConditionFailed("the key holds an object")
        case IfMatch(etag) if current is None or current.stored.etag != etag:
            raise ConditionFailed("the key does not hold this generation")
        case _:
            return
