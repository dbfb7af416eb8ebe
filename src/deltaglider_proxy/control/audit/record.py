"""One entry of the audit log, and its bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import orjson

MAX_AGENT = 256
"""Characters of a user agent that are kept."""


class Outcome(StrEnum):
    BEGUN = "begun"
    """Known before it is done; another record says how it ended."""
    OK = "ok"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """Texts are empty where they do not apply."""

    action: str
    outcome: Outcome = Outcome.OK
    user: str = ""
    target: str = ""
    ip: str = "unknown"
    ua: str = ""
    bucket: str = ""
    path: str = ""
    auth_method: str = ""
    session_id: str = ""
    request_id: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    def document(self, number: int, at: float, node: str) -> bytes:
        """Without the chain, in the form that is signed; `at` in seconds since the epoch."""
        moment = datetime.fromtimestamp(at, UTC)
        fields: dict[str, object] = {
            "seq": number,
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "action": self.action,
            "outcome": str(self.outcome),
            "user": _valid(self.user),
            "target": _valid(self.target),
            "ip": self.ip,
            "ua": _valid(self.ua[:MAX_AGENT]),
            "bucket": _valid(self.bucket),
            "path": _valid(self.path),
            "auth_method": _valid(self.auth_method),
            "session_id": _valid(self.session_id),
            "request_id": _valid(self.request_id),
            "node": node,
        }
        if self.details:
            fields["details"] = self.details
        return orjson.dumps(fields, option=orjson.OPT_NON_STR_KEYS, default=_refuse)

    def line(self) -> str:
        """As the log stream shows it."""
        shown = (
            ("action", self.action),
            ("user", self.user),
            ("target", self.target),
            ("ip", self.ip),
            ("ua", self.ua[:MAX_AGENT]),
            ("bucket", self.bucket),
            ("path", self.path),
            ("outcome", self.outcome),
        )
        return "AUDIT | " + " | ".join(f"{name}={_escaped(value)}" for name, value in shown)


def _valid(text: str) -> str:
    """Clients send bytes that are no UTF-8; they must not keep a record from being written."""
    return text.encode("utf-8", "replace").decode()


def _escaped(text: str) -> str:
    return _valid(text).replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("|", "\\|")


def _refuse(value: object) -> object:
    """Nothing but plain values: a secret has a type of its own, and must not be turned into text here."""
    raise TypeError(f"{type(value).__name__} does not belong into the audit log")
