"""What the engine tells, counted."""

from typing_extensions import override

from deltaglider_proxy.engine.context import Events
from deltaglider_proxy.engine.model import Kind
from deltaglider_proxy.telemetry.metrics import Metrics


class CountedEvents(Events):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @override
    def decision(self, kind: Kind, logical: int, stored: int) -> None:
        self._metrics.decision(kind, logical, stored)

    @override
    def promoted(self) -> None:
        self._metrics.promoted()

    @override
    def encoded(self, ratio: float, seconds: float) -> None:
        self._metrics.encoded(ratio, seconds)

    @override
    def decoded(self, seconds: float) -> None:
        self._metrics.decoded(seconds)

    @override
    def reference_used(self, *, hit: bool) -> None:
        self._metrics.reference_used(hit=hit)

    @override
    def integrity_failed(self) -> None:
        self._metrics.integrity_failed()
