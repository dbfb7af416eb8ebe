"""Temporary files for bodies that must be seen whole: they have no names, so a crash leaves nothing behind."""

import mmap
import os
from pathlib import Path

from deltaglider_proxy.codecs.buffers import Buffer
from deltaglider_proxy.engine.errors import DiskFull
from deltaglider_proxy.storage.backend import Writer
from deltaglider_proxy.telemetry.pool import Pool

_STEP = 1 << 20


class Spool:
    """The folder that they lie in; `Context.spooled` counts what uploads put there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)

    def file(self) -> "SpoolFile":
        return SpoolFile(os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))


class SpoolFile:
    """An anonymous file that is appended to. Its methods block: for the pool."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = 0

    def append(self, data: Buffer) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._descriptor, view)
                self.size += written
                view = view[written:]
        except OSError as error:
            raise DiskFull("the spool directory is full") from error

    def read(self, start: int, stop: int) -> bytes:
        return os.pread(self._descriptor, stop - start, start)

    def map(self, start: int, stop: int) -> memoryview:
        """The range without a copy; `start` must be a multiple of the page size."""
        mapped = mmap.mmap(self._descriptor, stop - start, access=mmap.ACCESS_READ, offset=start)
        return memoryview(mapped)

    def truncate(self) -> None:
        """Begin anew."""
        os.truncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size = 0

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def copy_to(self, writer: Writer, pool: Pool) -> None:
        for start in range(0, self.size, _STEP):
            await writer.write(await pool.run(self.read, start, min(start + _STEP, self.size)))
