"""One server per root: the lock that says so, and what an earlier server left behind.

File locks do not reach reliably from one host to another, so two servers on one shared directory would not exclude each
other. The first process of a server takes the lock for all its workers, before they start; then nothing in `tmp` or
`trash` belongs to anybody.
"""

import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from deltaglider_proxy.storage.backends.filesystem import exchange
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable
from deltaglider_proxy.storage.backends.filesystem.files import DIRECTORY, LOCK, Files
from deltaglider_proxy.storage.backends.filesystem.root import HOST_LOCK, Root


def take(files: Files, root: Root) -> int:
    """Lock the root and return the descriptor that holds the lock. Raises RootUnusable."""
    fd = files.open(root.own, HOST_LOCK, LOCK)
    try:
        files.lock(fd, 0, exclusive=True, wait=False)
    except BlockingIOError:
        files.close(fd)
        raise RootUnusable(
            f"directory {root.path}: another server has it in use; stop that one or give this one another directory"
        ) from None
    return fd


def sweep(files: Files, root: Root) -> list[OSError]:
    """Finish exchanges that were cut off, then remove temporary files. Returns what could not be removed."""
    names = sorted(_names(files, root.tmp))  # a draft comes before its record, which must not go first
    for name in names:
        if name.endswith(exchange.SUFFIX):
            exchange.finish(files, root, name.removesuffix(exchange.SUFFIX))
    return _remove_all(files, root.tmp, names)


def purge(files: Files, root: Root) -> list[OSError]:
    """Remove deleted buckets; any number of processes may do so at once. Returns what could not be removed."""
    return _remove_all(files, root.trash, _names(files, root.trash))


def _remove_all(files: Files, dir_fd: int, names: Iterable[str]) -> list[OSError]:
    failures = []
    for name in names:
        try:
            _remove(files, dir_fd, name)
        except OSError as error:
            failures.append(error)
    return failures


def _remove(files: Files, dir_fd: int, name: str) -> None:
    """Remove a file or a whole directory, following no link; what is gone already is fine."""
    waiting = [name]
    while waiting:
        path = waiting[-1]
        above, _, leaf = path.rpartition("/")
        try:
            with _opened(files, dir_fd, above) as parent:
                if not stat.S_ISDIR(files.stat_at(parent, leaf).st_mode):
                    files.unlink(parent, leaf)
                    waiting.pop()
                elif below := _below(files, parent, leaf):
                    waiting.extend(f"{path}/{inside}" for inside in below)
                else:
                    files.rmdir(parent, leaf)
                    waiting.pop()
        except FileNotFoundError:
            waiting.pop()  # another process removes it too


@contextmanager
def _opened(files: Files, dir_fd: int, path: str) -> Iterator[int]:
    if not path:
        yield dir_fd
        return
    fd = files.open(dir_fd, path, DIRECTORY)
    try:
        yield fd
    finally:
        files.close(fd)


def _below(files: Files, dir_fd: int, name: str) -> list[str]:
    with _opened(files, dir_fd, name) as fd:
        return _names(files, fd)


def _names(files: Files, fd: int) -> list[str]:
    with files.scan(fd) as entries:
        return [entry.name for entry in entries]
