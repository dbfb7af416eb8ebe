"""The directory that everything lives in, and our own directories at its top.

They hold what must not be in a bucket: `tmp` files under construction, `trash` deleted buckets; beside them lie the
files `locks` and `host.lock`. They are on the root's file system, so that a rename from them is one step.
"""

import errno
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deltaglider_proxy.storage.backends.filesystem import paths
from deltaglider_proxy.storage.backends.filesystem.drafts import Draft
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable
from deltaglider_proxy.storage.backends.filesystem.files import DIRECTORY, LOCK, Files
from deltaglider_proxy.storage.errors import DiskFull, StorageError

HOST_LOCK: Final = "host.lock"
LOCKS: Final = "locks"


@dataclass(frozen=True, slots=True)
class Root:
    """Open directories; `close` ends them."""

    path: Path
    fd: int
    own: int
    tmp: int
    trash: int

    def close(self, files: Files) -> None:
        for fd in (self.fd, self.own, self.tmp, self.trash):
            files.close(fd)


def open_root(files: Files, path: Path) -> Root:
    """Open the root, making our directories where they are missing. Raises RootUnusable."""
    if sys.getfilesystemencoding().lower() != "utf-8":
        raise RootUnusable(f"file names are {sys.getfilesystemencoding()} here: use a UTF-8 locale or PYTHONUTF8=1")
    with ExitStack() as undo:
        try:
            path.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            undo.callback(files.close, fd)
            own = _directory(files, fd, paths.RESERVED, undo)
            root = Root(path, fd, own, *(_directory(files, own, name, undo) for name in ("tmp", "trash")))
            files.close(files.open(own, LOCKS, LOCK))
            files.fsync(own)
            files.fsync(fd)
        except OSError as error:
            raise RootUnusable(f"directory {path}: {error.strerror}; it must exist and be writable") from error
        _check_attributes(files, root)
        undo.pop_all()
        return root


def _directory(files: Files, parent: int, name: str, undo: ExitStack) -> int:
    with suppress(FileExistsError):
        files.mkdir(parent, name)
    fd = files.open(parent, name, DIRECTORY)
    undo.callback(files.close, fd)
    return fd


def _check_attributes(files: Files, root: Root) -> None:
    try:
        draft = Draft(files, root.tmp, durable=False)
        try:
            draft.seal({"x": "x" * 1000})
        finally:
            draft.discard()
    except DiskFull:
        return  # a server must start on a full disk too, to read and to delete
    except StorageError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in {errno.EOPNOTSUPP, errno.EPERM, errno.ENOSYS}:
            raise RootUnusable(
                f"directory {root.path}: its file system has no user extended attributes, which hold metadata; "
                "use ext4, xfs, btrfs, zfs or a tmpfs of Linux 6.6 or later"
            ) from error
        raise RootUnusable(f"directory {root.path}: {error}") from error
