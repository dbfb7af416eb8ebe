"""Locks by name that all processes of one host exclude each other with, held across awaits.

A name is one byte far out in one file: locks of open file descriptions (F_OFD_SETLK, fcntl(2)) need no bytes to be
there, end with the descriptor, and so with a process that dies. Waiters of other processes ask again every few
milliseconds instead of waiting in a thread: a pool full of waiters could not serve the holder.
"""

import asyncio
import fcntl
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import xxhash

_FLOCK: Final = struct.Struct("hhqqi4x")
_PAUSE: Final = 0.002
_PLACES: Final = (1 << 62) - 1


class HostLocks:
    """Do not hold two names at once: nothing orders them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._here: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, name: str, patience: float | None = None, *, shared: bool = False) -> AsyncIterator[None]:
        """The block runs alone under this name, or beside others that are `shared` too.

        Raises TimeoutError after `patience` seconds of waiting.
        """
        if shared:
            async with self._opened(name, patience, fcntl.F_RDLCK):
                yield
            return
        here = self._here.setdefault(name, asyncio.Lock())
        async with asyncio.timeout(patience):
            await here.acquire()
        try:
            async with self._opened(name, patience, fcntl.F_WRLCK):
                yield
        finally:
            here.release()

    @asynccontextmanager
    async def _opened(self, name: str, patience: float | None, kind: int) -> AsyncIterator[None]:
        place = xxhash.xxh3_64_intdigest(name.encode(errors="surrogatepass")) & _PLACES
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            async with asyncio.timeout(patience):
                while not _claim(fd, place, kind):  # noqa: ASYNC110 - it is another process that changes this
                    await asyncio.sleep(_PAUSE)
            yield
        finally:
            os.close(fd)


def _claim(fd: int, place: int, kind: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
    except BlockingIOError:
        return False
    return True
