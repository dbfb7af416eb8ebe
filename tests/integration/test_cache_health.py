"""How the health of the reference cache shows: lines of the start, the monitor, gauges, and a header per answer."""

import json
import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.integration.metrics import total
from tests.integration.wire import Wire
from tests.support.server import Server

SIZE = 1_000_000
"""Bytes of an object: the reference of one fills the cache to 95 %, and that of a second does not fit beside it."""
FAMILIES = ("alpha", "beta", "gamma")
CACHED = {"DGP_CACHE_MB": "1", "DGP_METADATA_CACHE_MB": "0", "DGP_DEBUG_HEADERS": "true", "DGP_REPLAY_WINDOW_SECS": "0"}


def content(family: str, number: int) -> bytes:
    return random.Random(family).randbytes(SIZE - 8) + b"%08d" % number


def stored(server: Server) -> float:
    return server.stats("box")["total_stored_size"]


def holds_less(server: Server, size: float) -> bool:
    return stored(server) < size


def fill(server: Server) -> None:
    client = server.client()
    client.create_bucket(Bucket="box")
    for count, family in enumerate(FAMILIES, start=1):
        for number in range(2):
            client.put_object(Bucket="box", Key=f"{family}-{number}.bin", Body=content(family, number))
        enough = (count + 0.5) * SIZE
        server.wait_for(partial(holds_less, server, enough))  # the reference is made behind the acknowledgement
        client.put_object(Bucket="box", Key=f"{family}-2.bin", Body=content(family, 2))
    client.put_object(Bucket="box", Key="alone.txt", Body=b"nothing like it")
    assert stored(server) < 3.5 * SIZE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("cache"), environment=CACHED) as running:
        fill(running)
        yield running


@pytest.fixture
def s3(server: Server) -> S3Client:
    return server.client()


def cache_header(client: S3Client, key: str, **options: str) -> str | None:
    found = client.get_object(Bucket="box", Key=key, **options)  # type: ignore[arg-type]  # names of its parameters
    found["Body"].read()
    return found["ResponseMetadata"]["HTTPHeaders"].get("x-deltaglider-cache")


def gauge(server: Server, name: str) -> float:
    return total(server, f"deltaglider_cache_{name}")


def test_the_start_says_that_the_cache_is_small_and_the_other_is_off(server: Server) -> None:
    lines = [line for line in server.log.read_text().splitlines() if "[cache]" in line]
    [small] = [line for line in lines if "reference cache is 1 MB: small for production" in line]
    assert " WARN " in small
    assert "cache_size_mb or DGP_CACHE_MB to 1024 or more" in small
    assert any(" WARN " in line and "metadata cache DISABLED" in line for line in lines)


def test_gauges_follow_what_is_read(server: Server, s3: S3Client) -> None:
    assert gauge(server, "max_bytes") == 1 << 20
    before = gauge(server, "hits_total"), gauge(server, "misses_total")
    for _ in range(3):
        for family in FAMILIES:
            cache_header(s3, f"{family}-2.bin")
    hits, misses = gauge(server, "hits_total"), gauge(server, "misses_total")
    assert hits + misses - sum(before) == 9, "each read used one reference"
    assert misses - before[1] >= 8, "each takes the place of the one before"
    assert gauge(server, "miss_rate_ratio") == pytest.approx(misses / (hits + misses))
    server.wait_for(lambda: gauge(server, "utilization_ratio") > 0.9)
    size, entries = gauge(server, "size_bytes"), gauge(server, "entries")
    assert gauge(server, "utilization_ratio") == pytest.approx(size / (1 << 20))
    assert entries >= 1
    health = json.loads(Wire(server).plain("GET", "/_/health").body)
    assert (health["cache_size_bytes"], health["cache_max_bytes"]) == (size, 1 << 20)
    assert health["cache_utilization_pct"] == pytest.approx(100 * size / (1 << 20))
    assert health["cache_entries"] == entries


def test_the_header_tells_hit_from_miss_of_each_answer(s3: S3Client) -> None:
    cache_header(s3, "alpha-2.bin")
    assert cache_header(s3, "beta-2.bin") == "miss"
    assert cache_header(s3, "beta-2.bin") == "hit"
    assert cache_header(s3, "beta-1.bin") == "hit", "another delta of the same reference"
    assert cache_header(s3, "beta-2.bin", Range="bytes=10-20") == "hit"


def test_nothing_else_has_the_header(s3: S3Client) -> None:
    assert cache_header(s3, "alone.txt") is None
    head = s3.head_object(Bucket="box", Key="beta-2.bin")["ResponseMetadata"]["HTTPHeaders"]
    assert "x-deltaglider-cache" not in head
    assert head["x-amz-storage-type"] == "delta"
    etag = s3.head_object(Bucket="box", Key="beta-2.bin")["ETag"]
    for options in ({"Key": "none"}, {"Key": "beta-2.bin", "IfNoneMatch": etag}, {"Key": "beta-2.bin", "IfMatch": "x"}):
        with pytest.raises(ClientError) as refused:
            s3.get_object(Bucket="box", **options)  # type: ignore[arg-type]  # names of its parameters
        assert "x-deltaglider-cache" not in refused.value.response["ResponseMetadata"]["HTTPHeaders"]


def test_without_a_cache_every_read_is_a_miss_and_headers_are_off_by_default(tmp_path: Path) -> None:
    environment = {"DGP_CACHE_MB": "0", "DGP_REPLAY_WINDOW_SECS": "0"}
    with Server(tmp_path, environment=environment) as server:
        [line] = [line for line in server.log.read_text().splitlines() if "reference cache DISABLED" in line]
        assert " WARN " in line
        assert "reads its reference from the backend again" in line
        client = server.client()
        fill(server)
        before = gauge(server, "misses_total")
        for _ in range(3):
            found = client.get_object(Bucket="box", Key="alpha-2.bin")
            assert found["Body"].read() == content("alpha", 2)
            headers = found["ResponseMetadata"]["HTTPHeaders"]
            assert not [name for name in headers if name.startswith("x-deltaglider") or name == "x-amz-storage-type"]
        assert gauge(server, "misses_total") - before == 3
        assert (gauge(server, "max_bytes"), gauge(server, "utilization_ratio")) == (0, 0)
        health = json.loads(Wire(server).plain("GET", "/_/health").body)
        assert (health["cache_max_bytes"], health["cache_utilization_pct"]) == (0, 0.0)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_monitor_warns_of_a_cache_that_is_full_and_misses(server: Server, s3: S3Client) -> None:
    """One minute passes between two looks, and only what happened in it counts."""

    def warned() -> bool:
        for family in FAMILIES:
            cache_header(s3, f"{family}-2.bin")
        text = server.log.read_text()
        return "% full: " in text and "% misses: " in text

    server.wait_for(warned, 150)
    lines = [line for line in server.log.read_text().splitlines() if "% full: " in line or "% misses: " in line]
    assert all(line.split()[1:4] == ["WARN", "deltaglider_proxy.cache", "[cache]"] for line in lines)
    assert all("raise cache_size_mb or DGP_CACHE_MB" in line for line in lines)
