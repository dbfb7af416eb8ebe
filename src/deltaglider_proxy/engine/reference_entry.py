"""The files of one reference in the cache, shared by all processes of the host.

`state` has one byte per piece (1: verified) and is mapped by all; `data` holds pieces at their place, sparse. Whoever
has the entry open holds a shared lock on `state`, so that nobody removes it. On a disk that takes nothing more an entry
is memory of whoever opens it: reading must go on, so that somebody can make room.
"""

import errno
import fcntl
import mmap
import os
import secrets
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger("deltaglider_proxy.cache")

_TAKES_NOTHING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Entry:
    """The files of one reference, open and protected from removal."""

    def __init__(self, folder: Path, pieces: int) -> None:
        self.identity = folder.name
        count = max(pieces, 1)
        try:
            self.state, self.data = _open_files(folder, count)
        except OSError as error:
            if error.errno not in _TAKES_NOTHING:
                raise
            _log.warning("the cache takes no reference: it is read without", path=str(folder), reason=error.strerror)
            self.state, self.data = _open_memory(count)
        self.flags = mmap.mmap(self.state, count)

    def close(self) -> None:
        self.flags.close()
        os.close(self.state)
        os.close(self.data)


def _open_files(folder: Path, count: int) -> tuple[int, int]:
    """`state` of so many bytes, and `data`."""
    while (state := _open_state(folder)) is None:
        pass
    with ExitStack() as undo:
        undo.callback(os.close, state)
        if os.fstat(state).st_size != count:
            os.truncate(state, count)
        # A mapped hole that cannot be filled kills the process; reserving the room now is an ordinary error.
        os.posix_fallocate(state, 0, count)
        os.utime(state)
        data = os.open(folder / "data", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        undo.pop_all()
        return state, data


def _open_memory(count: int) -> tuple[int, int]:
    with ExitStack() as undo:
        state = os.memfd_create("state")
        undo.callback(os.close, state)
        os.truncate(state, count)
        data = os.memfd_create("data")
        undo.pop_all()
        return state, data


def _open_state(folder: Path) -> int | None:
    """`state`, locked; None if the entry was being removed meanwhile."""
    with suppress(FileExistsError):
        folder.mkdir()
    try:
        state = os.open(folder / "state", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    fcntl.flock(state, fcntl.LOCK_SH)
    if os.fstat(state).st_nlink:
        return state
    os.close(state)
    return None


def remove_unless_open(folder: Path) -> bool:
    """Whether nobody used the entry, so that its files are gone."""
    try:
        state = os.open(folder / "state", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Renamed first: who makes the entry anew meanwhile must not find its files removed.
        gone = folder.with_name(f"{folder.name}.{secrets.token_hex(8)}")
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(state)
    return True
