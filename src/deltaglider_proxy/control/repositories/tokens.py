"""Bearer tokens for automation."""

import secrets
from collections.abc import Iterable, Sequence

import orjson
from sqlalchemy import Connection, Row, delete, insert, select, update

from deltaglider_proxy.control.errors import NotFound
from deltaglider_proxy.control.model import ApiToken
from deltaglider_proxy.control.tables import api_tokens

KIND = "token"


class Tokens:
    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self._now = now

    def create(
        self,
        name: str,
        token_hash: bytes,
        scopes: Iterable[str],
        created_by: str,
        user_id: int | None,
        expires_at: float,
    ) -> ApiToken:
        number = secrets.token_hex(6)
        self._connection.execute(
            insert(api_tokens).values(
                id=number,
                name=name,
                token_hash=token_hash,
                scopes=orjson.dumps(sorted(scopes)).decode(),
                created_by=created_by,
                user_id=user_id,
                created_at=self._now,
                expires_at=expires_at,
            )
        )
        return self.get(number)

    def get(self, token_id: str) -> ApiToken:
        """Raises NotFound."""
        row = self._connection.execute(select(api_tokens).where(api_tokens.c.id == token_id)).one_or_none()
        if row is None:
            raise NotFound(KIND, token_id)
        return _token(row)

    def with_hash(self, token_hash: bytes) -> ApiToken | None:
        """One that has not expired."""
        row = self._connection.execute(select(api_tokens).where(api_tokens.c.token_hash == token_hash)).one_or_none()
        return _token(row) if row is not None and row.expires_at > self._now else None

    def list(self) -> Sequence[ApiToken]:
        query = select(api_tokens).order_by(api_tokens.c.created_at, api_tokens.c.id)
        return [_token(row) for row in self._connection.execute(query)]

    def used(self, token_id: str) -> None:
        self._connection.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(last_used=self._now))

    def delete(self, token_id: str) -> None:
        """Raises NotFound."""
        if not self._connection.execute(delete(api_tokens).where(api_tokens.c.id == token_id)).rowcount:
            raise NotFound(KIND, token_id)

    def delete_of(self, user_id: int | None) -> None:
        """All that the user has made; None: that were made with the bootstrap password."""
        self._connection.execute(delete(api_tokens).where(api_tokens.c.user_id == user_id))


def _token(row: Row[tuple[object, ...]]) -> ApiToken:
    return ApiToken(
        row.id,
        row.name,
        row.token_hash,
        tuple(orjson.loads(row.scopes)),
        row.created_by,
        row.user_id,
        row.created_at,
        row.expires_at,
        row.last_used,
    )
