"""Making the shared rows of a database what they are to be, by the smallest change.

Rows that stay are not touched, so sessions and tokens of users that stay do, and workers reload only what changed.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, and_, delete, insert, update

from deltaglider_proxy.control.repositories import groups as group_repository
from deltaglider_proxy.control.repositories import users as user_repository
from deltaglider_proxy.control.sharing.rows import (
    GROUPS,
    KEYS,
    MEMBERS,
    PROVIDERS,
    RULES,
    SHAPES,
    USERS,
    Key,
    Row,
    Shape,
    Shared,
    place_of_secret,
    read_shared,
)
from deltaglider_proxy.control.tables import groups, users
from deltaglider_proxy.control.unit import Unit

_KINDS: Final = {USERS: user_repository.KIND, GROUPS: group_repository.KIND}
_AT_ONCE: Final = 500

T = TypeVar("T")


def adopt(unit: Unit, wanted: Shared) -> bool:
    """Whether anything had to change."""
    before = read_shared(unit.connection, unit.sealer)
    if before == wanted:
        return False
    touched: dict[str, set[object]] = {USERS: set(), GROUPS: set()}
    changed: set[str] = set()
    for shape in reversed(SHAPES):
        name = shape.name
        gone = [row for key, row in before.rows[name].items() if key not in wanted.rows[name]]
        for row in gone:
            _note(touched, shape, row)
            unit.connection.execute(delete(shape.table).where(_is(shape, shape.key_of(row))))
            if name in _KINDS:
                unit.revisions.removed(_KINDS[name], _number(row))
        if gone:
            changed.add(name)
    # What hung on rows that are gone went with them, and may be wanted again.
    now = read_shared(unit.connection, unit.sealer)
    for shape in SHAPES:
        if _upsert(unit, shape, now.rows[shape.name], wanted.rows[shape.name], touched):
            changed.add(shape.name)
    for identity, since in wanted.revocations.items():
        if since > now.revocations.get(identity, 0.0):
            unit.revocations.revoke(identity, since)
    if {PROVIDERS, RULES} & changed:
        unit.revisions.touch_sso()
    for table, name in ((users, USERS), (groups, GROUPS)):
        for some in _slices(touched[name]):
            unit.connection.execute(update(table).where(table.c.id.in_(some)).values(revision=unit.revisions.take()))
    return True


def _upsert(
    unit: Unit, shape: Shape, there: Mapping[Key, Row], wanted: Mapping[Key, Row], touched: dict[str, set[object]]
) -> bool:
    table = shape.table
    changed = {key: row for key, row in wanted.items() if key in there and there[key] != row}
    fresh = [row for key, row in wanted.items() if key not in there]
    if "name" in shape.columns:
        for key, row in changed.items():  # names may go round
            if row["name"] != there[key]["name"]:
                unit.connection.execute(update(table).where(_is(shape, key)).values(name=f"\0{row['id']}"))
    for key, row in changed.items():
        _note(touched, shape, there[key])
        _note(touched, shape, row)
        unit.connection.execute(update(table).where(_is(shape, key)).values(**_sealed(unit, shape, row)))
    numbered = {"revision": unit.revisions.take()} if "revision" in shape.local else {}
    for row in fresh:
        _note(touched, shape, row)
        if shape.name in _KINDS:
            unit.revisions.is_back(_KINDS[shape.name], _number(row))
    for some in _slices(fresh):
        unit.connection.execute(insert(table), [{**_sealed(unit, shape, row), **numbered} for row in some])
    return bool(changed or fresh)


def _number(row: Row) -> int:
    number = row["id"]
    assert isinstance(number, int)
    return number


def _sealed(unit: Unit, shape: Shape, row: Row) -> dict[str, object]:
    values = dict(row)
    secret = place_of_secret(shape, row)
    if secret is not None:
        column, place = secret
        text = row[column]
        if isinstance(text, str):
            values[column] = unit.sealer.seal(text, place)
    return values


def _note(touched: dict[str, set[object]], shape: Shape, row: Row) -> None:
    """Whose record a change of this row changes, as workers see it."""
    name = shape.name
    if name in touched:
        touched[name].add(row["id"])
    if name in (KEYS, MEMBERS):
        for parent in shape.parents:
            touched[parent.table].add(row[parent.column])


def _is(shape: Shape, key: Key) -> ColumnElement[bool]:
    return and_(*(shape.table.c[name] == value for name, value in zip(shape.key, key, strict=True)))


def _slices(rows: Collection[T]) -> Iterator[list[T]]:
    listed = list(rows)
    for start in range(0, len(listed), _AT_ONCE):
        yield listed[start : start + _AT_ONCE]
