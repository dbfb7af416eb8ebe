"""Metrics of a real server with two workers: what happens is counted once, whichever worker it happens to."""

import json
import random
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from deltaglider_proxy.telemetry.catalogue import FAMILIES
from tests.integration.metrics import scrape, total
from tests.integration.test_metrics_rules import PROMTOOL
from tests.integration.wire import Wire
from tests.support.admin import Admin, allow
from tests.support.programs import built
from tests.support.server import PASSWORD, Server

ENVIRONMENT = {
    "DGP_REPLAY_WINDOW_SECS": "60",
    "DGP_BOOT_BACKEND_PROBE": "warn",
    "DGP_RATE_LIMIT_MAX_ATTEMPTS": "0",
    "DGP_RATE_LIMIT_ACCOUNT_MAX_ATTEMPTS": "0",
}
STORAGE = """\
  backends:
    - {{name: main, type: filesystem, path: "{root}/data"}}
    - {{name: gone, type: s3, endpoint: "http://127.0.0.1:1", allow_local: true, access_key_id: a,
       secret_access_key: b}}
  default_backend: main
  buckets: {{box: {{}}, small: {{quota_bytes: 1000}}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("metrics")
    with Server(root, workers=2, storage=STORAGE, environment=ENVIRONMENT, keeps_config=True) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as made:
        yield made


class Counted:
    """How much a metric has grown since the block began; counts are seen at once, by every worker."""

    def __init__(self, server: Server, name: str, **labels: str) -> None:
        self._of = (server, name, labels)
        self._before = self.now()

    def now(self) -> float:
        server, name, labels = self._of
        return total(server, f"deltaglider_{name}", **labels)

    @property
    def more(self) -> float:
        return self.now() - self._before


def test_promtool_has_no_objection(server: Server) -> None:
    with urllib.request.urlopen(f"{server.endpoint}/_/metrics") as answer:
        text = answer.read()
    checked = subprocess.run([built(PROMTOOL), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_names_types_and_labels_are_those_of_the_catalogue(server: Server) -> None:
    for operation in ("list_objects", "get_object"):
        Wire(server).plain("GET", "/box" if operation == "list_objects" else "/box/k")
    families = {family.name: family for family in FAMILIES}
    parts = {f"{name}_{part}": name for name in families for part in ("bucket", "sum", "count")}
    seen: set[str] = set()
    server.wait_for(lambda: total(server, "deltaglider_backend_up", backend="main") == 1)
    for name, labels in scrape(server):
        family = families[parts.get(name, name)]
        assert {label for label, _ in labels} - {"le"} == set(family.labels)
        seen.add(family.name)
    shared_only = {"deltaglider_config_sync_last_success_timestamp_seconds"}
    assert set(families) - seen == shared_only


def test_both_workers_tell_the_same(server: Server) -> None:
    before = Counted(server, "http_requests_total", operation="head_object", status="403")
    for _ in range(20):
        assert Wire(server).plain("HEAD", "/box/nothing").status == 403
    assert {before.more for _ in range(12)} == {20}, "each scrape may be answered by another worker"


def test_operational_endpoints_are_counted(server: Server) -> None:
    before = Counted(server, "http_requests_total", operation="health", status="200")
    stats = Counted(server, "http_requests_total", operation="stats", status="405")
    for path in ("/_/health", "/_/ready"):
        assert Wire(server).plain("GET", path).status == 200
    assert Wire(server).plain("POST", "/_/stats").status == 405
    assert (before.more, stats.more) == (2, 1)


def test_all_workers_tell_the_same_totals_and_one_bucket_is_told_afresh(server: Server) -> None:
    def totals(query: str) -> dict[str, float]:
        found: dict[str, float] = json.loads(Wire(server).plain("GET", f"/_/stats{query}").body)
        return found

    for attempt in range(4):  # the ten seconds may be over in the middle
        totals("?pretty=1&bucket=")
        server.client().put_object(Bucket="box", Key=f"counted-{attempt}", Body=b"x" * 100)
        if len({json.dumps(totals("")) for _ in range(12)}) == 1:
            break
    else:
        pytest.fail("each worker has totals of its own")
    assert totals("?bucket=box&x=y")["total_objects"] == totals("?bucket=box")["total_objects"] > 0
    for path in ("/_/stats?bucket=box", "/_/health?verbose", "/_/ready?x=1", "/_/metrics?name[]=up"):
        head = Wire(server).plain("HEAD", path)
        assert (head.status, head.body) == (200, b"")


def test_a_forged_signature(server: Server) -> None:
    requests = Counted(server, "http_requests_total", operation="list_buckets", status="403")
    forged = Counted(server, "auth_failures_total", reason="invalid_signature")
    failures = Counted(server, "auth_attempts_total", result="failure")
    with pytest.raises(ClientError):
        server.client(secret="not the secret").list_buckets()
    assert (requests.more, forged.more, failures.more) == (1, 1, 1)


def test_a_good_signature_counts_after_it_was_verified(server: Server) -> None:
    good = Counted(server, "auth_attempts_total", result="success")
    server.client().list_buckets()
    assert good.more == 1


def test_a_replay_is_no_failed_attempt(server: Server) -> None:
    wire = Wire(server)
    requests = Counted(server, "http_requests_total", operation="put_object", status="503")
    replays = Counted(server, "auth_failures_total", reason="replay")
    failures = Counted(server, "auth_attempts_total", result="failure")
    signed = wire.head("PUT", "/box/once").headers | {"content-length": "0"}
    answers = [wire.exchange("PUT", "/box/once", signed).status for _ in range(2)]
    assert answers == [200, 503]
    assert (requests.more, replays.more, failures.more) == (1, 1, 0)


def test_a_user_who_may_not(server: Server, admin: Admin) -> None:
    reader = admin.user("reader", allow("read", "box/*"))
    requests = Counted(server, "http_requests_total", operation="put_object", status="403")
    denied = Counted(server, "access_denied_total", reason="policy")
    good = Counted(server, "auth_attempts_total", result="success")
    with pytest.raises(ClientError, match="AccessDenied"):
        admin.client_of(reader).put_object(Bucket="box", Key="k", Body=b"x")
    assert (requests.more, denied.more, good.more) == (1, 1, 1)
    admin.ask("DELETE", f"/admin/users/{reader['id']}", status=204)


def test_admission(server: Server, admin: Admin) -> None:
    blocks = [
        {"name": "closed", "match": {"bucket": "box", "path_glob": "closed/*"}, "action": "deny"},
        {
            "name": "gone",
            "match": {"bucket": "box", "path_glob": "gone/*"},
            "action": {"type": "reject", "status": 410},
        },
    ]
    admin.ask("PUT", "/admin/config/section/admission", {"blocks": blocks})
    requests = Counted(server, "http_requests_total", operation="get_object")
    denied = Counted(server, "access_denied_total", reason="admission")
    said = {what: Counted(server, "admission_decisions_total", decision=what) for what in ("deny", "reject")}
    assert Wire(server).plain("GET", "/box/closed/k").status == 403
    assert Wire(server).plain("GET", "/box/gone/k").status == 410
    assert (requests.more, denied.more, said["deny"].more, said["reject"].more) == (2, 1, 1, 1)
    admin.ask("PUT", "/admin/config/section/admission", {"blocks": []})


def test_maintenance(server: Server, admin: Admin) -> None:
    requests = Counted(server, "http_requests_total", operation="put_object", status="503")
    denied = Counted(server, "access_denied_total", reason="maintenance")
    admin.ask("PUT", "/admin/maintenance", {"enabled": True})
    with pytest.raises(ClientError):
        server.client().put_object(Bucket="box", Key="m", Body=b"x")
    admin.ask("PUT", "/admin/maintenance", {"enabled": False})
    assert (requests.more, denied.more) == (1, 1)


def test_a_quota(server: Server) -> None:
    refused = Counted(server, "quota_refusals_total")
    with pytest.raises(ClientError):
        server.client().put_object(Bucket="small", Key="k", Body=b"x" * 2000)
    assert refused.more == 1


def test_changes_of_the_configuration(server: Server, admin: Admin) -> None:
    results = [
        Counted(server, "config_changes_total", source=source, result=result)
        for source in ("api", "file")
        for result in ("applied", "refused")
    ]
    admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": 0.6})
    admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": "much"}, status=400)
    text = server.config.read_text()
    server.config.write_text(text.replace("0.6", "0.7"))
    server.wait_for(lambda: results[2].more == 1)
    server.config.write_text(text.replace("0.6", "[]"))
    server.wait_for(lambda: results[3].more == 1)
    server.config.write_text(text.replace("0.6", "0.7"))
    assert [result.more for result in results] == [1, 1, 1, 1]


def test_signing_in(server: Server) -> None:
    good = Counted(server, "admin_sign_ins_total", result="success")
    bad = Counted(server, "admin_sign_ins_total", result="failure")
    with Admin(server, sign_in=False) as visitor:
        visitor.ask("POST", "/admin/login", {"password": "a guess"}, 401)
        visitor.ask("POST", "/admin/login", {"password": PASSWORD})
        visitor.ask("POST", "/admin/logout")
    assert (good.more, bad.more) == (1, 1)


def test_deltas(server: Server) -> None:
    data = random.Random(7).randbytes(300_000)
    decisions = {kind: Counted(server, "delta_decisions_total", decision=kind) for kind in ("delta", "passthrough")}
    promoted = Counted(server, "delta_decisions_total", decision="reference")
    saved, encodes = Counted(server, "delta_bytes_saved_total"), Counted(server, "delta_compression_ratio_count")
    timed, uses = Counted(server, "delta_encode_duration_seconds_count"), Counted(server, "cache_hits_total")
    decoded = Counted(server, "delta_decode_duration_seconds_count")
    client = server.client()
    client.put_object(Bucket="box", Key="app-1.bin", Body=data)
    client.put_object(Bucket="box", Key="app-2.bin", Body=data[:-5] + b"other")
    server.wait_for(lambda: promoted.more == 1)
    client.put_object(Bucket="box", Key="app-3.bin", Body=data[:-5] + b"third")
    assert client.get_object(Bucket="box", Key="app-3.bin")["Body"].read() == data[:-5] + b"third"
    server.wait_for(lambda: decoded.more >= 1)
    assert sum(kind.more for kind in decisions.values()) == 3, "each upload is one of the two"
    assert decisions["delta"].more >= 1
    assert encodes.more == timed.more >= 1
    assert 200_000 < saved.more < 900_000
    assert uses.more + total(server, "deltaglider_cache_misses_total") > 0


def test_log_lines(server: Server) -> None:
    before = Counted(server, "log_events_total", level="info")
    server.client().list_buckets()
    server.wait_for(lambda: before.more > 0)


def test_what_clients_send_adds_no_series(server: Server) -> None:
    """Ten thousand keys, queries, methods and user agents, pipelined; none of them is let in."""
    for path in ("/many-buckets/k", "/many-buckets", "/box/" + "x" * 900):
        Wire(server).plain("GET", path)
    requests = Counted(server, "http_requests_total", operation="get_object", status="403")
    before = set(scrape(server))
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        source = connection.makefile("rb")
        for batch in range(100):
            lines = "".join(
                f"GET /bucket-{batch}/key-{batch}-{n}?q{n}={n} HTTP/1.1\r\nhost: h\r\nuser-agent: agent-{n}\r\n\r\n"
                for n in range(100)
            )
            connection.sendall(lines.encode())
            for _ in range(100):
                skip_answer(source)
    assert requests.more == 10_000
    assert set(scrape(server)) == before


def skip_answer(source: BufferedReader) -> None:
    assert source.readline(1000).split()[1] == b"403"
    length = 0
    while (line := source.readline(10_000)) != b"\r\n":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    assert len(source.read(length)) == length


def test_backends_that_answer_and_those_that_do_not(server: Server) -> None:
    server.wait_for(lambda: ("deltaglider_backend_up", (("backend", "gone"),)) in scrape(server))
    found = {labels: up for (name, labels), up in scrape(server).items() if name == "deltaglider_backend_up"}
    assert found == {(("backend", "main"),): 1, (("backend", "gone"),): 0}
    assert json.loads(Wire(server).plain("GET", "/_/health").body)["status"] == "healthy"


@pytest.mark.slow
def test_a_backend_that_hangs_holds_up_readiness_and_nothing_else(tmp_path: Path) -> None:
    """It takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        storage = f"""\
  backend: {{{{type: s3, endpoint: "http://127.0.0.1:{hanging.getsockname()[1]}", allow_local: true,
    access_key_id: a, secret_access_key: b}}}}
"""
        environment = {"DGP_BOOT_BACKEND_PROBE": "off", "DGP_READY_TIMEOUT_SECS": "1", "DGP_READY_RETRIES": "1"}
        with Server(tmp_path, storage=storage, environment=environment) as server:
            wire = Wire(server)
            for _ in range(3):
                answer = wire.plain("GET", "/_/ready")
                assert (answer.status, json.loads(answer.body)["backend"]) == (503, "timeout")
                assert wire.plain("GET", "/_/health").status == 200
            began = time.monotonic()
            assert total(server, "deltaglider_build_info") == 1
            assert time.monotonic() - began < 5, "a scrape asks the backend, and does not wait for it"
            server.wait_for(lambda: ("deltaglider_backend_up", (("backend", "default"),)) in scrape(server))
            assert total(server, "deltaglider_backend_up") == 0
