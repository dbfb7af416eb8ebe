"""Writing an object: bytes gather in one buffer while a thread writes the one before, so that the socket is read on.

The temporary file is made when the first buffer is full, or at the commit: a small object costs one visit to a thread.
"""

import asyncio
from concurrent.futures import Future
from typing import Final

from deltaglider_proxy.storage.backend import Condition, Metadata, Stored
from deltaglider_proxy.storage.backends.filesystem.locks import Locks
from deltaglider_proxy.storage.backends.filesystem.tree import Tree
from deltaglider_proxy.storage.errors import ConditionFailed, StorageError
from deltaglider_proxy.telemetry.pool import Pool

_BUFFER: Final = 1 << 20


class FileWriter:
    """`size` is checked against what was written, where it is given."""

    def __init__(
        self, tree: Tree, locks: Locks, pool: Pool, bucket: str, key: str, metadata: Metadata, size: int | None
    ) -> None:
        self._tree = tree
        self._locks = locks
        self._pool = pool
        self._bucket = bucket
        self._key = key
        self._metadata = metadata
        self._size = size
        self._buffer = bytearray()
        self._job: Future[None] | None = None
        self._draft = tree.draft()
        self._open = True

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self._open, "write after the writer has ended"
        try:
            with memoryview(data) as view:
                done = 0
                while done < len(view):
                    part = view[done : done + _BUFFER - len(self._buffer)]
                    self._buffer += part
                    done += len(part)
                    if len(self._buffer) == _BUFFER:
                        await self._drain()
                        full, self._buffer = self._buffer, bytearray()
                        self._job = self._pool.submit(self._draft.append, full)
        except BaseException:
            await self.abort()
            raise

    async def commit(self, condition: Condition = None, metadata: Metadata | None = None) -> Stored:
        assert self._open, "commit after the writer has ended"
        if metadata is not None:
            self._metadata = metadata
        try:
            await self._drain()
            return await self._locks.with_key(
                self._pool, self._bucket, self._key, lambda: self._put(condition), self._prepare
            )
        except ConditionFailed:
            raise
        except BaseException:
            await self.abort()
            raise

    async def abort(self) -> None:
        self._open = False
        self._buffer = bytearray()
        job, self._job = self._job, None
        try:
            if job is not None and not job.cancel():
                await self._pool.wait(job)
        except StorageError:
            pass  # why the last write failed concerns nobody any more
        finally:
            await self._discard()

    async def _discard(self) -> None:
        if self._draft.is_open:
            try:
                await self._pool.run(self._draft.discard)
            except asyncio.CancelledError:
                self._draft.discard()  # here, if no thread had begun to
                raise

    async def _drain(self) -> None:
        """Wait for the buffer that a thread writes. Raises what it met."""
        if self._job is not None:
            job, self._job = self._job, None
            await self._pool.wait(job)

    def _prepare(self) -> None:
        self._draft.append(self._buffer)
        self._buffer = bytearray()
        assert self._size in (None, self._draft.size), f"size: {self._size} announced, {self._draft.size} written"
        self._draft.seal(self._metadata)

    def _put(self, condition: Condition) -> Stored:
        stored = self._tree.put(self._bucket, self._key, self._draft, condition)
        self._open = False
        return stored
