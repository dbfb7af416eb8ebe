"""The backend as one process on a stage sees it: every request waits for the director."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from deltaglider_proxy.storage.backend import (
    Backend,
    BucketInfo,
    Capabilities,
    Condition,
    IfMatch,
    Metadata,
    Page,
    Piece,
    Reader,
    Stored,
    Writer,
)
from tests.support.engine.stage import Stage

R = TypeVar("R")


class StagedBackend:
    """`inner` as the process `process` sees it."""

    def __init__(self, inner: Backend, stage: Stage, process: str, page: int = 1000) -> None:
        self._inner = inner
        self._stage = stage
        self._process = process
        self._page = page

    async def around(self, step: str, key: str, effect: Callable[[], Awaitable[R]]) -> R:
        return await self._stage.request(self._process, step, key, effect)

    def alive(self) -> None:
        self._stage.alive(self._process)

    def capabilities(self, bucket: str, /) -> Capabilities:
        return self._inner.capabilities(bucket)

    async def buckets(self) -> Sequence[BucketInfo]:
        return await self.around("buckets", "", self._inner.buckets)

    async def bucket(self, bucket: str) -> BucketInfo:
        return await self.around("bucket", bucket, lambda: self._inner.bucket(bucket))

    async def create_bucket(self, bucket: str) -> None:
        await self.around("create_bucket", bucket, lambda: self._inner.create_bucket(bucket))

    async def delete_bucket(self, bucket: str, disposable: str) -> None:
        await self.around("delete_bucket", bucket, lambda: self._inner.delete_bucket(bucket, disposable))

    async def head(self, bucket: str, key: str) -> Stored:
        return await self.around("head", key, lambda: self._inner.head(bucket, key))

    def head_now(self, bucket: str, key: str) -> Stored | None:
        self.alive()
        return self._inner.head_now(bucket, key)

    async def open(self, bucket: str, key: str) -> Reader:
        return await self.around("open", key, lambda: self._inner.open(bucket, key))

    async def write(
        self, bucket: str, key: str, metadata: Metadata, size: int | None = None, *, conditional: bool = False
    ) -> Writer:
        await self.around("write", key, lambda: self._inner.write(bucket, key, metadata, size, conditional=conditional))
        return _StagedWriter(self, bucket, key, metadata, size)

    async def store(
        self, bucket: str, key: str, metadata: Metadata, size: int | None, data: bytes, condition: Condition
    ) -> Stored:
        """The effect of a commit; it may happen more than once, when somebody repeats it."""
        writer = await self._inner.write(bucket, key, metadata, size, conditional=condition is not None)
        try:
            await writer.write(data)
            return await writer.commit(condition)
        finally:
            await writer.abort()

    async def delete(self, bucket: str, key: str, condition: IfMatch | None = None) -> bool:
        return await self.around("delete", key, lambda: self._inner.delete(bucket, key, condition))

    async def compose(
        self,
        bucket: str,
        key: str,
        pieces: Sequence[Piece],
        metadata: Metadata,
        condition: Condition = None,
        pin: IfMatch | None = None,
    ) -> Stored:
        return await self.around(
            "compose", key, lambda: self._inner.compose(bucket, key, pieces, metadata, condition, pin)
        )

    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        return await self.around("replace", key, lambda: self._inner.replace(bucket, key, data, metadata, expected))

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = "", hidden: str = ""
    ) -> Page:
        most = limit if prefix else min(limit, self._page)
        return await self.around(
            "list", prefix or "/", lambda: self._inner.list(bucket, prefix, after, most, delimiter, hidden)
        )

    async def close(self) -> None:
        """Leaves `inner` to the other processes."""


class _StagedWriter:
    def __init__(self, backend: StagedBackend, bucket: str, key: str, metadata: Metadata, size: int | None) -> None:
        self._backend = backend
        self._bucket = bucket
        self._key = key
        self._metadata = metadata
        self._size = size
        self._data = bytearray()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await self._backend.around("append", self._key, _drafted)
        self._data += data

    async def commit(self, condition: Condition = None, metadata: Metadata | None = None) -> Stored:
        late = self._backend.capabilities(self._bucket).late_metadata
        assert metadata is None or len(self._data) <= late, (
            "metadata comes when the writer begins; see Capabilities.late_metadata"
        )
        beside = self._metadata if metadata is None else metadata
        data = bytes(self._data)
        return await self._backend.around(
            "commit",
            self._key,
            lambda: self._backend.store(self._bucket, self._key, beside, self._size, data, condition),
        )

    async def abort(self) -> None:
        """Nothing is kept that had to be removed; what is under way cannot be reached."""


async def _drafted() -> None:
    """The effect of an append: none that anybody sees."""
