"""What each request leaves behind: an id, one access line, one count in the metrics."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.access.errors import AccessError
from deltaglider_proxy.s3.call import Call
from deltaglider_proxy.telemetry.access_log import AccessLog
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.http_labels import operation_of
from deltaglider_proxy.telemetry.metrics import AuthFailure, Metrics
from deltaglider_proxy.telemetry.request_ids import RequestIds, bind_to_log


@dataclass(slots=True)
class Seen:
    """One request, as far as it has come."""

    request_id: str
    host_id: str
    method: str
    path: str
    peer: str
    began: float
    request_bytes: int | None
    status: int = 0
    head_seconds: float = 0.0
    length: int = 0
    address: Address | None = None
    """Of the client, once it is known."""
    call: Call | None = None
    """Once it was let in."""


class Observer:
    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._ids = RequestIds()
        self._log = AccessLog()

    def begin(self, scope: MutableMapping[str, Any]) -> Seen:
        names = self._ids.next()
        bind_to_log(names)
        length = next((int(v) for n, v in scope["headers"] if n == b"content-length" and v.isdigit()), None)
        client = scope.get("client")
        return Seen(
            names.id,
            names.extended,
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            client[0] if client else "-",
            self._clock.monotonic(),
            length,
        )

    def authenticated(self) -> None:
        self._metrics.auth_succeeded()

    def refused(self, error: AccessError) -> None:
        if error.reason.metric:
            self._metrics.auth_failed(AuthFailure(error.reason.metric))

    def head(self, seen: Seen, status: int, length: int) -> None:
        """The head of the response is about to be sent."""
        seen.status = status
        seen.length = length
        seen.head_seconds = self._clock.monotonic() - seen.began

    def end(self, seen: Seen) -> None:
        label = operation_of(seen.method, seen.path)
        if label is not None:
            self._metrics.request_done(
                seen.method, label, seen.status or 500, seen.head_seconds, seen.request_bytes, seen.length
            )
        seconds = self._clock.monotonic() - seen.began
        self._log.request_done(
            seen.method, seen.path, seen.status or 500, seen.length, seconds, seen.request_id, seen.peer
        )
