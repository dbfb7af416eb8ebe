"""What other layers report to the audit log, in their words."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.control.audit.log import AuditUnavailable
from deltaglider_proxy.control.audit.record import Outcome, Record

_STRANGERS_PATH: Final = 256
"""Characters of a key that are kept."""

_lines = structlog.get_logger("deltaglider_proxy.access")


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


class Change:
    """One that has begun. What becomes known of it meanwhile is in its last record."""

    __slots__ = ("details", "outcome")

    def __init__(self, details: Mapping[str, object]) -> None:
        self.details = dict(details)
        self.outcome = Outcome.OK

    def failed(self, code: str) -> None:
        """Also for what comes to nothing without an exception."""
        self.outcome = Outcome.FAILED
        self.details["code"] = code


def _class_of(error: Exception) -> str:
    return type(error).__name__


class Auditor:
    def __init__(
        self, log: Log, *, object_writes: bool = True, code_of: Callable[[Exception], str] = _class_of
    ) -> None:
        """`code_of`: what programs know an error by."""
        self._log = log
        self._object_writes = object_writes
        self._code_of = code_of

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

    @asynccontextmanager
    async def change(
        self, actor: Actor, action: str, target: str, details: Mapping[str, object] | None = None
    ) -> AsyncIterator[Change]:
        """Around a change of users, sessions, configuration or data. That it has begun is on the disk before the block
        is entered; afterwards how it ended. One that is cancelled stays begun: nobody knows how far it came. Raises
        AuditUnavailable, and then nothing has happened.
        """
        change = Change(details or {})
        await self.administered(actor, action, target, Outcome.BEGUN, change.details.copy())
        try:
            yield change
        except Exception as error:
            change.failed(self._code_of(error))
            await self.ended(actor, action, target, change.outcome, change.details)
            raise
        await self.ended(actor, action, target, change.outcome, change.details)

    async def ended(
        self,
        actor: Actor,
        action: str,
        target: str,
        outcome: Outcome = Outcome.OK,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """How something ended whose beginning the log has; also of parts of it, which are known then only."""
        try:
            await self.administered(actor, action, target, outcome, details)
        except AuditUnavailable as error:
            # It is too late to refuse, and an error in this place would say that nothing has changed.
            _lines.error(
                "the audit log says of a change only that it began",
                action=action,
                target=target,
                outcome=str(outcome),
                reason=str(error),
            )

    async def administered(
        self,
        actor: Actor,
        action: str,
        target: str,
        outcome: Outcome = Outcome.OK,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """Something of which one record says all, such as an export. Raises AuditUnavailable."""
        await self._log.write(actor.record(action, outcome, target=target, details=details))


class NoLog:
    """Keeps nothing, for tools and tests."""

    async def write(self, record: Record) -> None:
        del record

    def note(self, record: Record, *, anyones: bool = False) -> None:
        del record, anyones
