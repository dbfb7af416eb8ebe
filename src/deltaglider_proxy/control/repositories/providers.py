"""Sign-in providers."""

from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection, Row, delete, insert, select, update

from deltaglider_proxy.control.errors import AlreadyExists, NotFound
from deltaglider_proxy.control.model import AuthProvider
from deltaglider_proxy.control.repositories.numbers import Numbers
from deltaglider_proxy.control.repositories.revisions import Revisions
from deltaglider_proxy.control.tables import auth_providers
from deltaglider_proxy.crypto.sealing import Sealed, Sealer

KIND = "provider"


class Providers:
    def __init__(
        self, connection: Connection, sealer: Sealer, revisions: Revisions, numbers: Numbers, now: float
    ) -> None:
        self._connection = connection
        self._sealer = sealer
        self._revisions = revisions
        self._numbers = numbers
        self._now = now

    def list(self) -> Sequence[AuthProvider]:
        """In the order of a sign-in page: highest priority first."""
        query = select(auth_providers).order_by(auth_providers.c.priority.desc(), auth_providers.c.id)
        return [self._provider(row) for row in self._connection.execute(query)]

    def get(self, provider_id: int) -> AuthProvider:
        """Raises NotFound."""
        query = select(auth_providers).where(auth_providers.c.id == provider_id)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(KIND, provider_id)
        return self._provider(row)

    def find(self, name: str) -> AuthProvider | None:
        query = select(auth_providers).where(auth_providers.c.name == name)
        row = self._connection.execute(query).one_or_none()
        return self._provider(row) if row is not None else None

    def create(
        self,
        name: str,
        provider_type: str,
        *,
        enabled: bool = True,
        priority: int = 0,
        display_name: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        issuer_url: str | None = None,
        scopes: str = "openid email profile",
        extra_config: Mapping[str, object] | None = None,
        created_at: float | None = None,
        updated_at: float | None = None,
    ) -> AuthProvider:
        """Times are now, unless they are given. Raises AlreadyExists."""
        self._refuse_name(name)
        number = self._connection.execute(
            insert(auth_providers)
            .values(
                **self._numbers.fresh(),
                name=name,
                provider_type=provider_type,
                enabled=enabled,
                priority=priority,
                display_name=display_name,
                client_id=client_id,
                issuer_url=issuer_url,
                scopes=scopes,
                extra_config=orjson.dumps(extra_config or {}).decode(),
                created_at=self._now if created_at is None else created_at,
                updated_at=self._now if updated_at is None else updated_at,
            )
            .returning(auth_providers.c.id)
        ).scalar_one()
        if client_secret:
            self._seal(number, client_secret)
        self._revisions.touch_sso()
        return self.get(number)

    def update(self, provider_id: int, values: Mapping[str, object], client_secret: str | None = None) -> AuthProvider:
        """`values` by column; without a secret the one that is there stays. Raises NotFound, AlreadyExists."""
        changed = dict(values)
        if isinstance(name := changed.get("name"), str):
            self._refuse_name(name, provider_id)
        if "extra_config" in changed:
            changed["extra_config"] = orjson.dumps(changed["extra_config"] or {}).decode()
        statement = update(auth_providers).where(auth_providers.c.id == provider_id)
        if not self._connection.execute(statement.values(updated_at=self._now, **changed)).rowcount:
            raise NotFound(KIND, provider_id)
        if client_secret:
            self._seal(provider_id, client_secret)
        self._revisions.touch_sso()
        return self.get(provider_id)

    def delete(self, provider_id: int) -> None:
        """With its mapping rules and identities. Raises NotFound."""
        if not self._connection.execute(delete(auth_providers).where(auth_providers.c.id == provider_id)).rowcount:
            raise NotFound(KIND, provider_id)
        self._revisions.touch_sso()

    def _seal(self, provider_id: int, client_secret: str) -> None:
        sealed = self._sealer.seal(client_secret, secret_place(provider_id))
        statement = update(auth_providers).where(auth_providers.c.id == provider_id)
        self._connection.execute(statement.values(sealed_client_secret=sealed))

    def _refuse_name(self, name: str, but: int | None = None) -> None:
        query = select(auth_providers.c.id).where(auth_providers.c.name == name)
        found = self._connection.execute(query).scalar_one_or_none()
        if found is not None and found != but:
            raise AlreadyExists(KIND, "name", name)

    def _provider(self, row: Row[tuple[object, ...]]) -> AuthProvider:
        sealed = row.sealed_client_secret
        return AuthProvider(
            row.id,
            row.name,
            row.provider_type,
            row.enabled,
            row.priority,
            row.display_name,
            row.client_id,
            Sealed(self._sealer, sealed, secret_place(row.id)) if sealed is not None else None,
            row.issuer_url,
            row.scopes,
            orjson.loads(row.extra_config),
            row.created_at,
            row.updated_at,
        )


def secret_place(provider_id: int) -> str:
    return f"auth_providers/{provider_id}/client_secret"
