"""What the admin API leaves behind, counted and traced."""

from collections.abc import Mapping
from http import HTTPStatus

from typing_extensions import override

from deltaglider_proxy.access.auditor import Actor, Auditor, Log
from deltaglider_proxy.admin.problems import code_of
from deltaglider_proxy.control.audit.record import Outcome
from deltaglider_proxy.telemetry.metrics import Metrics, Surface, Throttle
from deltaglider_proxy.telemetry.tracing import Done, Traces


class AdminWatch:
    def __init__(self, metrics: Metrics, traces: Traces) -> None:
        self._metrics = metrics
        self._traces = traces

    def request_done(self, done: Done) -> None:
        if done.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._metrics.throttled(Surface.ADMIN, Throttle.LOCKED)
        if self._traces.on:
            self._traces.request_done(done)


class CountedAuditor(Auditor):
    """Whatever the audit log is told of signing in is counted as well, in one place for all ways in."""

    def __init__(self, log: Log, metrics: Metrics, *, object_writes: bool) -> None:
        super().__init__(log, object_writes=object_writes, code_of=code_of)
        self._metrics = metrics

    @override
    async def sign_in(
        self, actor: Actor, action: str, target: str, outcome: Outcome, details: Mapping[str, object] | None = None
    ) -> None:
        if action != "logout":
            self._metrics.signed_in(ok=outcome is Outcome.OK)
        await super().sign_in(actor, action, target, outcome, details)
