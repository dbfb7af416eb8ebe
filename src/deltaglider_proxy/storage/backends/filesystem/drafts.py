"""A file under construction: it has a random name in the directory for temporary files until it becomes an object.

A draft belongs to one task; its methods run in threads, one at a time. Whatever fails, `discard` leaves nothing.
"""

import errno
import os
import secrets
from typing import Final

from deltaglider_proxy.storage.backend import Metadata, Stored
from deltaglider_proxy.storage.backends.filesystem import generations
from deltaglider_proxy.storage.backends.filesystem.failures import meaning
from deltaglider_proxy.storage.backends.filesystem.files import CREATE, NO_CLONE, Files
from deltaglider_proxy.storage.errors import Changed, DiskFull, MetadataTooLarge, StorageError

_STEP: Final = 1 << 20


class Draft:
    def __init__(self, files: Files, directory: int, *, durable: bool) -> None:
        """`directory` is the descriptor of the directory for temporary files. The file is made by the first use."""
        self.name = secrets.token_hex(16)
        self.directory = directory
        self.size = 0
        self._files = files
        self._durable = durable
        self._sealed = False
        self._attribute = b""
        self._fd = -1

    def _open(self) -> int:
        if self._fd < 0:
            try:
                self._fd = self._files.open(self.directory, self.name, CREATE)
            except OSError as error:
                raise meaning("create a temporary file", error) from error
        return self._fd

    def append(self, data: bytes | bytearray | memoryview) -> None:
        fd = self._open()
        try:
            self._files.write(fd, data, self.size)
        except OSError as error:
            raise meaning("write", error) from error
        self.size += len(data)
        self._sealed = False

    def copy(self, source: int, start: int, count: int) -> None:
        """Append bytes of another file, inside the kernel where it can. Raises Changed if they are not there."""
        self._open()
        try:
            self._copy(source, start, count)
        except OSError as error:
            raise meaning("copy", error) from error
        self._sealed = False

    def _copy(self, source: int, start: int, count: int) -> None:
        end = start + count
        try:
            while start < end:
                done = self._files.copy_range(source, start, self._fd, self.size, end - start)
                if done == 0:
                    break
                start += done
                self.size += done
        except OSError as error:
            if error.errno not in NO_CLONE:
                raise
        while start < end:
            data = self._files.read(source, min(_STEP, end - start), start)
            if not data:
                raise Changed("the source became shorter")
            self._files.write(self._fd, data, self.size)
            start += len(data)
            self.size += len(data)

    def share(self, source: int, size: int) -> bool:
        """Become a copy of the whole of `source` without copying; False where the file system cannot."""
        fd = self._open()
        try:
            self._files.clone(source, fd)
        except OSError as error:
            if error.errno in NO_CLONE:
                return False
            raise meaning("clone", error) from error
        self.size = size
        return True

    def seal(self, metadata: Metadata) -> None:
        """Give it its metadata and make all of it durable. Raises MetadataTooLarge, DiskFull, Unavailable."""
        attribute = generations.encode(metadata)
        fd = self._open()
        if attribute != self._attribute:
            self._set(attribute)
            self._sealed = False
        if self._durable and not self._sealed:
            try:
                self._files.fsync(fd)
            except OSError as error:
                raise meaning("fsync", error) from error
        self._sealed = True

    def _set(self, attribute: bytes) -> None:
        try:
            self._files.set_xattr(self._fd, generations.ATTRIBUTE, attribute)
        except OSError as error:
            raise self._refusal(error, len(attribute)) from error
        self._attribute = attribute

    def _refusal(self, error: OSError, size: int) -> StorageError:
        """ENOSPC is what ext4 answers to an attribute that does not fit into its one block, on an empty disk too."""
        full = error.errno == errno.ENOSPC and self._files.free_blocks(self._fd) == 0
        if full or error.errno == errno.EDQUOT:
            return DiskFull("no space for metadata")
        if error.errno in {errno.ENOSPC, errno.E2BIG, errno.ERANGE}:
            return MetadataTooLarge(f"metadata: {size} bytes do not fit into an attribute of this file system")
        return meaning("set metadata", error)

    def status(self) -> os.stat_result:
        return self._files.stat(self._fd)

    def stored(self, key: str) -> Stored:
        """What it will be as an object."""
        return generations.describe(self._files, self._fd, key)

    def etag(self) -> str:
        return generations.etag(self.status(), self._attribute)

    @property
    def is_open(self) -> bool:
        """Its file exists under its own name, as far as it is known."""
        return self._fd >= 0

    def close(self) -> None:
        """It has become an object. Idempotent, as is `discard`."""
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        if self._fd < 0:
            return
        self.close()
        try:
            self._files.unlink(self.directory, self.name)
        except FileNotFoundError:
            return  # swept by the next server's start
        except OSError as error:
            raise meaning("remove a temporary file", error) from error
