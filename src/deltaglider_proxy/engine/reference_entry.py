"""The files of one reference in the cache, shared by all processes of the host.

`state` has one byte per piece (1: verified) and is mapped by all; `data` holds pieces at their place, sparse. Whoever
has the entry open holds a shared lock on `state`, so that nobody removes it.
"""

import fcntl
import mmap
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path


class Entry:
    """The files of one reference, open and protected from removal."""

    def __init__(self, folder: Path, pieces: int) -> None:
        self.identity = folder.name
        count = max(pieces, 1)
        while (state := _open_state(folder)) is None:
            pass
        self.state = state
        if os.fstat(self.state).st_size != count:
            os.truncate(self.state, count)
        os.utime(self.state)
        self.flags = mmap.mmap(self.state, count)
        self.data = os.open(folder / "data", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        self.flags.close()
        os.close(self.state)
        os.close(self.data)


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
