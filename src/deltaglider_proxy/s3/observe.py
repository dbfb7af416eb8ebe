"""What each request leaves behind: an id, one access line, one count in the metrics."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from deltaglider_proxy.access.admission.chain import Decision
from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.engine.errors import QuotaExceeded
from deltaglider_proxy.s3.call import Call
from deltaglider_proxy.telemetry.access_log import AccessLog
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.http_labels import method_label, operation_of
from deltaglider_proxy.telemetry.metrics import Admission, AuthFailure, Denial, Metrics, Surface, Throttle
from deltaglider_proxy.telemetry.request_ids import RequestIds, bind_to_log
from deltaglider_proxy.telemetry.tracing import Done, NoTraces, Traces, parent_of


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
    parent: str = ""
    """The span of the client that it belongs to, if there are spans."""


_DENIALS: Final[Mapping[Reason, Denial]] = {
    Reason.DENIED: Denial.POLICY,
    Reason.BLOCKED: Denial.ADMISSION,
    Reason.MAINTENANCE: Denial.MAINTENANCE,
    Reason.LOCKED_DATABASE: Denial.LOCKED_DATABASE,
    Reason.CROWDED: Denial.CROWDED,
}


class Observer:
    def __init__(self, metrics: Metrics, clock: Clock, traces: Traces | None = None) -> None:
        self._metrics = metrics
        self._clock = clock
        self._traces = traces or NoTraces()
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
            parent=parent_of(scope["headers"]) if self._traces.on else "",
        )

    def authenticated(self) -> None:
        self._metrics.auth_succeeded()

    def admitted(self, decision: Decision) -> None:
        """A block of the admission chain may have decided."""
        if decision.matched is not None:
            self._metrics.admission_decided(Admission(decision.verdict))

    def refused(self, error: AccessError) -> None:
        reason = error.reason
        if reason.metric:
            self._metrics.auth_failed(AuthFailure(reason.metric))
        if (denial := _DENIALS.get(reason)) is not None:
            self._metrics.denied(denial)
        if reason is Reason.BLOCKED:
            self._metrics.admission_decided(Admission.DENY)
        if reason is Reason.LOCKED_OUT:
            self._metrics.throttled(Surface.S3, Throttle.LOCKED)
        elif error.delay:
            self._metrics.throttled(Surface.S3, Throttle.DELAYED)

    def failed(self, error: Exception) -> None:
        """The store refused, or could not."""
        if isinstance(error, QuotaExceeded):
            self._metrics.quota_refused()

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
        if self._traces.on:
            self._trace(seen, seconds)

    def _trace(self, seen: Seen, seconds: float) -> None:
        name = seen.call.operation.name if seen.call is not None else f"{method_label(seen.method)} refused"
        began = self._clock.now() - seconds
        route = _route_of(seen.path)
        method, status = method_label(seen.method), seen.status or 500
        self._traces.request_done(Done(name, route, method, status, began, seconds, seen.request_id, seen.parent))


def _route_of(path: str) -> str:
    bucket, _, key = path[1:].partition("/")
    return "/{bucket}/{key}" if key else "/{bucket}" if bucket else "/"
