"""Hard quotas: how many logical bytes a bucket may hold, exact over all workers of the host.

One counter per bucket, in a file that all workers map. It begins with a listing of the bucket, made while its writers
wait; from then on every change adds what the object grows by before it commits, and takes away what it shrinks by
after. Changes of one key take turns, so that two overwrites do not both count the old object as gone. A change whose
outcome is unknown stays counted. Now and then the bucket is counted anew beside the traffic, erring on the safe side,
because others may write to the storage as well.
"""

import asyncio
import fcntl
import hashlib
import mmap
import os
import shutil
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from deltaglider_proxy.engine import commit, errors, names, usage
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.facts import Facts
from deltaglider_proxy.storage.host_locks import HostLocks

_PATIENCE = 20.0
"""Seconds that a change waits for the first count of its bucket."""


def forget(directory: Path) -> None:
    """Drop all counts below an engine's cache directory; call it when no worker runs."""
    shutil.rmtree(directory / "quota", ignore_errors=True)


class Quotas:
    def __init__(self, ctx: Context, facts: Facts) -> None:
        self._ctx = ctx
        self._facts = facts
        self._directory = ctx.settings.cache_dir / "quota"
        self._locks = HostLocks(self._directory / "changes.lock")
        self._counters: dict[str, _Counter] = {}
        self._counting: dict[str, asyncio.Task[None]] = {}

    def admit(self, bucket: str, size: int | None) -> None:
        """Refuse at once what can never fit. Raises QuotaExceeded."""
        limit = self._limit(bucket)
        if limit is not None and (limit == 0 or (size is not None and size > limit)):
            raise errors.QuotaExceeded(limit)

    @asynccontextmanager
    async def growing(self, bucket: str, storage_key: str, size: int) -> AsyncIterator[None]:
        """The block makes an object of `size` logical bytes visible at the key. Raises QuotaExceeded, Busy."""
        limit = self._limit(bucket)
        if limit is None or names.to_client(storage_key) is None:
            yield
            return
        async with self._change(bucket, storage_key) as (counter, before):
            growth = max(size - before, 0)
            if limit == 0 or not counter.grow(growth, limit):
                raise errors.QuotaExceeded(limit)
            try:
                yield
            except (errors.Uncertain, asyncio.CancelledError):
                raise  # it may have taken effect
            except BaseException:
                counter.shrink(growth)
                raise
            counter.shrink(max(before - size, 0))

    @asynccontextmanager
    async def removing(self, bucket: str, storage_key: str) -> AsyncIterator[None]:
        """The block deletes what is at the key."""
        if self._limit(bucket) is None:
            yield
            return
        async with self._change(bucket, storage_key) as (counter, before):
            yield
            counter.shrink(before)

    def _limit(self, bucket: str) -> int | None:
        return self._ctx.settings.policy(bucket).quota_bytes

    @asynccontextmanager
    async def _change(self, bucket: str, storage_key: str) -> "AsyncIterator[tuple[_Counter, int]]":
        """Alone at the key: the counter of the bucket, and the size of what the key holds."""
        counter = await self._counted(bucket)
        async with self._locks.hold(f"{bucket}/{storage_key}"):
            current = await commit.look(self._ctx, bucket, storage_key)
            yield counter, current.size if current is not None else 0

    async def _counted(self, bucket: str) -> "_Counter":
        counter = self._counters.get(bucket)
        if counter is None:
            name = hashlib.blake2b(bucket.encode(), digest_size=16).hexdigest()
            counter = self._counters[bucket] = _Counter(self._directory / name)
        if self._ctx.clock.since_boot().seconds - counter.counted_at >= self._ctx.settings.usage_ttl:
            task = self._counting.get(bucket)
            if task is None or task.done():
                task = self._ctx.background.watch("count of a bucket", self._count(bucket, counter))
                self._counting[bucket] = task
            if not counter.counted_at:
                await asyncio.wait([task], timeout=_PATIENCE)
        if not counter.counted_at:
            raise errors.Busy("what the bucket holds is still being counted")
        return counter

    async def _count(self, bucket: str, counter: "_Counter") -> None:
        async with self._locks.hold(f"count {bucket}"):
            began = self._ctx.clock.since_boot().seconds
            if counter.counted_at and began - counter.counted_at < self._ctx.settings.usage_ttl:
                return
            grown = counter.grown
            found = await usage.measure(self._ctx, self._facts, bucket)
            counter.set(found.logical_bytes, grown, began)

    def close(self) -> None:
        for counter in self._counters.values():
            counter.close()


class _Counter:
    """Three numbers that all processes share: bytes in use, bytes ever added, and when they were last counted."""

    _NUMBERS = struct.Struct("<qqd")

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._alone():
            if os.fstat(self._fd).st_size < self._NUMBERS.size:
                # A mapped hole that cannot be filled kills the process; reserving the room now is an ordinary error.
                os.posix_fallocate(self._fd, 0, self._NUMBERS.size)
        self._map = mmap.mmap(self._fd, self._NUMBERS.size)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """For a few instructions, so waiting for another process is no wait."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _read(self) -> tuple[int, int, float]:
        used, grown, counted_at = self._NUMBERS.unpack(self._map)
        return used, grown, counted_at

    @property
    def counted_at(self) -> float:
        """Seconds since the boot; 0 if never."""
        return self._read()[2]

    @property
    def grown(self) -> int:
        return self._read()[1]

    def grow(self, size: int, limit: int) -> bool:
        """Add `size`, unless it is more than nothing and the sum is over the limit."""
        with self._alone():
            used, grown, counted_at = self._read()
            if size and used + size > limit:
                return False
            self._map[:] = self._NUMBERS.pack(used + size, grown + size, counted_at)
            return True

    def shrink(self, size: int) -> None:
        with self._alone():
            used, grown, counted_at = self._read()
            self._map[:] = self._NUMBERS.pack(used - size, grown, counted_at)

    def set(self, used: int, grown_before: int, at: float) -> None:
        """`used` was counted since `grown_before` was read: what was added meanwhile may be in it or not, so it counts
        on top.
        """
        with self._alone():
            _, grown, _ = self._read()
            self._map[:] = self._NUMBERS.pack(used + grown - grown_before, grown, at)

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)
