"""Sessions of people who have signed in, and since when an identity's sessions count no more."""

import secrets
from collections.abc import Sequence
from typing import Final

import orjson
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from deltaglider_proxy.control.errors import NotFound
from deltaglider_proxy.control.model import S3Credentials, Session, SessionAuth, SessionKind
from deltaglider_proxy.control.repositories.revisions import Revisions
from deltaglider_proxy.control.tables import session_revocations, sessions
from deltaglider_proxy.crypto.sealing import Sealed, Sealer

PER_IDENTITY: Final = 10
IN_ALL: Final = 1000


class Sessions:
    def __init__(self, connection: Connection, sealer: Sealer, now: float) -> None:
        self._connection = connection
        self._sealer = sealer
        self._now = now

    def create(
        self,
        token_hash: bytes,
        kind: SessionKind,
        auth: SessionAuth,
        identity: str,
        user_id: int | None,
        ip: str | None,
        lifetime: float,
        s3: S3Credentials | None = None,
    ) -> Session:
        """`lifetime` in seconds. An identity has ten at most, and all together a thousand of each kind: the oldest of
        the same kind make room, so that strangers never end an administrator's.
        """
        self.sweep()
        same_kind = sessions.c.kind == str(kind)
        self._make_room(same_kind & (sessions.c.identity == identity), PER_IDENTITY)
        self._make_room(same_kind, IN_ALL)
        name = secrets.token_hex(6)
        self._connection.execute(
            insert(sessions).values(
                id=name,
                token_hash=token_hash,
                kind=str(kind),
                auth=str(auth),
                identity=identity,
                user_id=user_id,
                ip=ip,
                created_at=self._now,
                last_seen=self._now,
                expires_at=self._now + lifetime,
                sealed_s3=self._seal(name, s3),
            )
        )
        return self.get(name)

    def _make_room(self, which: object, most: int) -> None:
        query = select(sessions.c.id).where(which).order_by(sessions.c.created_at.desc()).offset(most - 1)  # type: ignore[arg-type]  # a column expression, whose class SQLAlchemy does not name
        too_many = list(self._connection.execute(query).scalars())
        if too_many:
            self._connection.execute(delete(sessions).where(sessions.c.id.in_(too_many)))

    def get(self, session_id: str) -> Session:
        """Raises NotFound."""
        row = self._connection.execute(select(sessions).where(sessions.c.id == session_id)).one_or_none()
        if row is None:
            raise NotFound("session", session_id)
        return self._session(row)

    def with_token(self, token_hash: bytes) -> Session | None:
        """Alive: neither expired nor revoked."""
        row = self._connection.execute(select(sessions).where(sessions.c.token_hash == token_hash)).one_or_none()
        if row is None or row.expires_at <= self._now:
            return None
        query = select(session_revocations.c.revoked_since).where(session_revocations.c.identity == row.identity)
        revoked = self._connection.execute(query).scalar_one_or_none()
        return None if revoked is not None and row.created_at <= revoked else self._session(row)

    def list(self) -> Sequence[Session]:
        """All that have not expired, newest first."""
        query = select(sessions).where(sessions.c.expires_at > self._now).order_by(sessions.c.created_at.desc())
        return [self._session(row) for row in self._connection.execute(query)]

    def seen(self, session_id: str) -> None:
        self._connection.execute(update(sessions).where(sessions.c.id == session_id).values(last_seen=self._now))

    def set_s3(self, session_id: str, s3: S3Credentials | None) -> None:
        sealed = self._seal(session_id, s3)
        self._connection.execute(update(sessions).where(sessions.c.id == session_id).values(sealed_s3=sealed))

    def delete(self, session_id: str) -> None:
        """Raises NotFound."""
        if not self._connection.execute(delete(sessions).where(sessions.c.id == session_id)).rowcount:
            raise NotFound("session", session_id)

    def delete_of(self, identity: str) -> int:
        return self._connection.execute(delete(sessions).where(sessions.c.identity == identity)).rowcount

    def sweep(self) -> int:
        """Forget those that have expired."""
        return self._connection.execute(delete(sessions).where(sessions.c.expires_at <= self._now)).rowcount

    def count(self) -> int:
        return self._connection.execute(select(func.count()).select_from(sessions)).scalar_one()

    def _seal(self, session_id: str, s3: S3Credentials | None) -> bytes | None:
        if s3 is None:
            return None
        fields = [s3.endpoint, s3.region, s3.bucket, s3.access_key_id, s3.secret_access_key.reveal()]
        return self._sealer.seal(orjson.dumps(fields).decode(), _place(session_id))

    def _session(self, row: Row[tuple[object, ...]]) -> Session:
        s3 = None
        if row.sealed_s3 is not None:
            fields = orjson.loads(self._sealer.unseal(row.sealed_s3, _place(row.id)))
            endpoint, region, bucket, access_key_id, secret = fields
            s3 = S3Credentials(endpoint, region, bucket, access_key_id, _Opened(secret))
        return Session(
            row.id,
            row.token_hash,
            SessionKind(row.kind),
            SessionAuth(row.auth),
            row.identity,
            row.user_id,
            row.ip,
            row.created_at,
            row.last_seen,
            row.expires_at,
            s3,
        )


class _Opened(Sealed):
    """A secret that was sealed together with others."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        self._text = text


def _place(session_id: str) -> str:
    return f"sessions/{session_id}/s3"


class Revocations:
    def __init__(self, connection: Connection, revisions: Revisions) -> None:
        self._connection = connection
        self._revisions = revisions

    def revoke(self, identity: str, at: float) -> None:
        """No session of the identity that began until `at` counts any more. Only grows."""
        self._revisions.take()
        mine = session_revocations.c.identity == identity
        since = self._connection.execute(select(session_revocations.c.revoked_since).where(mine)).scalar_one_or_none()
        if since is None:
            self._connection.execute(insert(session_revocations).values(identity=identity, revoked_since=at))
        elif at > since:
            self._connection.execute(update(session_revocations).where(mine).values(revoked_since=at))
