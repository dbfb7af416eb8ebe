"""Users with their access keys and memberships."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from deltaglider_proxy.control.errors import AlreadyExists, NotFound, Refused
from deltaglider_proxy.control.model import AccessKey, AuthSource, MembershipSource, Permission, User
from deltaglider_proxy.control.repositories import permissions
from deltaglider_proxy.control.repositories.numbers import Numbers
from deltaglider_proxy.control.repositories.revisions import Revisions
from deltaglider_proxy.control.tables import access_keys, group_members, groups, users
from deltaglider_proxy.crypto.sealing import Sealed, Sealer

KIND = "user"
MOST_KEYS = 100
"""Of one user."""


@dataclass(frozen=True, slots=True)
class NewKey:
    access_key_id: str
    secret: str = field(repr=False)
    expires_at: float | None = None
    enabled: bool = True
    created_at: float | None = None
    """None: now."""


class Users:
    def __init__(
        self, connection: Connection, sealer: Sealer, revisions: Revisions, numbers: Numbers, now: float
    ) -> None:
        self._connection = connection
        self._sealer = sealer
        self._revisions = revisions
        self._numbers = numbers
        self._now = now

    def list(self) -> Sequence[User]:
        return load_users(self._connection, self._sealer, 0)

    def get(self, user_id: int) -> User:
        """Raises NotFound."""
        found = load_users(self._connection, self._sealer, 0, user_id)
        if not found:
            raise NotFound(KIND, user_id)
        return found[0]

    def find(self, name: str) -> User | None:
        number = self._connection.execute(select(users.c.id).where(users.c.name == name)).scalar_one_or_none()
        return self.get(number) if number is not None else None

    def with_key(self, access_key_id: str) -> User | None:
        query = select(access_keys.c.user_id).where(access_keys.c.access_key_id == access_key_id)
        number = self._connection.execute(query).scalar_one_or_none()
        return self.get(number) if number is not None else None

    def count(self) -> int:
        return self._connection.execute(select(func.count()).select_from(users)).scalar_one()

    def create(
        self,
        name: str,
        key: NewKey,
        *,
        enabled: bool = True,
        auth_source: AuthSource = AuthSource.LOCAL,
        rules: Iterable[Permission] = (),
        created_at: float | None = None,
    ) -> User:
        """Raises AlreadyExists."""
        self._refuse_name(name)
        self._refuse_key(key.access_key_id)
        number = self._connection.execute(
            insert(users)
            .values(
                **self._numbers.fresh(),
                name=name,
                enabled=enabled,
                auth_source=str(auth_source),
                created_at=self._now if created_at is None else created_at,
                permissions=permissions.dump(rules),
                revision=self._revisions.take(),
            )
            .returning(users.c.id)
        ).scalar_one()
        self._insert_key(number, key)
        return self.get(number)

    def update(
        self,
        user_id: int,
        *,
        name: str | None = None,
        enabled: bool | None = None,
        rules: Iterable[Permission] | None = None,
        auth_source: AuthSource | None = None,
    ) -> User:
        """None keeps what is there. Raises NotFound, AlreadyExists."""
        values: dict[str, object] = {}
        if name is not None:
            self._refuse_name(name, user_id)
            values["name"] = name
        if enabled is not None:
            values["enabled"] = enabled
        if rules is not None:
            values["permissions"] = permissions.dump(rules)
        if auth_source is not None:
            values["auth_source"] = str(auth_source)
        self._touch(user_id, **values)
        return self.get(user_id)

    def delete(self, user_id: int) -> None:
        """With keys, memberships, identities and sessions. Raises NotFound."""
        if not self._connection.execute(delete(users).where(users.c.id == user_id)).rowcount:
            raise NotFound(KIND, user_id)
        self._revisions.removed(KIND, user_id)

    def replace_keys(self, user_id: int, keys: Sequence[NewKey]) -> User:
        """All keys at once: what was there no longer opens anything. Raises NotFound, AlreadyExists."""
        self._touch(user_id)
        self._connection.execute(delete(access_keys).where(access_keys.c.user_id == user_id))
        for key in keys:
            self._refuse_key(key.access_key_id)
            self._insert_key(user_id, key)
        return self.get(user_id)

    def add_key(self, user_id: int, key: NewKey) -> User:
        """Raises NotFound, AlreadyExists, Refused."""
        if len(self.get(user_id).keys) >= MOST_KEYS:
            raise Refused(f"a user has at most {MOST_KEYS} access keys")
        self._refuse_key(key.access_key_id)
        self._touch(user_id)
        self._insert_key(user_id, key)
        return self.get(user_id)

    def change_key(self, user_id: int, access_key_id: str, *, enabled: bool) -> User:
        """Raises NotFound."""
        mine = (access_keys.c.user_id == user_id) & (access_keys.c.access_key_id == access_key_id)
        if not self._connection.execute(update(access_keys).where(mine).values(enabled=enabled)).rowcount:
            raise NotFound("access key", access_key_id)
        self._touch(user_id)
        return self.get(user_id)

    def remove_key(self, user_id: int, access_key_id: str) -> User:
        """Raises NotFound, and Refused for the last one."""
        user = self.get(user_id)
        if access_key_id not in {key.access_key_id for key in user.keys}:
            raise NotFound("access key", access_key_id)
        if len(user.keys) == 1:
            raise Refused("this is the user's only access key; add another one first, or delete the user")
        self._connection.execute(delete(access_keys).where(access_keys.c.access_key_id == access_key_id))
        self._touch(user_id)
        return self.get(user_id)

    def set_groups(self, user_id: int, group_ids: Iterable[int], source: MembershipSource) -> None:
        """The groups that the user has from one source; those from the other stay. Raises NotFound."""
        self._touch(user_id)
        mine = group_members.c.user_id == user_id
        self._connection.execute(delete(group_members).where(mine & (group_members.c.source == str(source))))
        query = select(group_members.c.group_id).where(mine)
        others = set(self._connection.execute(query).scalars())
        group_ids = set(group_ids)
        known = set(self._connection.execute(select(groups.c.id).where(groups.c.id.in_(group_ids))).scalars())
        for missing in sorted(group_ids - known):
            raise NotFound("group", missing)
        new = [
            {"group_id": group_id, "user_id": user_id, "source": str(source)} for group_id in sorted(group_ids - others)
        ]
        if new:
            self._connection.execute(insert(group_members), new)

    def _touch(self, user_id: int, **values: object) -> None:
        statement = update(users).where(users.c.id == user_id).values(revision=self._revisions.take(), **values)
        if not self._connection.execute(statement).rowcount:
            raise NotFound(KIND, user_id)

    def _refuse_name(self, name: str, but: int | None = None) -> None:
        found = self._connection.execute(select(users.c.id).where(users.c.name == name)).scalar_one_or_none()
        if found is not None and found != but:
            raise AlreadyExists(KIND, "name", name)

    def _refuse_key(self, access_key_id: str) -> None:
        query = select(access_keys.c.user_id).where(access_keys.c.access_key_id == access_key_id)
        if self._connection.execute(query).scalar_one_or_none() is not None:
            raise AlreadyExists(KIND, "access key id", access_key_id)

    def _insert_key(self, user_id: int, key: NewKey) -> None:
        self._connection.execute(
            insert(access_keys).values(
                access_key_id=key.access_key_id,
                user_id=user_id,
                sealed_secret=self._sealer.seal(key.secret, secret_place(key.access_key_id, user_id)),
                created_at=self._now if key.created_at is None else key.created_at,
                enabled=key.enabled,
                expires_at=key.expires_at,
            )
        )


def secret_place(access_key_id: str, user_id: int) -> str:
    return f"access_keys/{user_id}/{access_key_id}/secret"


def load_users(connection: Connection, sealer: Sealer, after: int, only: int | None = None) -> Sequence[User]:
    """Those that changed after a revision, by id: three queries, however many there are. Secrets stay sealed."""
    wanted = users.c.revision > after if only is None else users.c.id == only
    rows = connection.execute(select(users).where(wanted).order_by(users.c.id)).all()
    if not rows:
        return []
    theirs = select(users.c.id).where(wanted)
    keys: dict[int, list[AccessKey]] = {}
    every_key = (
        select(access_keys)
        .where(access_keys.c.user_id.in_(theirs))
        .order_by(access_keys.c.created_at, access_keys.c.access_key_id)
    )
    for key_id, user_id, sealed, created_at, enabled, expires_at in connection.execute(every_key):
        secret = Sealed(sealer, sealed, secret_place(key_id, user_id))
        keys.setdefault(user_id, []).append(AccessKey(key_id, secret, created_at, enabled, expires_at))
    memberships: dict[int, list[int]] = {}
    every_membership = (
        select(group_members.c.user_id, group_members.c.group_id)
        .where(group_members.c.user_id.in_(theirs))
        .order_by(group_members.c.group_id)
    )
    for user_id, group_id in connection.execute(every_membership):
        memberships.setdefault(user_id, []).append(group_id)
    return [_user(row, keys.get(row.id, []), memberships.get(row.id, [])) for row in rows]


def _user(row: Row[tuple[object, ...]], keys: Sequence[AccessKey], group_ids: Sequence[int]) -> User:
    return User(
        id=row.id,
        name=row.name,
        keys=tuple(keys),
        enabled=row.enabled,
        auth_source=AuthSource(row.auth_source),
        created_at=row.created_at,
        permissions=permissions.load(row.permissions),
        group_ids=tuple(group_ids),
    )
