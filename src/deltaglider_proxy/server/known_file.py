"""Which state of the configuration file the server knows, because it lives by it or has written it.

Any other state is somebody's edit, which no change by the API may overwrite. All workers of a host share the knowledge;
it is changed under the lock of changes only.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FileState = tuple[int, int, int]
"""Inode, size, time of the last change: differ when somebody has written the file."""

_KNOWN: Final = "known-file"
_UNWRITTEN: Final = "unwritten"
"""There while what holds could not be written to the file."""
NAMES: Final = (_KNOWN, _UNWRITTEN)


def state_of(path: Path | None) -> FileState | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class KnownFile:
    run_dir: Path
    at_start: FileState | None

    @property
    def state(self) -> FileState | None:
        try:
            inode, size, changed = json.loads((self.run_dir / _KNOWN).read_bytes())
        except FileNotFoundError:
            return self.at_start
        return inode, size, changed

    def was_edited(self, path: Path) -> bool:
        """A file that is gone holds nothing that could be lost."""
        now = state_of(path)
        return now is not None and now != self.state

    def was_read(self, state: FileState | None) -> None:
        """The server lives by it now."""
        if state is not None:
            self._note(state)
        (self.run_dir / _UNWRITTEN).unlink(missing_ok=True)

    def was_written(self, path: Path, text: str) -> None:
        """An edit that came right after it stays one."""
        state = state_of(path)
        with suppress(OSError):
            if state is not None and path.read_bytes() == text.encode():
                self._note(state)
        (self.run_dir / _UNWRITTEN).unlink(missing_ok=True)

    def could_not_be_written(self) -> None:
        (self.run_dir / _UNWRITTEN).touch(0o600)

    @property
    def is_behind(self) -> bool:
        """What holds was not written to the file."""
        return (self.run_dir / _UNWRITTEN).exists()

    def _note(self, state: FileState) -> None:
        draft = self.run_dir / f"{_KNOWN}.{os.getpid()}"
        draft.write_text(json.dumps(state))
        draft.replace(self.run_dir / _KNOWN)
