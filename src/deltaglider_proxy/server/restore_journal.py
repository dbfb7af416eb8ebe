"""What makes a restore one step although it changes a database and a file: all of it, or nothing, whatever happens.

The journal is written first, the transaction leaves its number in the database, and only then the file is replaced. A
start that finds a journal whose number the database has finishes what was begun; any other journal never happened.
"""

import hashlib
import os
import platform
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import orjson
import structlog

from deltaglider_proxy.config.persist import CannotPersist, can_be_persisted, persist, replace_file
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.control.database import Database
from deltaglider_proxy.control.unit import Unit

_FILE: Final = ".deltaglider_restore.journal"

_log = structlog.get_logger("deltaglider_proxy.config")


@dataclass(frozen=True, slots=True)
class RestoreJournal:
    """It holds what the configuration holds, secrets too; as a file it is its owner's only."""

    directory: Path
    config_path: Path
    config_text: str = field(repr=False)
    new_hash: str | None = field(repr=False)
    """The bootstrap hash to be adopted."""
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    def begin(self) -> None:
        """Raises OSError."""
        fields = {
            "id": self.id,
            "config_path": str(self.config_path),
            "config_text": self.config_text,
            "new_hash": self.new_hash,
        }
        replace_file(self.directory / _FILE, orjson.dumps(fields))

    def mark(self, unit: Unit) -> None:
        """In the transaction of the restore."""
        unit.state.set(self._mark, {"id": self.id})

    def is_marked(self, unit: Unit) -> bool:
        return unit.state.get(self._mark) == {"id": self.id}

    @property
    def _mark(self) -> str:
        """Of this node: others may share the database, and not the configuration file."""
        node = hashlib.sha256(f"{platform.node()}\0{self.directory.absolute()}".encode()).hexdigest()[:16]
        return f"restore:{node}"

    def end(self) -> None:
        (self.directory / _FILE).unlink(missing_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @classmethod
    def found(cls, directory: Path) -> Self | None:
        try:
            fields = orjson.loads((directory / _FILE).read_bytes())
        except FileNotFoundError:
            return None
        return cls(directory, Path(fields["config_path"]), fields["config_text"], fields["new_hash"], fields["id"])


def finish(database: Database, directory: Path, now: float) -> RestoreJournal | None:
    """At a start, before anyone else works: what an interrupted restore still has to do, if it has happened at all.

    Gives the journal if the configuration file is another one now. Raises CannotPersist, ControlError, OSError.
    """
    journal = RestoreJournal.found(directory)
    if journal is None:
        return None
    with database.read(now) as unit:
        happened = journal.is_marked(unit)
    if not happened:
        _log.info("a restore that was interrupted has changed nothing")
        journal.end()
        return None
    persist(journal.config_path, journal.config_text)
    new_hash = journal.new_hash
    if new_hash is not None and new_hash != bootstrap_hash.kept_in(directory):
        database.rekey(new_hash, lambda: bootstrap_hash.replace_file(new_hash, directory))
    journal.end()
    _log.warning("a restore that was interrupted was finished", config=str(journal.config_path))
    return journal


def draft_can_be_made(path: Path) -> None:
    """Raises CannotPersist where the file cannot be replaced, before anything has happened: after the transaction there
    is no way back, and a start that cannot finish the restore is none.
    """
    can_be_persisted(path)
    probe = path.resolve().with_name(f".{path.name}.restore")
    try:
        replace_file(probe, b"")
    except OSError as failure:
        raise CannotPersist(f"{path}: {failure.strerror or failure}") from failure
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
