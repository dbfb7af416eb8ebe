"""The rows that nodes share, as plain values: users, groups, sign-in providers and what belongs to them.

Each node seals secrets under a key of its own, so they are opened here, to be compared and to be sealed again. A row's
key holds the time at which it was made too: the same id made at another time is another row.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy import Connection, Table, select

from deltaglider_proxy.control.repositories import providers, users
from deltaglider_proxy.control.tables import (
    access_keys,
    auth_providers,
    external_identities,
    group_members,
    groups,
    mapping_rules,
    session_revocations,
)
from deltaglider_proxy.control.tables import users as users_table
from deltaglider_proxy.crypto.sealing import Sealer

Row = Mapping[str, object]
Key = tuple[object, ...]
Rows = Mapping[str, Mapping[Key, Row]]
"""By the name of the table, then by key."""
Digests = Mapping[str, Mapping[str, str]]
"""The same with a digest in place of each row; keys as JSON."""

USERS, GROUPS, PROVIDERS = str(users_table.name), str(groups.name), str(auth_providers.name)
KEYS, MEMBERS, RULES = str(access_keys.name), str(group_members.name), str(mapping_rules.name)


@dataclass(frozen=True, slots=True)
class Parent:
    column: str
    table: str


@dataclass(frozen=True, slots=True)
class Shape:
    table: Table
    key: tuple[str, ...]
    parents: tuple[Parent, ...] = ()
    local: frozenset[str] = frozenset()
    """Columns that mean something on one node only."""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(str(column.name) for column in self.table.columns if column.name not in self.local)

    @property
    def name(self) -> str:
        return str(self.table.name)

    def key_of(self, row: Row) -> Key:
        return tuple(row[name] for name in self.key)


_USER, _GROUP = Parent("user_id", USERS), Parent("group_id", GROUPS)
_PROVIDER: Final = Parent("provider_id", PROVIDERS)
_REVISION: Final = frozenset({"revision"})
SHAPES: Final[Sequence[Shape]] = (
    Shape(users_table, ("id", "created_at"), local=_REVISION),
    Shape(groups, ("id", "created_at"), local=_REVISION),
    Shape(auth_providers, ("id", "created_at")),
    Shape(access_keys, ("access_key_id",), (_USER,)),
    Shape(group_members, ("group_id", "user_id"), (_GROUP, _USER)),
    Shape(mapping_rules, ("id", "created_at"), (_GROUP, _PROVIDER)),
    Shape(external_identities, ("provider_id", "external_sub"), (_USER, _PROVIDER), frozenset({"id"})),
)
"""Parents come before their children."""


@dataclass(frozen=True, slots=True)
class Shared:
    rows: Rows
    revocations: Mapping[str, float] = field(default_factory=dict)
    """Since when the sessions of an identity count no more."""

    @property
    def names_nobody(self) -> bool:
        return not any(self.rows[name] for name in (USERS, GROUPS, PROVIDERS))


def read_shared(connection: Connection, sealer: Sealer) -> Shared:
    """Raises CannotUnseal."""
    found: dict[str, dict[Key, Row]] = {}
    for shape in SHAPES:
        columns = [shape.table.c[name] for name in shape.columns]
        rows = found.setdefault(shape.name, {})
        for values in connection.execute(select(*columns)):
            row = dict(zip(shape.columns, values, strict=True))
            _open(shape, row, sealer)
            rows[shape.key_of(row)] = row
    revoked = connection.execute(select(session_revocations.c.identity, session_revocations.c.revoked_since))
    return Shared(found, {row.identity: row.revoked_since for row in revoked})


def place_of_secret(shape: Shape, row: Row) -> tuple[str, str] | None:
    """The column of a row that is sealed, and what it is bound to."""
    if shape.table is access_keys:
        key_id, user_id = row["access_key_id"], row["user_id"]
        assert isinstance(key_id, str)
        assert isinstance(user_id, int)
        return "sealed_secret", users.secret_place(key_id, user_id)
    if shape.table is auth_providers:
        number = row["id"]
        assert isinstance(number, int)
        return "sealed_client_secret", providers.secret_place(number)
    return None


def _open(shape: Shape, row: dict[str, object], sealer: Sealer) -> None:
    secret = place_of_secret(shape, row)
    if secret is not None:
        column, place = secret
        sealed = row[column]
        if isinstance(sealed, bytes):
            row[column] = sealer.unseal(sealed, place)


def digests(shared: Shared) -> Digests:
    return {name: {name_of(key): digest(row) for key, row in rows.items()} for name, rows in shared.rows.items()}


def name_of(key: Key) -> str:
    return orjson.dumps(key).decode()


def digest(row: Row) -> str:
    """64 bits: enough to see that a row has changed."""
    return hashlib.blake2b(orjson.dumps(list(row.values())), digest_size=8).hexdigest()
