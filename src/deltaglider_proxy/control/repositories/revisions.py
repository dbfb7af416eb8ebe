"""Counters that tell other processes that something changed, and what."""

from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from deltaglider_proxy.control.tables import removals, revisions

IAM: Final = "iam"
"""Users, groups, providers and mapping rules."""
SSO: Final = "sso"
"""The `iam` revision at which providers or mapping rules last changed."""


class Revisions:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._taken: int | None = None

    def current(self, name: str = IAM) -> int:
        found = self._connection.execute(select(revisions.c.value).where(revisions.c.name == name)).scalar_one_or_none()
        return found or 0

    def take(self) -> int:
        """The revision of this transaction: one, however much it changes."""
        if self._taken is None:
            self._taken = self.current() + 1
            self._set(IAM, self._taken)
        return self._taken

    def touch_sso(self) -> None:
        self._set(SSO, self.take())

    def removed(self, kind: str, number: int) -> None:
        self._connection.execute(delete(removals).where(removals.c.kind == kind, removals.c.id == number))
        self._connection.execute(insert(removals).values(kind=kind, id=number, revision=self.take()))

    def is_back(self, kind: str, number: int) -> None:
        """A row that was removed is there again."""
        self._connection.execute(delete(removals).where(removals.c.kind == kind, removals.c.id == number))

    def _set(self, name: str, value: int) -> None:
        done = self._connection.execute(update(revisions).where(revisions.c.name == name).values(value=value))
        if not done.rowcount:
            self._connection.execute(insert(revisions).values(name=name, value=value))
