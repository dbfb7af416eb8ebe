"""Writing the configuration file: the old one or the new one, never a part, whatever happens meanwhile."""

import os
from contextlib import suppress
from pathlib import Path


class CannotPersist(Exception):
    """Says why."""


def persist(path: Path, text: str) -> None:
    """The file of before is kept once, as `NAME.orig`. A stricter mode stays; a new file is its owner's only.

    Raises CannotPersist.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        before = path.read_bytes() if path.exists() else None
        mode = 0o600 if before is None else path.stat().st_mode & 0o600
        _write(draft, text.encode(), mode)
        original = path.with_name(path.name + ".orig")
        if before is not None and not original.exists():
            _write(original, before, 0o600)
        draft.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise CannotPersist(f"{path}: {error.strerror}") from error
    finally:
        with suppress(OSError):  # what went wrong with it is told already
            draft.unlink(missing_ok=True)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, mode)
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
