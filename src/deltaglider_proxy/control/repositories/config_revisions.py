"""The history of the configuration: who applied what, and when."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from deltaglider_proxy.control.errors import NotFound
from deltaglider_proxy.control.model import ConfigRevision
from deltaglider_proxy.control.tables import config_revisions
from deltaglider_proxy.crypto.sealing import Sealed, Sealer

KEPT: Final = 200


class ConfigRevisions:
    def __init__(self, connection: Connection, sealer: Sealer, now: float) -> None:
        self._connection = connection
        self._sealer = sealer
        self._now = now

    def append(self, applied_by: str, action: str, document: str, summary: str) -> ConfigRevision:
        """`document` is what was applied, as text. The oldest beyond 200 go."""
        number = self._connection.execute(
            insert(config_revisions)
            .values(applied_at=self._now, applied_by=applied_by, action=action, sealed_document=b"", summary=summary)
            .returning(config_revisions.c.id)
        ).scalar_one()
        sealed = self._sealer.seal(document, _place(number))
        mine = config_revisions.c.id == number
        self._connection.execute(update(config_revisions).where(mine).values(sealed_document=sealed))
        self._connection.execute(delete(config_revisions).where(config_revisions.c.id <= number - KEPT))
        return self.get(number)

    def get(self, revision_id: int) -> ConfigRevision:
        """Raises NotFound."""
        query = select(config_revisions).where(config_revisions.c.id == revision_id)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise NotFound("configuration revision", revision_id)
        return self._revision(row)

    def list(self, limit: int = 50, before: int | None = None) -> Sequence[ConfigRevision]:
        """Newest first; `before` is the id of the last one of the page before."""
        query = select(config_revisions).order_by(config_revisions.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(config_revisions.c.id < before)
        return [self._revision(row) for row in self._connection.execute(query)]

    def _revision(self, row: Row[tuple[object, ...]]) -> ConfigRevision:
        document = Sealed(self._sealer, row.sealed_document, _place(row.id))
        return ConfigRevision(row.id, row.applied_at, row.applied_by, row.action, document, row.summary)


def _place(revision_id: int) -> str:
    return f"config_revisions/{revision_id}/document"
