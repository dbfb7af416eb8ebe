"""Locks that threads and processes exclude each other with: flock(2) on striped files, on a descriptor per holder.

Whoever changes a key holds its bucket shared and its key exclusively, in this order; whoever creates or deletes a
bucket holds that one exclusively. A thread holds one such pair and needs no other thread before it lets go, so pools
that are full of waiters cannot deadlock. So that a busy key does not fill the pool either, tasks of one process line
up in front of a stripe before one of them waits in a thread; the first try, which waits for nothing, skips the queue.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import xxhash

from deltaglider_proxy.storage.backends.filesystem.failures import meaning, translated
from deltaglider_proxy.storage.backends.filesystem.files import LOCK, Files
from deltaglider_proxy.telemetry.pool import Pool

R = TypeVar("R")

_STRIPES: Final = 256


class _Busy(Exception):
    """Somebody else holds it."""


class Locks:
    def __init__(self, files: Files, directory: int) -> None:
        """`directory` is the descriptor of the directory that holds the stripe files."""
        self._files = files
        self._directory = directory
        self._queues: dict[str, asyncio.Lock] = {}

    async def with_key(
        self, pool: Pool, bucket: str, key: str, change: Callable[[], R], prepare: Callable[[], None] = lambda: None
    ) -> R:
        """Run `change` in a thread that holds the key and, shared, its bucket; before it, `prepare` without them.

        `prepare` may be called again if the key was busy.
        """
        stripe = _key_stripe(bucket, key)
        try:
            return await pool.run(self._run, bucket, stripe, change, prepare, wait=False)
        except _Busy:
            async with self._queues.setdefault(stripe, asyncio.Lock()):
                return await pool.run(self._run, bucket, stripe, change, prepare, wait=True)

    def _run(self, bucket: str, stripe: str, change: Callable[[], R], prepare: Callable[[], None], *, wait: bool) -> R:
        prepare()
        with (
            self._hold(_bucket_stripe(bucket), exclusive=False, wait=wait),
            self._hold(stripe, exclusive=True, wait=wait),
        ):
            return change()

    @contextmanager
    def bucket(self, bucket: str) -> Iterator[None]:
        """Hold the bucket alone, waiting for it in this thread."""
        with self._hold(_bucket_stripe(bucket), exclusive=True, wait=True):
            yield

    @contextmanager
    def _hold(self, stripe: str, *, exclusive: bool, wait: bool) -> Iterator[None]:
        with translated("open a lock"):
            fd = self._files.open(self._directory, stripe, LOCK)
        try:
            try:
                self._files.lock(fd, exclusive=exclusive, wait=wait)
            except BlockingIOError:
                raise _Busy from None
            except OSError as error:
                raise meaning("lock", error) from error
            yield
        finally:
            self._files.close(fd)


def make_stripes(files: Files, directory: int) -> None:
    """Make the stripe files that are missing, so that no lock needs space on a disk that is full. Errors are OSError."""
    with files.scan(directory) as entries:
        there = {entry.name for entry in entries}
    for name in {f"{kind}-{number:02x}" for kind in ("bucket", "key") for number in range(_STRIPES)} - there:
        files.close(files.open(directory, name, LOCK))


def _bucket_stripe(bucket: str) -> str:
    return f"bucket-{_stripe(bucket):02x}"


def _key_stripe(bucket: str, key: str) -> str:
    return f"key-{_stripe(f'{bucket}/{key}'):02x}"


def _stripe(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode(errors="surrogatepass")) % _STRIPES
