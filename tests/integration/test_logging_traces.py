"""Traces of a real server, as a collector gets them: one span per request, and nothing in it that is secret."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import ClientError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from typing_extensions import override

from tests.integration.wire import Wire
from tests.support.admin import Admin
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """What takes OTLP over HTTP at /v1/traces."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def resources(self) -> dict[str, str]:
        exported = ExportTraceServiceRequest.FromString(self.bodies[0])
        return {each.key: each.value.string_value for each in exported.resource_spans[0].resource.attributes}

    def spans(self) -> list[Span]:
        exports = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for export in exports
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Server(tmp_path_factory.mktemp("traces"), environment=environment, workers=2) as running:
        running.client().create_bucket(Bucket="box")
        yield running


def attributes(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def found(server: Server, collector: Collector, request_id: str) -> Span:
    def those() -> list[Span]:
        return [span for span in collector.spans() if attributes(span)["deltaglider.request_id"] == request_id]

    server.wait_for(lambda: bool(those()))
    [span] = those()
    return span


def test_a_request_is_one_span(server: Server, collector: Collector) -> None:
    answer = server.client().create_bucket(Bucket="another")
    span = found(server, collector, answer["ResponseMetadata"]["RequestId"])
    assert span.name == "CreateBucket"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert attributes(span) == {
        "http.request.method": "PUT",
        "http.route": "/{bucket}",
        "http.response.status_code": 200,
        "deltaglider.request_id": answer["ResponseMetadata"]["RequestId"],
    }
    assert 0 <= span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert collector.resources()["service.name"] == "deltaglider_proxy"


def test_it_belongs_to_the_trace_of_the_client(server: Server, collector: Collector) -> None:
    answer = Wire(server).plain("GET", "/box/k", {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    span = found(server, collector, answer.headers["x-amz-request-id"])
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, attributes(span)["http.route"]) == ("GET refused", "/{bucket}/{key}")
    assert attributes(span)["http.response.status_code"] == 403


def test_a_traceparent_that_is_none_is_no_harm(server: Server, collector: Collector) -> None:
    answer = Wire(server).plain("GET", "/box/k", {"traceparent": "00-zz-\xff-01; drop"})
    assert answer.status == 403
    assert found(server, collector, answer.headers["x-amz-request-id"]).parent_span_id == b""


def test_requests_of_the_admin_api_have_their_route(server: Server, collector: Collector) -> None:
    with Admin(server) as admin:
        answer = admin.http.get("/admin/users/12345")
    span = found(server, collector, answer.headers["x-request-id"])
    assert span.name == "GET /_/api/admin/users/{user_id}"
    assert attributes(span)["http.response.status_code"] == 404


def test_no_key_no_query_and_no_secret_is_in_any_span(server: Server, collector: Collector) -> None:
    client = server.client()
    key = "private/name-of-a-customer.pdf"
    answer = client.put_object(Bucket="box", Key=key, Body=b"x", Metadata={"note": "a-note-of-mine"})
    target = Wire(server).presign("GET", f"/box/{key}")
    with pytest.raises(ClientError):
        server.client(secret="wrong-secret-wrong-secret").list_objects_v2(Bucket="box", Prefix="private/")
    read = Wire(server).plain("GET", target)
    assert read.status == 200
    found(server, collector, answer["ResponseMetadata"]["RequestId"])
    found(server, collector, read.headers["x-amz-request-id"])
    everything = b"".join(collector.bodies)
    for word in ("customer", "a-note", SECRET_KEY, ACCESS_KEY, target.partition("Signature=")[2][:20], "private"):
        assert word.encode() not in everything


@pytest.mark.slow
def test_the_last_spans_are_sent_when_the_server_stops(server: Server, collector: Collector) -> None:
    answer = server.client().list_buckets()
    server.restart()
    found(server, collector, answer["ResponseMetadata"]["RequestId"])


def test_nothing_of_it_is_imported_unless_a_collector_is_configured() -> None:
    """But for the API without an implementation, which FastAPI brings and imports."""
    program = (
        "import sys, deltaglider_proxy.server.process, deltaglider_proxy.server.worker\n"
        "from deltaglider_proxy.telemetry.tracing import start_traces\n"
        "assert not start_traces(None, '1').on\n"
        "own = ('opentelemetry.sdk', 'opentelemetry.exporter', 'opentelemetry.proto', 'google.protobuf', 'requests')\n"
        "assert not [name for name in sys.modules if name.startswith(own)]\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "assert not start_traces('http://127.0.0.1:1', '1').on\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install 'deltaglider-proxy[otel]'" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with Server(tmp_path_factory.mktemp("away"), environment=environment) as server:
        client = server.client()
        client.create_bucket(Bucket="box")
        for number in range(20):
            client.put_object(Bucket="box", Key=f"k{number}", Body=b"x")
        assert server.stop() == 0
        server.start()
