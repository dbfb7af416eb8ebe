"""A span per request for a collector, if one is configured; nothing of OpenTelemetry is imported otherwise.

Spans are made when a request has ended, from what is known by then, so that requests carry nothing with them. They
hold no key, no query and no header: paths of objects may be secrets, and queries of presigned URLs are.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

_log = structlog.get_logger("deltaglider_proxy.traces")

EXTRA = "deltaglider-proxy[otel]"


@dataclass(frozen=True, slots=True)
class Done:
    """A request that has ended."""

    name: str
    """Of the operation, such as `GetObject`."""
    route: str
    """The pattern that its path matched, such as `/{bucket}/{key}`."""
    method: str
    status: int
    began: float
    """Seconds since the epoch."""
    seconds: float
    request_id: str
    parent: str = ""
    """The header `traceparent`, as it came."""


class Traces(Protocol):
    @property
    def on(self) -> bool:
        """Whether anybody wants spans."""
        ...

    def request_done(self, done: Done) -> None: ...

    def close(self) -> None:
        """Send what is left; blocks for a few seconds at most."""
        ...


class NoTraces:
    on = False

    def request_done(self, done: Done) -> None:
        del done

    def close(self) -> None:
        pass


def start_traces(endpoint: str | None, version: str) -> Traces:
    """For one worker, after any fork. `endpoint` is of a collector that takes OTLP over HTTP; None: there is none."""
    if endpoint is None:
        return NoTraces()
    try:
        otlp = importlib.import_module("deltaglider_proxy.telemetry.otlp")
    except ModuleNotFoundError as error:
        _log.warning(
            "there are no traces: OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed",
            missing=error.name,
            remedy=f"pip install '{EXTRA}', or unset the variable",
        )
        return NoTraces()
    traces: Traces = otlp.OtlpTraces(version)
    return traces


def parent_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The `traceparent` of ASGI headers; empty if there is none."""
    return next((value.decode("latin-1") for name, value in headers if name == b"traceparent"), "")
