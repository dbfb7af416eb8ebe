"""Files rebuilt from the older layout, verified and kept for the readers that come back, range by range.

A file gets its name once it is complete and verified, and only then; until then it has none, so a crash leaves no
litter. Nothing is synced: the folder is named after the boot of the host, and what another boot left is removed, so
nobody meets a file that a power cut cut short. Readers keep what they have open, whoever removes its name.
"""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.spool import SpoolFile
from deltaglider_proxy.storage.host_locks import HostLocks


class Scratch(SpoolFile):
    """A file of ours that other programs may be given to read or write."""

    def fileno(self) -> int:
        return self._descriptor

    def patch(self, data: bytes, at: int) -> None:
        os.pwrite(self._descriptor, data, at)


class Kept:
    """The budget is that of the reference cache; one file is kept even if it is larger, none if the budget is 0."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._budget = ctx.settings.cache_bytes
        self._parent = ctx.settings.cache_dir / "legacy"
        self._directory = (
            self._parent / hashlib.blake2b(ctx.clock.since_boot().boot.encode(), digest_size=8).hexdigest()
        )
        self._locks: HostLocks | None = None

    def _begin(self) -> None:
        """Nothing is made before the first object of the older layout is read."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for other in self._parent.iterdir():
            if other.is_dir() and other != self._directory:
                shutil.rmtree(other, ignore_errors=True)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[None]:
        """The block is the only one on the host that makes this file. Raises Busy."""
        if self._locks is None:
            await self._ctx.pool.run(self._begin)
            self._locks = HostLocks(self._parent / "rebuilding.lock")
        try:
            # As many as there are slots may be in front, each for as long as a frame may take.
            patience = self._ctx.settings.codec_timeout * 4
            async with self._locks.hold(name, patience):
                yield
        except TimeoutError as error:
            raise errors.Busy("an object of the older layout is being rebuilt for somebody else") from error

    async def open(self, name: str) -> Scratch | None:
        return await self._ctx.pool.run(self._open, name)

    def scratch(self) -> Scratch:
        """A new file without a name; the caller closes it."""
        return Scratch(os.open(self._directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))

    async def keep(self, name: str, file: Scratch) -> None:
        """Give a verified file its name, and make room for it."""
        if self._budget:
            await self._ctx.pool.run(self._keep, name, file)

    async def forget(self, name: str) -> None:
        await self._ctx.pool.run(lambda: self._path(name).unlink(missing_ok=True))

    def _open(self, name: str) -> Scratch | None:
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        os.utime(descriptor)
        found = Scratch(descriptor)
        found.size = os.fstat(descriptor).st_size
        return found

    def _keep(self, name: str, file: Scratch) -> None:
        path = self._path(name)
        descriptor = file.fileno()
        with suppress(FileExistsError):
            # Only with a folder, which an absolute path makes no use of, does Python call linkat(2), which follows.
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
        kept: list[tuple[float, int, Path]] = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat()
                    kept.append((status.st_mtime, status.st_size, Path(entry.path)))
        used = sum(size for _, size, _ in kept)
        for _, size, other in sorted(kept):
            if used <= self._budget:
                return
            if other != path:
                other.unlink(missing_ok=True)
                used -= size

    def _path(self, name: str) -> Path:
        return self._directory / hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).hexdigest()
