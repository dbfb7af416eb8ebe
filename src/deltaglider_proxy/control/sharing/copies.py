"""Copies of the database that nodes exchange: encrypted as the database itself, without what concerns one node alone.

A copy carries a generation, which grows with each that is shared, so that an old one is known for what it is; and the
names of those that it came of.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import delete

from deltaglider_proxy.control.database import Database, SqliteTarget, open_database
from deltaglider_proxy.control.errors import CannotOpen
from deltaglider_proxy.control.sharing.rows import Shared, read_shared
from deltaglider_proxy.control.tables import api_tokens, config_revisions, removals, sessions, state
from deltaglider_proxy.crypto.sealing import CannotUnseal

_MARK: Final = "shared"
_LINEAGE: Final = 1000
_OF_ONE_NODE: Final = (sessions, api_tokens, config_revisions, removals, state)


class BadCopy(CannotOpen):
    """It opens, and is no copy that nodes exchange."""


@dataclass(frozen=True, slots=True)
class Copy:
    generation: int
    revision: int
    """That of the database which it is a copy of."""
    lineage: Sequence[str]
    """Names of the copies before it, and its own."""
    shared: Shared


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A name for a copy, which is gone afterwards."""
    made = path.with_name(f"{path.name}.sync-{secrets.token_hex(8)}")
    try:
        yield made
    finally:
        made.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """What a process that was killed has left beside the database."""
    for left in path.parent.glob(f"{path.name}.sync-*"):
        left.unlink(missing_ok=True)


def make_copy(database: Database, path: Path, generation: int, after: Sequence[str] = ()) -> Copy:
    """`after` is the lineage of the copy that it is to replace. Raises ControlError, OSError."""
    target = database.target
    assert isinstance(target, SqliteTarget)
    database.copy_to(path)
    lineage = [*after, secrets.token_hex(8)][-_LINEAGE:]
    made = open_database(SqliteTarget(path, target.keys, passing=True))
    try:
        with made.write(0.0) as unit:
            for table in _OF_ONE_NODE:
                unit.connection.execute(delete(table))
            unit.state.set(_MARK, {"generation": generation, "lineage": lineage})
            copy = Copy(generation, unit.revisions.current(), lineage, read_shared(unit.connection, unit.sealer))
        made.shrink()
    finally:
        made.close()
    return copy


def read_copy(database: Database, path: Path) -> Copy:
    """`path` was received, and is migrated in place if it is of an earlier release. Raises CannotOpen: WrongKey where
    the other node has another bootstrap hash, DatabaseTooNew where it runs a later release.
    """
    target = database.target
    assert isinstance(target, SqliteTarget)
    found = open_database(SqliteTarget(path, target.keys, passing=True))
    try:
        with found.read() as unit:
            mark = unit.state.get(_MARK)
            generation, lineage = (mark.get("generation"), mark.get("lineage")) if mark is not None else (None, None)
            if not isinstance(generation, int) or not isinstance(lineage, list):
                raise BadCopy("it is a database, and not one that nodes share")
            return Copy(generation, 0, lineage, read_shared(unit.connection, unit.sealer))
    except CannotUnseal as error:
        raise BadCopy(f"it is damaged: {error}") from error
    finally:
        found.close()
