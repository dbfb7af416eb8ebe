"""Who a provider's subjects are here."""

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from deltaglider_proxy.control.model import ExternalIdentity
from deltaglider_proxy.control.repositories.revisions import Revisions
from deltaglider_proxy.control.tables import external_identities


class Identities:
    def __init__(self, connection: Connection, revisions: Revisions, now: float) -> None:
        self._connection = connection
        self._revisions = revisions
        self._now = now

    def list(self) -> Sequence[ExternalIdentity]:
        query = select(external_identities).order_by(external_identities.c.id)
        return [_identity(row) for row in self._connection.execute(query)]

    def find(self, provider_id: int, external_sub: str) -> ExternalIdentity | None:
        theirs = (external_identities.c.provider_id == provider_id) & (
            external_identities.c.external_sub == external_sub
        )
        row = self._connection.execute(select(external_identities).where(theirs)).one_or_none()
        return _identity(row) if row is not None else None

    def of_user(self, user_id: int) -> Sequence[ExternalIdentity]:
        query = select(external_identities).where(external_identities.c.user_id == user_id)
        return [_identity(row) for row in self._connection.execute(query)]

    def record(
        self,
        user_id: int,
        provider_id: int,
        external_sub: str,
        *,
        email: str | None,
        display_name: str | None,
        claims: Mapping[str, object],
        email_verified: bool,
    ) -> ExternalIdentity:
        """At a sign-in: the first one of a subject binds it to the user."""
        values = {
            "email": email,
            "display_name": display_name,
            "last_login": self._now,
            "raw_claims": orjson.dumps(claims).decode(),
            "email_verified": email_verified,
        }
        self._revisions.take()
        known = self.find(provider_id, external_sub)
        if known is None:
            self._connection.execute(
                insert(external_identities).values(
                    user_id=user_id,
                    provider_id=provider_id,
                    external_sub=external_sub,
                    created_at=self._now,
                    **values,
                )
            )
        else:
            mine = external_identities.c.id == known.id
            self._connection.execute(update(external_identities).where(mine).values(**values))
        found = self.find(provider_id, external_sub)
        assert found is not None
        return found

    def restore(self, identity: ExternalIdentity) -> None:
        """As it was; its own number is of no meaning here."""
        self._revisions.take()
        self._connection.execute(
            insert(external_identities).values(
                user_id=identity.user_id,
                provider_id=identity.provider_id,
                external_sub=identity.external_sub,
                email=identity.email,
                display_name=identity.display_name,
                last_login=identity.last_login,
                raw_claims=orjson.dumps(identity.raw_claims).decode(),
                created_at=identity.created_at,
                email_verified=identity.email_verified,
            )
        )


def _identity(row: Row[tuple[object, ...]]) -> ExternalIdentity:
    return ExternalIdentity(
        row.id,
        row.user_id,
        row.provider_id,
        row.external_sub,
        row.email,
        row.display_name,
        row.last_login,
        orjson.loads(row.raw_claims),
        row.created_at,
        row.email_verified,
    )
