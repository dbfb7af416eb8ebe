"""What becomes of three states: the last that two nodes had in common, ours, and theirs.

Row by row, what only one side has changed holds. Where both have, theirs does, which other nodes have seen already; but
nobody gets rights back by a merge: what either side took away stays away, what either side disabled stays disabled, of
rules that allow only those stay that both sides have, and a key with two secrets opens nothing. Pure functions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from deltaglider_proxy.control.model import Effect
from deltaglider_proxy.control.sharing.rows import (
    KEYS,
    SHAPES,
    USERS,
    Digests,
    Key,
    Row,
    Rows,
    Shape,
    Shared,
    digest,
    name_of,
)

_Merging = dict[str, dict[Key, Row]]


@dataclass(frozen=True, slots=True)
class Merged:
    shared: Shared
    conflicts: tuple[str, ...] = ()
    """What of ours did not hold, in words without secrets."""


def merge(base: Digests, ours: Shared, theirs: Shared) -> Merged:
    conflicts: list[str] = []
    revocations = dict(theirs.revocations)
    for identity, since in ours.revocations.items():
        revocations[identity] = max(since, revocations.get(identity, since))
    merged: _Merging = {}
    for shape in SHAPES:
        name = shape.name
        merged[name] = _merge_table(shape, base.get(name, {}), ours.rows[name], theirs.rows[name], conflicts)
    _keep_ids_apart(merged, theirs.rows, conflicts)
    _drop_orphans(merged)
    _leave_a_key(merged, theirs.rows, conflicts)
    _keep_names_apart(merged, theirs.rows, conflicts)
    return Merged(Shared(merged, revocations), tuple(conflicts))


def _merge_table(
    shape: Shape,
    base: Mapping[str, str],
    ours: Mapping[Key, Row],
    theirs: Mapping[Key, Row],
    conflicts: list[str],
) -> dict[Key, Row]:
    merged: dict[Key, Row] = {}
    for key in dict.fromkeys((*theirs, *ours)):
        mine, before = ours.get(key), base.get(name_of(key))
        held = _merge_row(mine, theirs.get(key), before)
        if held is not None:
            merged[key] = held
        if mine is not None and mine != held and digest(mine) != before:
            conflicts.append(_named(shape, mine))
    return merged


def _merge_row(mine: Row | None, yours: Row | None, before: str | None) -> Row | None:
    if mine == yours:
        return mine
    if mine is None or yours is None:
        return (yours if mine is None else mine) if before is None else None
    if digest(yours) == before:
        return mine
    if before is None or digest(mine) == before:
        return yours
    return _restricted(mine, yours)


def _restricted(mine: Row, yours: Row) -> Row:
    """Theirs, with what ours forbids: which of the two forbade it is not known any more."""
    held = dict(yours)
    if "enabled" in yours:
        held["enabled"] = bool(mine["enabled"]) and bool(yours["enabled"])
    if any(mine.get(name) != yours.get(name) for name in ("sealed_secret", "user_id")):
        held["enabled"] = False
    if "permissions" in yours:
        held["permissions"] = _common_rules(str(mine["permissions"]), str(yours["permissions"]))
    if "expires_at" in yours:
        ends = [end for end in (mine["expires_at"], yours["expires_at"]) if isinstance(end, int | float)]
        held["expires_at"] = min(ends, default=None)
    return held


def _common_rules(mine: str, yours: str) -> str:
    ours, theirs = orjson.loads(mine), orjson.loads(yours)
    kept = [rule for rule in theirs if rule in ours or _denies(rule)]
    kept += [rule for rule in ours if _denies(rule) and rule not in theirs]
    return yours if kept == theirs else orjson.dumps(kept).decode()


def _denies(rule: object) -> bool:
    return isinstance(rule, dict) and rule.get("effect") == str(Effect.DENY)


def _named(shape: Shape, row: Row) -> str:
    columns = ("name", "access_key_id", "external_sub")
    named = next((row[column] for column in columns if column in row), shape.key_of(row))
    return f"{shape.name} {named!r}"


def _keep_ids_apart(merged: _Merging, theirs: Rows, conflicts: list[str]) -> None:
    """Two rows that were made with one id: ours goes, with what hangs on it."""
    for shape in SHAPES:
        if "id" not in shape.key:
            continue
        name = shape.name
        taken = {row["id"]: key for key, row in theirs[name].items() if key in merged[name]}
        for key, row in list(merged[name].items()):
            if taken.get(row["id"], key) != key:
                del merged[name][key]
                conflicts.append(_named(shape, row))
                _cut_off(merged, theirs, name, row["id"])


def _cut_off(merged: _Merging, theirs: Rows, parent: str, number: object) -> None:
    for shape in SHAPES:
        name = shape.name
        for link in shape.parents:
            if link.table == parent:
                ours = [k for k, row in merged[name].items() if k not in theirs[name] and row[link.column] == number]
                for key in ours:
                    del merged[name][key]


def _drop_orphans(merged: _Merging) -> None:
    for shape in SHAPES:
        rows = merged[shape.name]
        for parent in shape.parents:
            there = {None, *(row["id"] for row in merged[parent.table].values())}
            for key in [key for key, row in rows.items() if row[parent.column] not in there]:
                del rows[key]


def _keep_names_apart(merged: _Merging, theirs: Rows, conflicts: list[str]) -> None:
    """Two rows that have one name: that which others have seen keeps it."""
    for shape in SHAPES:
        if "name" not in shape.columns:
            continue
        rows, seen = merged[shape.name], theirs[shape.name]
        taken: set[object] = set()
        for key in sorted(rows, key=lambda key: (seen.get(key, {}).get("name") != rows[key]["name"], repr(key))):
            row = rows[key]
            if row["name"] in taken:
                row = rows[key] = {**row, "name": f"{row['name']}~{row['id']}"}
                conflicts.append(f"{_named(shape, row)}, whose name was taken")
            taken.add(row["name"])


def _leave_a_key(merged: _Merging, theirs: Rows, conflicts: list[str]) -> None:
    """A user always has a key. Where each side took those that the other left, theirs stay, and open nothing. Whom both
    sides have made, with the same keys, is theirs.
    """
    while bare := _without_key(merged):
        left = {key: {**row, "enabled": False} for key, row in theirs[KEYS].items() if row["user_id"] in bare}
        if not left:
            break
        merged[KEYS].update(left)
    for key, row in list(merged[USERS].items()):
        if row["id"] in bare:
            del merged[USERS][key]
            conflicts.append(f"{USERS} {row['name']!r}, whose keys another user has")
    if bare:
        _drop_orphans(merged)


def _without_key(merged: _Merging) -> set[object]:
    return {row["id"] for row in merged[USERS].values()} - {row["user_id"] for row in merged[KEYS].values()}
