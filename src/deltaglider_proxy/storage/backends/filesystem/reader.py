"""Reading one generation: the open file keeps its bytes, whatever happens to its name.

Only a program that writes into a file instead of renaming a new one over it can change what is being read; so after
each read the file must still have the size and the time of the last write that it was opened with.
"""

from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Final

from deltaglider_proxy.storage.backend import STEP, Stored
from deltaglider_proxy.storage.backends.filesystem.failures import meaning
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.errors import Changed, StorageError
from deltaglider_proxy.telemetry.pool import Pool

_SMALL: Final = 256 << 10


class FileReader:
    """`fd` is the reader's from now on. `written_ns` is the time of the last write to it."""

    def __init__(self, files: Files, pool: Pool, fd: int, stored: Stored, written_ns: int, *, inline: bool) -> None:
        self.stored = stored
        self._files = files
        self._pool = pool
        self._fd = fd
        self._written_ns = written_ns
        self._inline = inline
        self._ahead: Future[bytes] | None = None

    async def read(self, start: int, stop: int) -> bytes:
        start, stop = self._clamp(start, stop)
        ready = self.read_now(start, stop)
        return ready if ready is not None else await self._pool.run(self._read, start, stop)

    def read_now(self, start: int, stop: int) -> bytes | None:
        start, stop = self._clamp(start, stop)
        if start == stop:
            return b""
        if not self._inline or stop - start > _SMALL:
            return None
        try:
            data = self._files.read_now(self._fd, stop - start, start)
        except OSError as error:
            raise meaning(f"read {self.stored.key!r}", error) from error
        if data is not None:
            self._verify()
        return data

    async def chunks(self, start: int, stop: int, step: int = STEP) -> AsyncIterator[bytes]:
        start, stop = self._clamp(start, stop)
        ready = self.read_now(start, stop)
        if ready is not None:
            if ready:
                yield ready
            return
        piece = self._begin(start, min(start + step, stop))
        while start < stop:
            data = await self._pool.wait(piece)
            start += len(data)
            if start < stop:
                piece = self._begin(start, min(start + step, stop))
            yield data

    def _begin(self, start: int, stop: int) -> Future[bytes]:
        self._ahead = self._pool.submit(self._read, start, stop)
        return self._ahead

    def _read(self, start: int, stop: int) -> bytes:
        try:
            data = self._files.read(self._fd, stop - start, start)
        except OSError as error:
            raise meaning(f"read {self.stored.key!r}", error) from error
        self._verify()
        if len(data) != stop - start:
            raise Changed(self.stored.key)
        return data

    def _verify(self) -> None:
        status = self._files.stat(self._fd)
        if status.st_mtime_ns != self._written_ns or status.st_size != self.stored.size:
            raise Changed(self.stored.key)

    def _clamp(self, start: int, stop: int) -> tuple[int, int]:
        start = min(max(start, 0), self.stored.size)
        return start, min(max(stop, start), self.stored.size)

    def fileno(self) -> int | None:
        return self._fd

    async def close(self) -> None:
        """Waits for a read that is under way in a thread: the descriptor's number is free afterwards."""
        if self._fd < 0:
            return
        try:
            if self._ahead is not None and not self._ahead.cancel():
                await self._pool.wait(self._ahead)
        except StorageError:
            pass  # nobody waits for these bytes any more
        finally:
            fd, self._fd = self._fd, -1
            self._files.close(fd)
