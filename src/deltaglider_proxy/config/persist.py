"""Writing the configuration file: the old one or the new one, never a part, whatever happens meanwhile."""

import os
import re
from contextlib import suppress
from pathlib import Path

from deltaglider_proxy.config.document import Format

_MOUNTS = Path("/proc/self/mountinfo")


class CannotPersist(Exception):
    """Says why."""


def persist(path: Path, text: str) -> None:
    """The file of before is kept once, as `NAME.orig`. Owner and a stricter mode stay; a new file is its owner's only.
    Where `path` is a link, the file that it leads to is replaced.

    Raises CannotPersist.
    """
    _refuse_toml(path)
    try:
        path = path.resolve()
        before = path.stat() if path.exists() else None
        original = path.with_name(path.name + ".orig")
        if before is not None and not original.exists():
            replace_file(original, path.read_bytes())
        replace_file(path, text.encode(), before)
    except OSError as failure:
        raise CannotPersist(f"{path}: {failure.strerror or failure}") from failure


def can_be_persisted(path: Path) -> None:
    """Raises CannotPersist where `persist` would, as far as that can be known before it is tried."""
    _refuse_toml(path)
    if (reason := obstacle(path)) is not None:
        raise CannotPersist(f"{path}: {reason}")


def _refuse_toml(path: Path) -> None:
    if Format.of(path) is Format.TOML:
        raise CannotPersist(
            f"{path}: changes are written as YAML, which this file is not; remove it after "
            f"`deltaglider_proxy config migrate {path} --out {path.with_suffix('.yaml')}`"
        )


def replace_file(path: Path, data: bytes, like: os.stat_result | None = None) -> None:
    """Write wholly or not at all, readable by the owner only, and by the owner of `like` if that can be had.

    Raises OSError.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        _write(draft, data, like)
        draft.replace(path)
        _sync_directory(path.parent)
    finally:
        with suppress(OSError):  # what went wrong with it is told already
            draft.unlink(missing_ok=True)


def obstacle(path: Path) -> str | None:
    """Why the file cannot be replaced, as far as that can be known before it is tried."""
    try:
        path = path.resolve()
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return f"the directory {path.parent} cannot be written to"
        if _MOUNTS.exists() and is_mount(path, _MOUNTS.read_text()):
            return "it is mounted as a single file; mount its directory instead"
    except OSError as failure:
        return failure.strerror or str(failure)
    return None


def is_mount(path: Path, mounts: str) -> bool:
    """Whether `path` is listed in `mounts`, in the format of proc_pid_mountinfo(5). A bind mount of a file on its own
    file system is told by nothing else.
    """
    points = (line.split()[4] for line in mounts.splitlines() if len(line.split()) > 4)
    return any(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point) == str(path) for point in points)


def _write(path: Path, data: bytes, like: os.stat_result | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if like is not None:
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):  # only root may give files away; then it is ours, and still private
                    os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, like.st_mode & 0o600)
        else:
            os.fchmod(descriptor, 0o600)
        done = 0
        while done < len(data):
            done += os.write(descriptor, data[done:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
