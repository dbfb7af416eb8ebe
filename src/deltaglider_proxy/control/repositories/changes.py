"""What changed since a revision, so that a worker that knows ten thousand users reads the one that changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from deltaglider_proxy.control.model import Group, User
from deltaglider_proxy.control.repositories import groups, users
from deltaglider_proxy.control.repositories.revisions import SSO, Revisions
from deltaglider_proxy.control.tables import removals
from deltaglider_proxy.crypto.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Changes:
    revision: int
    users: Sequence[User]
    groups: Sequence[Group]
    removed_users: Sequence[int]
    removed_groups: Sequence[int]
    sso: bool
    """Providers or mapping rules changed."""


def changes_since(connection: Connection, sealer: Sealer, revision: int) -> Changes:
    """Since 0: everything."""
    revisions = Revisions(connection)
    gone: dict[str, list[int]] = {users.KIND: [], groups.KIND: []}
    for kind, number in connection.execute(
        select(removals.c.kind, removals.c.id).where(removals.c.revision > revision)
    ):
        gone[kind].append(number)
    return Changes(
        revisions.current(),
        users.load_users(connection, sealer, revision),
        groups.load_groups(connection, revision),
        gone[users.KIND],
        gone[groups.KIND],
        sso=revisions.current(SSO) > revision,
    )
