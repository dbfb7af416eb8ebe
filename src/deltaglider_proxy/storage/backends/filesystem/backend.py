"""Objects as plain files below one directory, for all processes of one host.

An object is the file at its key's path with its metadata in one extended attribute, so that other programs find files
where keys say, and their files are objects at once. Whatever becomes visible was written elsewhere, synced, and renamed
into place under the key's lock. See paths.py for keys that are no paths, locks.py for who waits for whom, exchange.py
for programs that know no locks, names.py and walk.py for listings.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import structlog

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import (
    ANY_SIZE,
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
from deltaglider_proxy.storage.backends.filesystem import buckets, compose, exchange, generations, host, listing
from deltaglider_proxy.storage.backends.filesystem.drafts import Draft
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable, meaning, translated
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.backends.filesystem.locks import Locks
from deltaglider_proxy.storage.backends.filesystem.names import Later, Names
from deltaglider_proxy.storage.backends.filesystem.reader import FileReader
from deltaglider_proxy.storage.backends.filesystem.root import LOCKS, open_root
from deltaglider_proxy.storage.backends.filesystem.tree import Tree
from deltaglider_proxy.storage.backends.filesystem.writer import FileWriter
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background

P = ParamSpec("P")
R = TypeVar("R")

_END: Final = object()
CACHED_NAMES: Final = 2_000_000

_log = structlog.get_logger("deltaglider_proxy.storage.filesystem")


class FilesystemBackend:
    """Raises RootUnusable if `root` cannot hold objects.

    `fsync`: whether mutations are durable when they return. `inline_reads`: whether small reads may be done on the
    event loop; off for mounts on which opening a file waits for a network. `cached_names` bounds the names of
    directory entries that are remembered between pages of listings. The pool is the caller's to close, after this.
    """

    def __init__(
        self,
        root: Path,
        pool: Pool,
        clock: Clock,
        *,
        fsync: bool = True,
        inline_reads: bool = True,
        cached_names: int = CACHED_NAMES,
        files: Files | None = None,
    ) -> None:
        self._capabilities = Capabilities(
            max_metadata=generations.MAX_METADATA, listing_has_metadata=True, late_metadata=ANY_SIZE, local=True
        )
        self._files = files or Files()
        self._root = open_root(self._files, root)
        self._pool = pool
        self._clock = clock
        self._inline = inline_reads
        self._tree = Tree(self._files, self._root, durable=fsync)
        self._locks = Locks(self._files, self._root.own, LOCKS)
        self._names = Names(self._files, clock, cached_names)
        self._background = Background()
        self._host: int | None = None
        self._purging: Future[None] | None = None

    def capabilities(self, _bucket: str, /) -> Capabilities:
        return self._capabilities

    def acquire_host(self) -> None:
        """Claim the root for this server and clean up after the one before; raises RootUnusable if one is running.

        The main process calls it before its workers start, and holds the claim until `close`.
        """
        try:
            self._host = host.take(self._files, self._root)
            self._warn(host.sweep(self._files, self._root))
        except OSError as error:
            raise RootUnusable(f"directory {self._root.path}: {error.strerror} ({error.filename})") from error
        self._purging = self._pool.submit(self._purge)

    def finish_purge(self) -> None:
        """Blocks until what `acquire_host` has begun is done: before its pool is closed, which forgets what waits."""
        if self._purging is not None:
            self._purging.result()

    async def buckets(self) -> Sequence[BucketInfo]:
        return await self._pool.run(buckets.every, self._tree)

    async def bucket(self, bucket: str) -> BucketInfo:
        return await self._pool.run(buckets.info, self._tree, bucket)

    async def create_bucket(self, bucket: str) -> None:
        await self._pool.run(buckets.create, self._tree, self._locks, bucket)

    async def delete_bucket(self, bucket: str, disposable: str) -> None:
        await self._pool.run(buckets.delete, self._tree, self._locks, bucket, disposable)
        self._background.start("purge of deleted buckets", self._pool.run(self._purge))

    async def head(self, bucket: str, key: str) -> Stored:
        return await self._small(self._tree.head, bucket, key)

    def head_now(self, bucket: str, key: str) -> Stored | None:
        return self._tree.head(bucket, key) if self._inline else None

    async def open(self, bucket: str, key: str) -> Reader:
        if self._inline:
            return self._open(bucket, key)
        opened: list[Reader] = []
        try:
            await self._pool.run(lambda: opened.append(self._open(bucket, key)))
        except asyncio.CancelledError:
            for reader in opened:
                await reader.close()
            raise
        return opened[0]

    async def write(
        self,
        bucket: str,
        key: str,
        metadata: Metadata,
        size: int | None = None,
        *,
        conditional: bool = False,  # noqa: ARG002 - a file needs no preparation
    ) -> Writer:
        keys.check(key)
        await self._small(self._tree.require, bucket)
        return FileWriter(self._tree, self._locks, self._pool, bucket, key, metadata, size)

    async def delete(self, bucket: str, key: str, condition: IfMatch | None = None) -> bool:
        return await self._locks.with_key(self._pool, bucket, key, lambda: self._tree.delete(bucket, key, condition))

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
        draft = self._tree.draft()
        try:
            steps = compose.join(self._tree, bucket, pieces, pin, draft)
            try:
                while await self._pool.run(_advance, steps):
                    pass
            finally:
                await self._pool.run(steps.close)
            return await self._locks.with_key(
                self._pool,
                bucket,
                key,
                lambda: self._tree.put(bucket, key, draft, condition),
                lambda: draft.seal(metadata),
            )
        finally:
            await self._discard(draft)

    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        keys.check(key)
        draft = self._tree.draft()
        try:
            await self._pool.run(draft.append, data)
            return await self._locks.with_key(
                self._pool,
                bucket,
                key,
                lambda: exchange.replace(self._tree, bucket, key, draft, IfMatch(expected.etag)),
                lambda: draft.seal(metadata),
            )
        finally:
            await self._discard(draft)

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = "", hidden: str = ""
    ) -> Page:
        query = listing.Query(prefix, after, limit, delimiter, hidden)
        since = self._clock.monotonic()
        while True:
            try:
                return await self._pool.run(self._page, bucket, query, since)
            except Later as later:
                await asyncio.sleep(later.seconds)

    async def close(self) -> None:
        """Ends the claim on the root too. No call may be under way."""
        await self._background.drain()
        if self._purging is not None:
            await self._pool.wait(self._purging)
        self._root.close(self._files)
        if self._host is not None:
            self._files.close(self._host)

    async def _small(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return work(*args, **kwargs) if self._inline else await self._pool.run(work, *args, **kwargs)

    def _open(self, bucket: str, key: str) -> Reader:
        found = self._tree.find(bucket, key)
        try:
            stored = generations.describe(self._files, found.fd, key, found.status)
        except BaseException as error:
            self._files.close(found.fd)
            if isinstance(error, OSError):
                raise meaning(f"read metadata of {key!r}", error) from error
            raise
        return FileReader(self._files, self._pool, found.fd, stored, found.status.st_mtime_ns, inline=self._inline)

    async def _discard(self, draft: Draft) -> None:
        """Unless it became an object, nothing of it stays, not even if the task is cancelled right now."""
        if draft.is_open:
            try:
                await self._pool.run(draft.discard)
            except asyncio.CancelledError:
                draft.discard()
                raise

    def _page(self, bucket: str, query: listing.Query, since: float) -> Page:
        self._tree.require(bucket)
        with translated(f"list {bucket!r}"):
            return listing.page(self._files, self._names, self._root.fd, bucket, query, since)

    def _purge(self) -> None:
        try:
            self._warn(host.purge(self._files, self._root))
        except OSError as error:
            self._warn([error])

    @staticmethod
    def _warn(failures: Sequence[OSError]) -> None:
        for error in failures:
            _log.warning("leftovers stay until the next start", error=error.strerror, name=error.filename)


def _advance(steps: Iterator[None]) -> bool:
    """False at the end."""
    return next(steps, _END) is not _END
