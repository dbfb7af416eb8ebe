"""One server per root: the lock that says so, and what an earlier server left behind.

Locks of flock(2) do not reach from one host to another, so two servers on one shared directory would not exclude each
other. The first process of a server takes the lock for all its workers, before they start; then nothing in `tmp` or
`trash` belongs to anybody.
"""

import stat

from deltaglider_proxy.storage.backends.filesystem import exchange
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable
from deltaglider_proxy.storage.backends.filesystem.files import DIRECTORY, LOCK, Files
from deltaglider_proxy.storage.backends.filesystem.root import HOST_LOCK, Root


def take(files: Files, root: Root) -> int:
    """Lock the root and return the descriptor that holds the lock. Raises RootUnusable."""
    fd = files.open(root.own, HOST_LOCK, LOCK)
    try:
        files.lock(fd, exclusive=True, wait=False)
    except BlockingIOError:
        files.close(fd)
        raise RootUnusable(
            f"directory {root.path}: another server has it in use; stop that one or give this one another directory"
        ) from None
    return fd


def sweep(files: Files, root: Root) -> None:
    """Finish exchanges that were cut off, then remove temporary files. Errors are OSError."""
    names = _names(files, root.tmp)
    for name in names:
        if name.endswith(exchange.SUFFIX):
            exchange.finish(files, root, name.removesuffix(exchange.SUFFIX))
    for name in sorted(names):  # a draft sorts before its record, which must not go first
        remove(files, root.tmp, name)


def purge(files: Files, root: Root) -> None:
    """Remove deleted buckets. Any number of processes may do so at once. Errors are OSError."""
    for name in _names(files, root.trash):
        remove(files, root.trash, name)


def remove(files: Files, dir_fd: int, name: str) -> None:
    """Remove a file or a whole directory, following no link; nothing there is fine."""
    try:
        if not stat.S_ISDIR(files.stat_at(dir_fd, name).st_mode):
            files.unlink(dir_fd, name)
            return
        fd = files.open(dir_fd, name, DIRECTORY)
        try:
            for below in _names(files, fd):
                remove(files, fd, below)
        finally:
            files.close(fd)
        files.rmdir(dir_fd, name)
    except FileNotFoundError:
        return  # another process removes it too


def _names(files: Files, fd: int) -> list[str]:
    with files.scan(fd) as entries:
        return [entry.name for entry in entries]
