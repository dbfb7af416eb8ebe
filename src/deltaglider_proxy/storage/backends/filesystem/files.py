"""Every operation on files that the filesystem backend makes, and nothing else: the seam for recording and for faults.

Each method is one system call, or the shortest loop around one, on descriptors and on paths relative to them. No path
that comes from a key is ever resolved through a symbolic link or out of the directory it starts from: openat2(2) with
RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS does it in one call; where a kernel or a sandbox has no openat2, the path is
walked component by component with O_NOFOLLOW. Errors are OSError, as the system has them.
"""

import ctypes
import errno
import fcntl
import os
import platform
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_OPENAT2: Final = 437  # the same number on every architecture, as all system calls since 2019
_RESOLVE: Final = 0x02 | 0x04 | 0x08  # NO_MAGICLINKS, NO_SYMLINKS, BENEATH
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
_FICLONE: Final = 0x40049409
_AT_FDCWD: Final = -100
_RACES: Final = 16
_ATTRIBUTE_SIZE: Final = 4096

READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
"""For a file of unknown kind: opening a FIFO must not wait for its writer."""
DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

NO_CLONE: Final = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EBADF, errno.ETXTBSY}
)
"""What a kernel or file system answers that cannot share or copy these bytes by itself."""


_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_renameat2 = getattr(_libc, "renameat2", None)
if _renameat2 is not None:
    _renameat2.restype = ctypes.c_int
    _renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_fgetxattr = _libc.fgetxattr
_fgetxattr.restype = ctypes.c_ssize_t
_fgetxattr.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


class _Attribute(threading.local):
    """A buffer per thread; os.getxattr tries 128 bytes and then allocates 64 KiB, for every object anew."""

    def __init__(self) -> None:
        self.buffer = ctypes.create_string_buffer(_ATTRIBUTE_SIZE)
        self.address = ctypes.addressof(self.buffer)


_attribute = _Attribute()


class Files:
    """The system's files. Subclasses see and may refuse each call."""

    def __init__(self, *, openat2: bool = True) -> None:
        self._hows: dict[int, bytes] = {}
        self._openat2 = openat2 and platform.machine() in {"x86_64", "aarch64"} and self._probe()

    def _probe(self) -> bool:
        try:
            os.close(self._open_beneath(_AT_FDCWD, ".", DIRECTORY))
        except OSError as error:
            if error.errno in {errno.ENOSYS, errno.EPERM, errno.EACCES}:
                return False
            raise
        return True

    def open(self, dir_fd: int, path: str, flags: int) -> int:
        """Open `path` beneath the directory; the caller closes the descriptor."""
        if "/" not in path:  # nothing to resolve on the way
            return os.open(path, flags | os.O_NOFOLLOW, 0o666, dir_fd=dir_fd)
        return self._open_beneath(dir_fd, path, flags) if self._openat2 else self._walk(dir_fd, path, flags)

    def _open_beneath(self, dir_fd: int, path: str, flags: int) -> int:
        how = self._hows.get(flags)
        if how is None:
            how = self._hows[flags] = struct.pack("QQQ", flags, 0o666 if flags & os.O_CREAT else 0, _RESOLVE)
        encoded = os.fsencode(path)
        races = 0
        while True:
            fd: int = _syscall(_OPENAT2, dir_fd, encoded, how, len(how))
            if fd >= 0:
                return fd
            code = ctypes.get_errno()
            if code == errno.EAGAIN and races < _RACES:  # a rename raced with the resolution
                races += 1
            elif code != errno.EINTR:
                raise OSError(code, os.strerror(code), path)

    @staticmethod
    def _walk(dir_fd: int, path: str, flags: int) -> int:
        *parents, leaf = path.split("/")
        at = dir_fd
        try:
            for name in parents:
                below = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                if at != dir_fd:
                    os.close(at)
                at = below
            return os.open(leaf, flags | os.O_NOFOLLOW, 0o666, dir_fd=at)
        finally:
            if at != dir_fd:
                os.close(at)

    def close(self, fd: int) -> None:
        os.close(fd)

    def stat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def stat_at(self, dir_fd: int, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)

    def get_xattr(self, fd: int, name: str) -> bytes | None:
        """None if the file has no such attribute."""
        size: int = _fgetxattr(fd, name.encode(), _attribute.address, _ATTRIBUTE_SIZE)
        if size >= 0:
            return ctypes.string_at(_attribute.address, size)
        code = ctypes.get_errno()
        if code in {errno.ENODATA, errno.EOPNOTSUPP}:
            return None
        if code == errno.ERANGE:
            return os.getxattr(fd, name)
        raise OSError(code, os.strerror(code), name)

    def set_xattr(self, fd: int, name: str, value: bytes) -> None:
        os.setxattr(fd, name, value)

    def read(self, fd: int, count: int, offset: int) -> bytes:
        """`count` bytes, fewer only at the end of the file."""
        data = os.pread(fd, count, offset)
        if len(data) in (0, count):
            return data
        parts = [data]
        missing = count - len(data)
        while missing and (data := os.pread(fd, missing, offset + count - missing)):
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def read_now(self, fd: int, count: int, offset: int) -> bytes | None:
        """The bytes if all of them are in memory; else None."""
        buffer = bytearray(count)
        try:
            got = os.preadv(fd, (buffer,), offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EOPNOTSUPP}:
                return None
            raise
        return bytes(buffer) if got == count else None

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of `data`."""
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(fd, view[done:], offset + done)

    def clone(self, source: int, target: int) -> None:
        """Make the empty file `target` share all bytes of `source`."""
        fcntl.ioctl(target, _FICLONE, source)

    def copy_range(self, source: int, start: int, target: int, offset: int, count: int) -> int:
        """Copy inside the kernel; returns how many bytes, 0 at the end of `source`."""
        return os.copy_file_range(source, target, count, start, offset)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def rename(self, from_fd: int, source: str, to_fd: int, target: str) -> None:
        os.rename(source, target, src_dir_fd=from_fd, dst_dir_fd=to_fd)

    def exchange(self, from_fd: int, source: str, to_fd: int, target: str) -> None:
        """Swap two existing names at one instant. EINVAL where the file system cannot."""
        self._rename_flags(from_fd, source, to_fd, target, _RENAME_EXCHANGE)

    def rename_new(self, from_fd: int, source: str, to_fd: int, target: str) -> None:
        """Rename unless `target` exists (EEXIST)."""
        self._rename_flags(from_fd, source, to_fd, target, _RENAME_NOREPLACE)

    @staticmethod
    def _rename_flags(from_fd: int, source: str, to_fd: int, target: str, flags: int) -> None:
        if _renameat2 is None:
            raise OSError(errno.EINVAL, "the C library has no renameat2", target)
        if _renameat2(from_fd, os.fsencode(source), to_fd, os.fsencode(target), flags) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), target)

    def unlink(self, dir_fd: int, name: str) -> None:
        os.unlink(name, dir_fd=dir_fd)

    def mkdir(self, dir_fd: int, name: str) -> None:
        os.mkdir(name, dir_fd=dir_fd)

    def rmdir(self, dir_fd: int, name: str) -> None:
        os.rmdir(name, dir_fd=dir_fd)

    @contextmanager
    def scan(self, fd: int) -> Iterator[Iterator[os.DirEntry[str]]]:
        """The entries of a directory, in no order. Reads from the beginning, whatever was read before."""
        with os.scandir(fd) as entries:
            yield entries

    def free_blocks(self, fd: int) -> int:
        return os.fstatvfs(fd).f_bavail

    def lock(self, fd: int, byte: int, *, exclusive: bool, wait: bool) -> None:
        """Lock one byte of a file until the descriptor is closed. BlockingIOError if it is taken, unless `wait`."""
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        fcntl.fcntl(
            fd, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, struct.pack("hhqqi", kind, os.SEEK_SET, byte, 1, 0)
        )
