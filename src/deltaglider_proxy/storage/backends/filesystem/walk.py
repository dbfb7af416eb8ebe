"""Walking a directory tree in the order of the keys in it, with seeks, opening no more than is asked for.

A walker stands on the first file at or after the string it was sent to. It keeps the directories from the top down to
there open; their sorted names come from `Names`. A directory whose keys are all rolled up into one common prefix is
not walked: whether there is any key below it is all that matters, and the first one found answers that.
"""

import errno
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from deltaglider_proxy.storage.backends.filesystem.failures import BLOCKED
from deltaglider_proxy.storage.backends.filesystem.files import DIRECTORY, Files
from deltaglider_proxy.storage.backends.filesystem.names import Names, visible_name


@dataclass(slots=True)
class _Level:
    fd: int
    base: str
    """Path of the directory below the walked tree, with `/` behind it; empty at the top."""
    names: list[str]
    index: int


class Walker:
    """Close it. Errors are OSError and what `Names` raises.

    `skip` tells whether a path does not count and, for a directory, which has `/` behind it, nothing below it either.
    `rolled` tells of a directory whether all of its keys are one common prefix.
    """

    def __init__(
        self,
        files: Files,
        names: Names,
        since: float,
        skip: Callable[[str], bool],
        rolled: Callable[[str], bool],
    ) -> None:
        self.position: str | None = None
        """Path of the file it stands on, or of a rolled-up directory with keys, which ends in `/`."""
        self._files = files
        self._names = names
        self._since = since
        self._skip = skip
        self._rolled = rolled
        self._levels: list[_Level] = []

    def enter(self, dir_fd: int, top: str, base: str) -> None:
        """Begin in the directory `top`/`base`, all of whose paths begin with `base`. It need not exist."""
        self._push(dir_fd, f"{top}/{base}"[:-1] if base else top, base)

    def file(self) -> tuple[int, str]:
        """The directory and the name of the file it stands on."""
        level = self._levels[-1]
        return level.fd, level.names[level.index]

    def seek(self, target: str) -> None:
        """Stand on the first file whose path is at or after `target`, which lies ahead."""
        while len(self._levels) > 1 and not target.startswith(self._levels[-1].base):
            self._pop()
        if self._levels:
            level = self._levels[-1]
            level.index = _first(level, target)
            self._settle(target)

    def next(self) -> None:
        self._levels[-1].index += 1
        self._settle("")

    def _settle(self, target: str) -> None:
        """Descend and ascend from the current index to a file."""
        while self._levels:
            level = self._levels[-1]
            if level.index >= len(level.names):
                self._pop()
                if self._levels:
                    self._levels[-1].index += 1
                continue
            path = level.base + level.names[level.index]
            if self._skip(path):
                level.index += 1
            elif not path.endswith("/"):
                self.position = path
                return
            elif self._rolled(path):
                if self._holds_key(level, path):
                    self.position = path
                    return
                level.index += 1
            elif self._push(level.fd, level.names[level.index][:-1], path):
                below = self._levels[-1]
                below.index = _first(below, target) if target.startswith(path) else 0
            else:
                level.index += 1
        self.position = None

    def _push(self, dir_fd: int, name: str, base: str) -> bool:
        """False if there is no such directory (any more)."""
        fd = self._directory(dir_fd, name)
        if fd is None:
            return False
        try:
            names = self._names.sorted(fd, self._since)
        except BaseException:
            self._files.close(fd)
            raise
        self._levels.append(_Level(fd, base, names, 0))
        return True

    def _directory(self, dir_fd: int, name: str) -> int | None:
        try:
            return self._files.open(dir_fd, name, DIRECTORY)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EACCES} or error.errno in BLOCKED:
                return None
            raise

    def _holds_key(self, level: _Level, path: str) -> bool:
        """Whether any file below the directory counts."""
        waiting = [path]
        while waiting:
            path = waiting.pop()
            fd = self._directory(level.fd, path[len(level.base) : -1])
            if fd is None:
                continue
            try:
                with self._files.scan(fd) as entries:
                    for entry in entries:
                        name = visible_name(entry)
                        if name is None or self._skip(path + name):
                            continue
                        if not name.endswith("/"):
                            return True
                        waiting.append(path + name)
            finally:
                self._files.close(fd)
        return False

    def _pop(self) -> None:
        self._files.close(self._levels.pop().fd)

    def close(self) -> None:
        while self._levels:
            self._pop()


def _first(level: _Level, target: str) -> int:
    """Index of the first entry that can hold a path at or after `target`."""
    if not target.startswith(level.base):
        return 0 if level.base > target else len(level.names)
    rest = target[len(level.base) :]
    index = bisect_left(level.names, rest)
    # Its own directory sorts just before a path inside it: between `d/` and `d/x` there are only paths inside `d/`.
    if index > 0 and level.names[index - 1].endswith("/") and rest.startswith(level.names[index - 1]):
        return index - 1
    return index
