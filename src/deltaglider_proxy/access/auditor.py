"""What other layers report to the audit log, in their words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.control.audit.record import Outcome, Record

_STRANGERS_PATH: Final = 256
"""Characters of a key that are kept."""


class Log(Protocol):
    async def write(self, record: Record) -> None: ...
    def note(self, record: Record, *, anyones: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where."""

    user: str = ""
    address: Address | None = None
    agent: str = ""
    request_id: str = ""
    auth_method: str = ""
    session_id: str = ""

    def record(
        self,
        action: str,
        outcome: Outcome = Outcome.OK,
        *,
        target: str = "",
        bucket: str = "",
        path: str = "",
        details: Mapping[str, object] | None = None,
    ) -> Record:
        return Record(
            action,
            outcome,
            self.user,
            target,
            str(self.address) if self.address is not None else "unknown",
            self.agent,
            bucket,
            path,
            self.auth_method,
            self.session_id,
            self.request_id,
            details or {},
        )


class Auditor:
    def __init__(self, log: Log, *, object_writes: bool = True) -> None:
        self._log = log
        self._object_writes = object_writes

    def object_changed(self, actor: Actor, action: str, bucket: str, key: str) -> None:
        """An upload, a copy or a deletion has been done."""
        if self._object_writes:
            self._log.note(actor.record(action, bucket=bucket, path=key))

    def read_by_stranger(self, actor: Actor, bucket: str, key: str, block: str) -> None:
        self._log.note(actor.record("public_read", target=block, bucket=bucket, path=key), anyones=True)

    def refused(
        self, actor: Actor, action: str, target: str, bucket: str, key: str, *, by_stranger: bool = False
    ) -> None:
        """Somebody was not allowed to do something, or not let in."""
        path = key[:_STRANGERS_PATH] if by_stranger else key
        record = actor.record(action, Outcome.DENIED, target=target, bucket=bucket, path=path)
        self._log.note(record, anyones=by_stranger)

    async def sign_in(
        self, actor: Actor, action: str, target: str, outcome: Outcome, details: Mapping[str, object] | None = None
    ) -> None:
        """Raises AuditUnavailable."""
        await self._log.write(actor.record(action, outcome, target=target, details=details))

    async def administered(
        self,
        actor: Actor,
        action: str,
        target: str,
        outcome: Outcome = Outcome.OK,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Users, sessions, configuration or data were changed. Raises AuditUnavailable."""
        await self._log.write(actor.record(action, outcome, target=target, details=details))


class NoLog:
    """Keeps nothing, for tools and tests."""

    async def write(self, record: Record) -> None:
        del record

    def note(self, record: Record, *, anyones: bool = False) -> None:
        del record, anyones
