"""Locks that threads and processes exclude each other with: ranges of one file, on a descriptor per holder.

Whoever changes a key holds its bucket shared and its key exclusively, in this order; whoever creates or deletes a
bucket holds that one exclusively. A thread holds one such pair and needs no other thread before it lets go, so pools
that are full of waiters cannot deadlock. So that a busy key does not fill the pool either, tasks of one process line
up in front of a stripe before one of them waits in a thread; the first try, which waits for nothing, skips the queue.

A stripe is one byte of the file. The locks are those of open file descriptions (F_OFD_SETLK, fcntl(2)), which belong
to the descriptor and end with it, as flock(2) has it; but one file serves for all, so that taking a lock never needs
space on a disk that is full.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import xxhash

from deltaglider_proxy.storage.backends.filesystem.failures import translated
from deltaglider_proxy.storage.backends.filesystem.files import LOCK, Files
from deltaglider_proxy.telemetry.pool import Pool

R = TypeVar("R")

_STRIPES: Final = 256


class _Busy(Exception):
    """Somebody else holds it."""


class Locks:
    def __init__(self, files: Files, directory: int, name: str) -> None:
        """The file of the stripes is `name` in the directory with this descriptor."""
        self._files = files
        self._directory = directory
        self._name = name
        self._queues: dict[int, asyncio.Lock] = {}

    async def with_key(
        self, pool: Pool, bucket: str, key: str, change: Callable[[], R], prepare: Callable[[], None] = lambda: None
    ) -> R:
        """Run `change` in a thread that holds the key and, shared, its bucket; before it, `prepare` without them.

        `prepare` may be called again if the key was busy.
        """
        stripe = _STRIPES + _stripe(f"{bucket}/{key}")
        try:
            return await pool.run(self._run, bucket, stripe, change, prepare, wait=False)
        except _Busy:
            async with self._queues.setdefault(stripe, asyncio.Lock()):
                return await pool.run(self._run, bucket, stripe, change, prepare, wait=True)

    def _run(self, bucket: str, stripe: int, change: Callable[[], R], prepare: Callable[[], None], *, wait: bool) -> R:
        prepare()
        with self._holder() as fd:
            self._hold(fd, _stripe(bucket), exclusive=False, wait=wait)
            self._hold(fd, stripe, exclusive=True, wait=wait)
            return change()

    @contextmanager
    def bucket(self, bucket: str) -> Iterator[None]:
        """Hold the bucket alone, waiting for it in this thread."""
        with self._holder() as fd:
            self._hold(fd, _stripe(bucket), exclusive=True, wait=True)
            yield

    @contextmanager
    def _holder(self) -> Iterator[int]:
        with translated("open the locks"):
            fd = self._files.open(self._directory, self._name, LOCK)
        try:
            yield fd
        finally:
            self._files.close(fd)

    def _hold(self, fd: int, stripe: int, *, exclusive: bool, wait: bool) -> None:
        with translated("lock"):
            try:
                self._files.lock(fd, stripe, exclusive=exclusive, wait=wait)
            except BlockingIOError:
                raise _Busy from None


def _stripe(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode(errors="surrogatepass")) % _STRIPES
