"""Groups: rules that several users share."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select, update

from deltaglider_proxy.control.errors import AlreadyExists, NotFound
from deltaglider_proxy.control.model import Group, MembershipSource, Permission
from deltaglider_proxy.control.repositories import permissions
from deltaglider_proxy.control.repositories.numbers import Numbers
from deltaglider_proxy.control.repositories.revisions import Revisions
from deltaglider_proxy.control.tables import group_members, groups, users

KIND = "group"


class Groups:
    def __init__(self, connection: Connection, revisions: Revisions, numbers: Numbers, now: float) -> None:
        self._connection = connection
        self._revisions = revisions
        self._numbers = numbers
        self._now = now

    def list(self) -> Sequence[Group]:
        return load_groups(self._connection, 0)

    def get(self, group_id: int) -> Group:
        """Raises NotFound."""
        found = load_groups(self._connection, 0, group_id)
        if not found:
            raise NotFound(KIND, group_id)
        return found[0]

    def find(self, name: str) -> Group | None:
        number = self._connection.execute(select(groups.c.id).where(groups.c.name == name)).scalar_one_or_none()
        return self.get(number) if number is not None else None

    def create(
        self, name: str, description: str = "", rules: Iterable[Permission] = (), created_at: float | None = None
    ) -> Group:
        """Raises AlreadyExists."""
        self._refuse_name(name)
        number = self._connection.execute(
            insert(groups)
            .values(
                **self._numbers.fresh(),
                name=name,
                description=description,
                created_at=self._now if created_at is None else created_at,
                permissions=permissions.dump(rules),
                revision=self._revisions.take(),
            )
            .returning(groups.c.id)
        ).scalar_one()
        return self.get(number)

    def update(
        self,
        group_id: int,
        *,
        name: str | None = None,
        description: str | None = None,
        rules: Iterable[Permission] | None = None,
    ) -> Group:
        """None keeps what is there. Raises NotFound, AlreadyExists."""
        values: dict[str, object] = {}
        if name is not None:
            self._refuse_name(name, group_id)
            values["name"] = name
        if description is not None:
            values["description"] = description
        if rules is not None:
            values["permissions"] = permissions.dump(rules)
        self._touch(group_id, **values)
        return self.get(group_id)

    def delete(self, group_id: int) -> None:
        """With memberships and mapping rules. Raises NotFound."""
        self._touch_members(group_id)
        if not self._connection.execute(delete(groups).where(groups.c.id == group_id)).rowcount:
            raise NotFound(KIND, group_id)
        self._revisions.removed(KIND, group_id)
        self._revisions.touch_sso()

    def add_member(self, group_id: int, user_id: int, source: MembershipSource = MembershipSource.MANUAL) -> None:
        """Nothing to do for a member. Raises NotFound."""
        self._touch(group_id)
        self._touch_user(user_id)
        mine = (group_members.c.group_id == group_id) & (group_members.c.user_id == user_id)
        self._connection.execute(delete(group_members).where(mine))
        self._connection.execute(insert(group_members).values(group_id=group_id, user_id=user_id, source=str(source)))

    def remove_member(self, group_id: int, user_id: int) -> None:
        """Raises NotFound."""
        mine = (group_members.c.group_id == group_id) & (group_members.c.user_id == user_id)
        if not self._connection.execute(delete(group_members).where(mine)).rowcount:
            raise NotFound("member", user_id)
        self._touch(group_id)
        self._touch_user(user_id)

    def set_members(self, group_id: int, user_ids: Iterable[int]) -> None:
        """Raises NotFound."""
        self._touch_members(group_id)
        self._touch(group_id)
        self._connection.execute(delete(group_members).where(group_members.c.group_id == group_id))
        for user_id in sorted(set(user_ids)):
            self.add_member(group_id, user_id)

    def given_by_rules(self) -> set[tuple[int, int]]:
        """Memberships that mapping rules gave, as group and user."""
        query = select(group_members.c.group_id, group_members.c.user_id)
        mapped = query.where(group_members.c.source == str(MembershipSource.MAPPING))
        return {(group_id, user_id) for group_id, user_id in self._connection.execute(mapped)}

    def _touch(self, group_id: int, **values: object) -> None:
        statement = update(groups).where(groups.c.id == group_id).values(revision=self._revisions.take(), **values)
        if not self._connection.execute(statement).rowcount:
            raise NotFound(KIND, group_id)

    def _touch_user(self, user_id: int) -> None:
        statement = update(users).where(users.c.id == user_id).values(revision=self._revisions.take())
        if not self._connection.execute(statement).rowcount:
            raise NotFound("user", user_id)

    def _touch_members(self, group_id: int) -> None:
        members = select(group_members.c.user_id).where(group_members.c.group_id == group_id)
        self._connection.execute(update(users).where(users.c.id.in_(members)).values(revision=self._revisions.take()))

    def _refuse_name(self, name: str, but: int | None = None) -> None:
        found = self._connection.execute(select(groups.c.id).where(groups.c.name == name)).scalar_one_or_none()
        if found is not None and found != but:
            raise AlreadyExists(KIND, "name", name)


def load_groups(connection: Connection, after: int, only: int | None = None) -> Sequence[Group]:
    """Those that changed after a revision, by id."""
    wanted = groups.c.revision > after if only is None else groups.c.id == only
    rows = connection.execute(select(groups).where(wanted).order_by(groups.c.id)).all()
    if not rows:
        return []
    members: dict[int, list[int]] = {}
    query = (
        select(group_members.c.group_id, group_members.c.user_id)
        .where(group_members.c.group_id.in_(select(groups.c.id).where(wanted)))
        .order_by(group_members.c.user_id)
    )
    for group_id, user_id in connection.execute(query):
        members.setdefault(group_id, []).append(user_id)
    return [
        Group(
            row.id,
            row.name,
            row.description,
            row.created_at,
            permissions.load(row.permissions),
            tuple(members.get(row.id, ())),
        )
        for row in rows
    ]
