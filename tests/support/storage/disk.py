"""A disk that loses power: records what the filesystem backend does to files, and builds what may be left of it.

The recorder keeps a model of the tree beside the real one: inodes with contents and names, and for each of them what
has been synced. Cutting the record after any operation gives three trees that a crash at this moment may leave:

* everything done so far has reached the disk;
* only what was synced has;
* names have, contents have not: what a missing fsync before a rename shows.
"""

import os
import stat
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from typing_extensions import override

from deltaglider_proxy.storage.backends.filesystem.files import Files


class Left(StrEnum):
    EVERYTHING = "everything"
    SYNCED = "synced"
    NAMES = "names"


@dataclass(slots=True)
class _Content:
    data: bytes = b""
    attributes: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Inode:
    directory: bool
    now: _Content = field(default_factory=_Content)
    synced: _Content = field(default_factory=_Content)
    names: dict[str, int] = field(default_factory=dict)
    synced_names: dict[str, int] = field(default_factory=dict)

    def sync(self) -> None:
        self.synced = deepcopy(self.now)
        self.synced_names = dict(self.names)


@dataclass(slots=True)
class Disk:
    inodes: dict[int, _Inode]
    root: int = 0

    def write_to(self, target: Path, left: Left) -> None:
        """Make the tree that a crash now leaves."""
        self._write(self.root, target, left)

    def _write(self, number: int, target: Path, left: Left) -> None:
        inode = self.inodes[number]
        content = inode.now if left is Left.EVERYTHING else inode.synced
        if inode.directory:
            target.mkdir()
            names = inode.synced_names if left is Left.SYNCED else inode.names
            for name, below in names.items():
                self._write(below, target / name, left)
        else:
            target.write_bytes(content.data)
        for attribute, value in content.attributes.items():
            os.setxattr(target, attribute, value)


Operation = tuple[str, str]
"""What was done, and to which name; for files without one, to which kind: `file` or `directory`."""


class RecordingFiles(Files):
    """Passes everything on; while `recording`, keeps the disk after each operation that changes or syncs something."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.disks: list[Disk] = []
        self._disk: Disk | None = None
        self._numbers: dict[int, int] = {}

    def start(self, root: Path) -> None:
        """Take what is below `root` as durable, and record from here."""
        self._disk = Disk({})
        self._numbers = {}
        self._disk.root = self._load(root)
        self.operations.clear()
        self.disks = [deepcopy(self._disk)]

    def _load(self, path: Path) -> int:
        status = path.lstat()
        assert self._disk is not None
        number = self._numbers[status.st_ino] = len(self._numbers)
        inode = self._disk.inodes[number] = _Inode(stat.S_ISDIR(status.st_mode))
        inode.now.attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        if inode.directory:
            inode.names = {child.name: self._load(child) for child in path.iterdir()}
        else:
            inode.now.data = path.read_bytes()
        inode.sync()
        return number

    def _note(self, operation: str, name: str, change: Callable[[Disk], None]) -> None:
        if self._disk is not None:
            change(self._disk)
            self.operations.append((operation, name))
            self.disks.append(deepcopy(self._disk))

    def _number(self, fd: int) -> int:
        return self._numbers[os.fstat(fd).st_ino]

    def _inode(self, fd: int) -> _Inode:
        assert self._disk is not None
        return self._disk.inodes[self._number(fd)]

    def _born(self, disk: Disk, dir_fd: int, name: str, *, directory: bool) -> None:
        number = max(disk.inodes) + 1
        self._numbers[os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_ino] = number
        disk.inodes[number] = _Inode(directory)
        self._inode(dir_fd).names[name] = number

    @override
    def open(self, dir_fd: int, path: str, flags: int) -> int:
        fd = super().open(dir_fd, path, flags)
        if self._disk is not None and flags & os.O_CREAT and path not in self._inode(dir_fd).names:
            self._note("create", path, lambda disk: self._born(disk, dir_fd, path, directory=False))
        return fd

    @override
    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        super().write(fd, data, offset)
        copy = bytes(data)
        self._note("write", "file", lambda _: self._put(fd, copy, offset))

    def _put(self, fd: int, data: bytes, offset: int) -> None:
        content = self._inode(fd).now
        content.data = content.data[:offset].ljust(offset, b"\0") + data + content.data[offset + len(data) :]

    @override
    def copy_range(self, source: int, start: int, target: int, offset: int, count: int) -> int:
        done = super().copy_range(source, start, target, offset, count)
        data = os.pread(source, done, start)
        self._note("copy", "file", lambda _: self._put(target, data, offset))
        return done

    @override
    def set_xattr(self, fd: int, name: str, value: bytes) -> None:
        super().set_xattr(fd, name, value)
        self._note("attribute", "file", lambda _: self._inode(fd).now.attributes.update({name: value}))

    @override
    def fsync(self, fd: int) -> None:
        super().fsync(fd)
        if self._disk is not None:
            kind = "directory" if self._inode(fd).directory else "file"
            self._note("fsync", kind, lambda _: self._inode(fd).sync())

    @override
    def rename(self, from_fd: int, source: str, to_fd: int, target: str) -> None:
        super().rename(from_fd, source, to_fd, target)

        def change(_: Disk) -> None:
            self._inode(to_fd).names[target] = self._inode(from_fd).names.pop(source)

        self._note("rename", target, change)

    @override
    def exchange(self, from_fd: int, source: str, to_fd: int, target: str) -> None:
        super().exchange(from_fd, source, to_fd, target)

        def change(_: Disk) -> None:
            left, right = self._inode(from_fd).names, self._inode(to_fd).names
            left[source], right[target] = right[target], left[source]

        self._note("exchange", target, change)

    @override
    def unlink(self, dir_fd: int, name: str) -> None:
        super().unlink(dir_fd, name)
        self._note("unlink", name, lambda _: self._forget(dir_fd, name))

    @override
    def rmdir(self, dir_fd: int, name: str) -> None:
        super().rmdir(dir_fd, name)
        self._note("rmdir", name, lambda _: self._forget(dir_fd, name))

    def _forget(self, dir_fd: int, name: str) -> None:
        del self._inode(dir_fd).names[name]

    @override
    def mkdir(self, dir_fd: int, name: str) -> None:
        super().mkdir(dir_fd, name)
        self._note("mkdir", name, lambda disk: self._born(disk, dir_fd, name, directory=True))
