"""What a node remembers of the copies that it has taken, given, or tried to give.

An attempt whose answer was lost may have been what others saw next. So each copy names those that it came of, and an
attempt is written down before it is made: whether it counted shows in the next copy that is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from deltaglider_proxy.control.repositories.state import Document
from deltaglider_proxy.control.sharing.copies import Copy
from deltaglider_proxy.control.sharing.rows import Digests, digests, read_shared
from deltaglider_proxy.control.unit import Unit

_STATE: Final = "config_sync"
_ROWS: Final = "config_sync_rows"
_ATTEMPTS: Final = "config_sync_attempts"


@dataclass(frozen=True, slots=True)
class Synced:
    etag: str
    """Of the object in the bucket; empty before there was any exchange."""
    generation: int
    revision: int
    """Of this node's database when the two were the same; 0 if this node has something that the copy has not."""
    lineage: Sequence[str] = field(repr=False)
    rows: Digests = field(repr=False)


def begin(unit: Unit) -> None:
    """A node that begins to share takes what is shared in place of what it has now, and gives what it makes later."""
    if unit.state.get(_STATE) is None:
        remember(unit, Synced("", 0, 0, (), digests(read_shared(unit.connection, unit.sealer))))


def recall(unit: Unit) -> Synced:
    """After `begin`."""
    found, rows = _stored(unit, _STATE), _stored(unit, _ROWS)
    etag, generation, revision, lineage = (found[name] for name in ("etag", "generation", "revision", "lineage"))
    assert isinstance(etag, str)
    assert isinstance(generation, int)
    assert isinstance(revision, int)
    assert isinstance(lineage, list)
    return Synced(etag, generation, revision, lineage, rows)  # type: ignore[arg-type]  # as `remember` has written it


def remember(unit: Unit, synced: Synced) -> None:
    """An object that is another one now settles all attempts to replace the one before."""
    unit.state.set(
        _STATE,
        {
            "etag": synced.etag,
            "generation": synced.generation,
            "revision": synced.revision,
            "lineage": list(synced.lineage),
        },
    )
    unit.state.set(_ROWS, dict(synced.rows))
    unit.state.set(_ATTEMPTS, {})


def attempt(unit: Unit, copy: Copy) -> None:
    """This copy is about to be given."""
    unit.state.set(_ATTEMPTS, {**_stored(unit, _ATTEMPTS), copy.lineage[-1]: digests(copy.shared)})


def in_common(unit: Unit, seen: Copy) -> Digests:
    """The last rows that this node and whoever made the copy both had."""
    attempts = _stored(unit, _ATTEMPTS)
    counted = next((made for made in reversed(seen.lineage) if made in attempts), None)
    return attempts[counted] if counted is not None else recall(unit).rows  # type: ignore[return-value]  # see `attempt`


def _stored(unit: Unit, name: str) -> Document:
    found = unit.state.get(name)
    assert found is not None, "every exchange begins with `begin`"
    return found
