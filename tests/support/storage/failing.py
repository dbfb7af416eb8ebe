"""Files of which one operation fails, or after which the process is dead."""

import os
from collections.abc import Callable
from typing import TypeVar

from typing_extensions import override

from deltaglider_proxy.storage.backends.filesystem.files import Files

R = TypeVar("R")


class Killed(BaseException):
    """The process died: no handler may run, and nothing it would do to files happens any more."""


class FailingFiles(Files):
    """Counts the operations that change files; `before` runs before each, `after` after it, and may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.before: Callable[[int, str], None] = nothing
        self.after: Callable[[int, str], None] = nothing

    def _step(self, name: str, operation: Callable[[], R]) -> R:
        number = self.count
        self.count += 1
        self.before(number, name)
        result = operation()
        self.after(number, name)
        return result

    @override
    def open(self, dir_fd: int, path: str, flags: int) -> int:
        if flags & os.O_EXCL:
            return self._step("create", lambda: super(FailingFiles, self).open(dir_fd, path, flags))
        return super().open(dir_fd, path, flags)

    @override
    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        self._step("write", lambda: super(FailingFiles, self).write(fd, data, offset))

    @override
    def copy_range(self, source: int, start: int, target: int, offset: int, count: int) -> int:
        return self._step("copy", lambda: super(FailingFiles, self).copy_range(source, start, target, offset, count))

    @override
    def set_xattr(self, fd: int, name: str, value: bytes) -> None:
        self._step("attribute", lambda: super(FailingFiles, self).set_xattr(fd, name, value))

    @override
    def fsync(self, fd: int) -> None:
        self._step("fsync", lambda: super(FailingFiles, self).fsync(fd))

    @override
    def rename(self, from_fd: int, source: str, to_fd: int, target: str) -> None:
        self._step("rename", lambda: super(FailingFiles, self).rename(from_fd, source, to_fd, target))

    @override
    def exchange(self, from_fd: int, source: str, to_fd: int, target: str) -> None:
        self._step("exchange", lambda: super(FailingFiles, self).exchange(from_fd, source, to_fd, target))

    @override
    def unlink(self, dir_fd: int, name: str) -> None:
        self._step("unlink", lambda: super(FailingFiles, self).unlink(dir_fd, name))

    @override
    def mkdir(self, dir_fd: int, name: str) -> None:
        self._step("mkdir", lambda: super(FailingFiles, self).mkdir(dir_fd, name))

    @override
    def rmdir(self, dir_fd: int, name: str) -> None:
        self._step("rmdir", lambda: super(FailingFiles, self).rmdir(dir_fd, name))


def nothing(_: int, __: str) -> None:
    """Nothing goes wrong."""
