"""What the system's errors mean to callers of the backend."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from deltaglider_proxy.storage.errors import DiskFull, StorageError, Unavailable

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
BLOCKED: Final = frozenset(
    {errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV, errno.EXDEV, errno.EISDIR}
)
"""Something that is no directory, or no file, stands where the path wants one."""


class RootUnusable(Exception):
    """The directory cannot hold objects, or another server does it already; the message says what to do."""


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise the storage error that an OSError in the block stands for; `action` says what was tried."""
    try:
        yield
    except OSError as error:
        raise meaning(action, error) from error


def meaning(action: str, error: OSError) -> StorageError:
    kind = DiskFull if error.errno in FULL else Unavailable
    return kind(f"{action}: {error.strerror} ({errno.errorcode.get(error.errno or 0, 'unknown error')})")
