"""Spans by OpenTelemetry's SDK, over OTLP/HTTP. Import it only where a collector is configured.

The SDK reads the standard variables itself: OTEL_EXPORTER_OTLP_* (endpoint, headers, timeout, certificate),
OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*.
"""

import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from deltaglider_proxy.telemetry.tracing import Done

_NANOSECONDS = 1_000_000_000
_LAST_SECONDS = 2.0
"""At the end of the process, for what has not been sent."""


class OtlpTraces:
    """Sends in a thread of its own; when the collector is away spans are dropped, and requests never wait."""

    on = True

    def __init__(self, version: str) -> None:
        own = Resource({SERVICE_NAME: "deltaglider_proxy", SERVICE_VERSION: version})
        self._provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("deltaglider_proxy", version)
        self._propagator = TraceContextTextMapPropagator()

    def request_done(self, done: Done) -> None:
        began = int(done.began * _NANOSECONDS)
        span = self._tracer.start_span(
            done.name,
            self._propagator.extract({"traceparent": done.parent}) if done.parent else None,
            SpanKind.SERVER,
            {
                "http.request.method": done.method,
                "http.route": done.route,
                "http.response.status_code": done.status,
                "deltaglider.request_id": done.request_id,
            },
            start_time=began,
        )
        if done.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + int(done.seconds * _NANOSECONDS))

    def close(self) -> None:
        # The SDK would try for as long as a collector may take to answer, which is longer than a stop may last.
        ending = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        ending.start()
        ending.join(_LAST_SECONDS)
