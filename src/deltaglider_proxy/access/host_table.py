"""A bounded table in a file that all processes of one host map: a few numbers under each of many names.

It is a cache of sets, as in a processor: a hash says in which small set a name may be, so that looking one up costs the
same whatever the table holds, and nothing ever has to be moved or cleaned. Names are hashed to 64 bits; what two of
them would share is decided by whoever chooses what a row means. The hash has a key of its own in each file, or
somebody could choose names that fall into one set, and push another out of it.

Changes take a lock of the file (flock(2)), for microseconds; the kernel drops it with the process that holds it.
Whatever instruction that process died at, rows hold old or new numbers.
"""

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_WAYS: Final = 32
_NAMES: Final = struct.Struct(f"<{_WAYS}Q")
_NAME: Final = struct.Struct("<Q")
_NUMBER: Final = 8
"""Bytes of a name and of each value."""
_KEY_BYTES: Final = 16
"""At the end of the file."""

Values = tuple[float, ...]


class HostTable:
    """Change it inside a `with`; only one thread of a process may. Places of rows hold as long as nobody else claims
    them, so use them inside one `with`, or only to read.
    """

    def __init__(self, path: Path, rows: int, width: int) -> None:
        """`width` numbers in each of `rows` rows; the room is taken on the disk now. Raises OSError if there is none.

        The shape is part of the file's name: one that another release has left is not taken for ours.
        """
        self._sets = max(1, rows // _WAYS)
        self._values = struct.Struct(f"<{width}d")
        self._none = (0.0,) * width
        self._set_size = _NAMES.size + _WAYS * self._values.size
        size = self._sets * self._set_size
        shaped = path.with_name(f"{path.name}-{self._sets}x{_WAYS}x{width}")
        self._fd = os.open(shaped, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self:
            if os.fstat(self._fd).st_size < size + _KEY_BYTES:
                # A mapped hole that cannot be filled kills the process; reserving the room now is an ordinary error.
                os.posix_fallocate(self._fd, 0, size)
                os.pwrite(self._fd, os.urandom(_KEY_BYTES), size)
            self._key = os.pread(self._fd, _KEY_BYTES, size)
        self._map = mmap.mmap(self._fd, size)

    def __enter__(self) -> Self:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def find(self, name: bytes) -> int | None:
        """The place of a row; None if there is none of that name."""
        number, start = self._where(name)
        try:
            way = _NAMES.unpack_from(self._map, start).index(number)
        except ValueError:
            return None
        return start + _NAMES.size + way * self._values.size

    def read(self, place: int) -> Values:
        return self._values.unpack_from(self._map, place)

    def write(self, place: int, *values: float) -> None:
        self._values.pack_into(self._map, place, *values)

    def claim(self, name: bytes, is_free: Callable[[Values], bool]) -> int | None:
        """A row of zeros under a name that has none, instead of one whose values are free to go; a row that was never
        used has zeros too. None: all rows that the name may have are in use.
        """
        return self.displace(name, lambda values: 0.0 if is_free(values) else None)

    def displace(self, name: bytes, worth: Callable[[Values], float | None]) -> int | None:
        """The same, instead of the row that is worth least; what is worth None stays."""
        number, start = self._where(name)
        best: tuple[float, int] | None = None
        for way in range(_WAYS):
            value = worth(self.read(start + _NAMES.size + way * self._values.size))
            if value is not None and (best is None or value < best[0]):
                best = value, way
                if value <= 0:
                    break
        if best is None:
            return None
        place = start + _NAMES.size + best[1] * self._values.size
        self.write(place, *self._none)
        _NAME.pack_into(self._map, start + best[1] * _NUMBER, number)
        return place

    def _where(self, name: bytes) -> tuple[int, int]:
        """What stands for the name, never 0, and the start of its set."""
        digest = hashlib.blake2b(name, digest_size=16, key=self._key).digest()
        number = int.from_bytes(digest[:8], "little") or 1
        return number, int.from_bytes(digest[8:], "little") % self._sets * self._set_size

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)
