import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from deltaglider_proxy.ops.app import OpsApp
from deltaglider_proxy.ops.readiness import Readiness, ReadySettings
from deltaglider_proxy.ops.stats import Stats, StatsUnavailable, Totals
from deltaglider_proxy.telemetry.clock import ManualClock


@dataclass
class World:
    size_bytes: int = 25
    max_bytes: int = 100
    entries: int = 3
    draining: bool = False
    backend_ok: bool = True
    probes: int = 0
    counters_ok: bool = True
    buckets: list[str | None] = field(default_factory=list)
    recorded: list[tuple[str, str, int]] = field(default_factory=list)

    async def probe(self) -> None:
        self.probes += 1
        if not self.backend_ok:
            raise ConnectionError("secret-endpoint refused")

    async def totals(self, bucket: str | None) -> Totals:
        self.buckets.append(bucket)
        if not self.counters_ok:
            raise StatsUnavailable("/data/secret-place.db: disk I/O error")
        return Totals(2, 1000, 250)

    async def page(self, name: str) -> bytes | None:
        return {"": b"<p>first", "how-to/a": b"<p>a"}.get(name)

    def request_done(self, method: str, operation: str, status: int, seconds: float) -> None:
        self.recorded.append((method, operation, status))

    async def scrape(self) -> bytes:
        return b"up 1\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


async def ask(
    world: World, path: str, method: str = "GET", query: str = "", host: str = "s3.example.com:9000"
) -> Answer:
    app = OpsApp(
        cache=world,
        peak_rss_bytes=lambda: 4096,
        readiness=Readiness(world.probe, world.probe, ManualClock(), ReadySettings(retries=0)),
        stats=Stats(world.totals, ManualClock()),
        metrics=world.scrape,
        lifecycle=world,
        manual=world.page,
        recorder=world,
        clock=ManualClock(),
    )
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "scheme": "https",
        "headers": [(b"host", host.encode("latin-1"))],
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, body = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert len(headers) == len(start["headers"])
    return Answer(start["status"], headers, body["body"])


async def test_health_has_exactly_these_fields() -> None:
    answer = await ask(World(), "/_/health")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "status": "healthy",
        "peak_rss_bytes": 4096,
        "cache_size_bytes": 25,
        "cache_max_bytes": 100,
        "cache_entries": 3,
        "cache_utilization_pct": 25.0,
    }


async def test_health_of_a_server_without_a_cache_and_with_a_dead_backend() -> None:
    world = World(size_bytes=0, max_bytes=0, backend_ok=False, draining=True)
    answer = await ask(world, "/_/health")
    assert (answer.status, answer.json["cache_utilization_pct"], world.probes) == (200, 0.0, 0)
    assert isinstance(answer.json["cache_utilization_pct"], float)


@pytest.mark.parametrize(
    ("ok", "status", "body"),
    [
        (True, 200, {"status": "ready", "backend": "ready", "config_db": "absent"}),
        (False, 503, {"status": "not_ready", "backend": "unreachable", "config_db": "absent"}),
    ],
)
async def test_ready(ok: bool, status: int, body: dict[str, str]) -> None:
    answer = await ask(World(backend_ok=ok), "/_/ready")
    assert (answer.status, answer.json) == (status, body)


async def test_a_draining_server_is_not_ready_and_asks_nobody() -> None:
    world = World(draining=True)
    answer = await ask(world, "/_/ready")
    assert (answer.status, answer.json["status"], world.probes) == (503, "not_ready", 0)


async def test_stats() -> None:
    world = World()
    answer = await ask(world, "/_/stats", query="pretty=1")
    assert answer.json == {
        "total_objects": 2,
        "total_original_size": 1000,
        "total_stored_size": 250,
        "savings_percentage": 75.0,
    }
    await ask(world, "/_/stats", query="bucket=b%C3%BCcket&x=y")
    assert world.buckets == [None, "bücket"]


async def test_stats_that_cannot_be_read_do_not_say_why_to_strangers() -> None:
    answer = await ask(World(counters_ok=False), "/_/stats")
    assert answer.status == 500
    assert b"secret-place" not in answer.body


async def test_metrics() -> None:
    answer = await ask(World(), "/_/metrics")
    assert (answer.status, answer.body) == (200, b"up 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4"


async def test_the_front_page_names_what_there_is_and_fetches_nothing() -> None:
    answer = await ask(World(), "/_/")
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for path in ("/_/health", "/_/ready", "/_/stats", "/_/metrics"):
        assert f'href="{path}"' in page
    assert "AWS_ENDPOINT_URL=https://s3.example.com:9000\n" in page
    assert not re.search(r"<script|<link|<img|url\(|src=", page)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("host", ["<script>alert(1)</script>", "a b", "", "a:b:c", "x" * 9 + '"', "evil\x00"])
async def test_a_host_that_is_none_is_not_shown(host: str) -> None:
    page = (await ask(World(), "/_/", host=host)).body.decode()
    assert "AWS_ENDPOINT_URL=https://localhost:9000\n" in page


async def test_the_prefix_without_slash_leads_to_the_page() -> None:
    for method in ("GET", "HEAD"):
        answer = await ask(World(), "/_", method)
        assert (answer.status, answer.headers["location"], answer.body) == (308, "/_/", b"")


PATHS = ["/_/", "/_/health", "/_/ready", "/_/stats", "/_/metrics"]


@pytest.mark.parametrize("path", PATHS)
async def test_head_is_get_without_a_body(path: str) -> None:
    get, head = await ask(World(), path), await ask(World(), path, "HEAD")
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
    assert get.headers["content-length"] == str(len(get.body)) != "0"


@pytest.mark.parametrize("path", [*PATHS, "/_"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
async def test_other_methods_are_refused(path: str, method: str) -> None:
    answer = await ask(World(), path, method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/_/nothing", "/_/health/", "/_//", "/_/HEALTH"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_not_there(path: str, method: str) -> None:
    answer = await ask(World(), path, method)
    assert answer.status == 404
    assert "error" in answer.json


@pytest.mark.parametrize("path", [*PATHS, "/_", "/_/nothing"])
async def test_every_answer_is_guarded_and_says_nothing_about_the_server(path: str) -> None:
    answer = await ask(World(), path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "server" not in answer.headers
    assert not re.search(r"\b0\.\d+\.\d+\b", answer.body.decode().replace("app-1.0.0", ""))


async def test_the_manual_is_shown_to_everyone() -> None:
    first, page, none = [await ask(World(), path) for path in ("/_/docs/", "/_/docs/how-to/a", "/_/docs/../app")]
    assert (first.status, first.body) == (200, b"<p>first")
    assert (page.status, page.body) == (200, b"<p>a")
    assert "style-src 'sha256-" in page.headers["content-security-policy"]
    assert (none.status, none.json) == (404, {"error": "there is no such page; see /_/docs/"})


async def test_the_manual_is_found_without_its_last_slash() -> None:
    answer = await ask(World(), "/_/docs")
    assert (answer.status, answer.headers["location"]) == (308, "/_/docs/")


async def test_what_is_asked_for_is_counted_and_the_rest_is_not() -> None:
    world = World()
    for path in (*PATHS, "/_", "/_/docs/", "/_/nothing"):
        await ask(world, path)
    await ask(world, "/_/health", "BREW")
    world.counters_ok = False
    await ask(world, "/_/stats", "HEAD")
    assert world.recorded == [
        ("GET", "health", 200),
        ("GET", "health", 200),
        ("GET", "stats", 200),
        ("GET", "metrics", 200),
        ("BREW", "health", 405),
        ("HEAD", "stats", 500),
    ]
