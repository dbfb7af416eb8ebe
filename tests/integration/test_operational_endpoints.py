"""What operators and their tools ask, without credentials, below `/_/`."""

import json
import random
from http import HTTPStatus

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused
from tests.integration.metrics import scrape, total
from tests.integration.wire import Wire
from tests.support.server import Server


def test_health(wire: Wire) -> None:
    answer = wire.plain("GET", "/_/health")
    found = json.loads(answer.body)
    assert set(found) == {
        "status",
        "peak_rss_bytes",
        "cache_size_bytes",
        "cache_max_bytes",
        "cache_entries",
        "cache_utilization_pct",
    }
    assert found["status"] == "healthy"
    assert found["peak_rss_bytes"] > 10_000_000
    assert found["cache_max_bytes"] == 100 << 20


def test_ready(wire: Wire) -> None:
    answer = wire.plain("GET", "/_/ready")
    assert answer.status == 200
    assert set(json.loads(answer.body)) == {"status", "backend", "config_db"}
    assert json.loads(answer.body)["status"] == "ready"


def test_stats(wire: Wire, s3: S3Client, server: Server, bucket: str) -> None:
    nothing = {"total_objects": 0, "total_original_size": 0, "total_stored_size": 0, "savings_percentage": 0.0}
    assert server.stats(bucket) == nothing
    data = random.Random(1).randbytes(400_000)
    for number in range(4):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=data + bytes([number]))
    found = server.stats(bucket)
    assert set(found) == set(nothing)
    assert (found["total_objects"], found["total_original_size"]) == (4, 4 * 400_001)
    assert found["total_stored_size"] < 2 * 400_000
    assert 50 < found["savings_percentage"] < 100
    for number in range(4):
        s3.delete_object(Bucket=bucket, Key=f"v{number}")
    left = server.stats(bucket)
    assert (left["total_objects"], left["total_original_size"]) == (0, 0)
    assert server.stats("no-such-bucket-here") == nothing
    assert json.loads(wire.plain("GET", "/_/stats").body).keys() == nothing.keys()


def test_metrics(wire: Wire, server: Server, bucket: str) -> None:
    before = total(server, "deltaglider_http_requests_total", operation="get_object", status="404")
    for _ in range(3):
        wire.request("GET", f"/{bucket}/none")
    assert total(server, "deltaglider_http_requests_total", operation="get_object", status="404") == before + 3
    answer = wire.plain("GET", "/_/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert total(server, "deltaglider_build_info") == 1
    assert bucket.encode() not in answer.body
    assert all(value == value for value in scrape(server).values())  # no NaN


def test_refused_signatures_are_counted(wire: Wire, server: Server) -> None:
    before = total(server, "deltaglider_auth_failures_total")
    head = {**wire.head("GET", "/").headers, "x-amz-date": "20200101T000000Z"}
    assert wire.exchange("GET", "/", head).status == 403
    assert total(server, "deltaglider_auth_failures_total") == before + 1


@pytest.mark.parametrize("path", ["/_/health", "/_/ready", "/_/stats", "/_/metrics", "/_/"])
def test_reading_only(wire: Wire, path: str) -> None:
    head = wire.plain("HEAD", path)
    get = wire.plain("GET", path)
    assert (head.status, head.body, get.status) == (200, b"", 200)
    assert get.headers["cache-control"] == "no-store"
    assert get.headers["x-content-type-options"] == "nosniff"
    answer = wire.plain("POST", path, body=b"x")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert wire.plain("DELETE", path).status == HTTPStatus.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("path", ["/_/none", "/_/health/", "/_/../bucket", "/_/health%2F..", "/_//"])
def test_nothing_else_is_there(wire: Wire, path: str) -> None:
    assert wire.plain("GET", path).status == 404


def test_the_front_page(wire: Wire) -> None:
    assert wire.plain("GET", "/_").headers["location"] == "/_/"
    page = wire.plain("GET", "/_/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src" in page.headers["content-security-policy"]
    evil = wire.plain("GET", "/_/", {"host": '"><script>alert(1)</script>'})
    assert evil.status == 400 or b"<script>alert" not in evil.body


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/stats", "/_x", "/__/health"])
def test_outside_their_place_they_are_names_of_buckets(wire: Wire, path: str) -> None:
    answer = wire.plain("GET", path)
    if path in ("/_x", "/__/health"):
        check_refused(answer, "InvalidBucketName", 400)
    else:
        check_refused(answer, "AccessDenied", 403)
