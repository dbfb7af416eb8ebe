"""Services are what tests need of them: apart from each other, reachable through the proxy, and gone afterwards."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from mypy_boto3_s3 import S3Client

from tests.support.storage.services.catalogue import MOTO, Services
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import (
    NO_CONDITIONS,
    Corrupt,
    Cut,
    Hold,
    Keep,
    LoseAnswer,
    LoseRequest,
    Rule,
    Side,
)
from tests.support.storage.services.service import Launch, Service, running

BODY = bytes(range(256)) * 5000


@pytest.fixture
def bucket(service: Service) -> str:
    return service.new_bucket()


def put(client: S3Client, bucket: str, key: str = "key", body: bytes = BODY) -> str:
    return client.put_object(Bucket=bucket, Key=key, Body=body)["ETag"]


def get(client: S3Client, bucket: str, key: str = "key") -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


def keys(client: S3Client, bucket: str) -> list[str]:
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_objects_of_others_are_plain_objects(service: Service, bucket: str) -> None:
    service.write(bucket, {"a/b": b"1", "c": b"2"}, {"owner": "someone"})
    client = service.client()
    assert keys(client, bucket) == ["a/b", "c"]
    assert client.head_object(Bucket=bucket, Key="c")["Metadata"] == {"owner": "someone"}


def test_buckets_are_apart(service: Service, bucket: str) -> None:
    service.write(bucket, {"here": b""})
    assert keys(service.client(), service.new_bucket()) == []


def test_only_its_own_keys_are_taken(service: Service) -> None:
    if service.name == "moto":
        pytest.skip("moto takes any")
    with pytest.raises(ClientError):
        Service(service.name, service.endpoint).client().list_buckets()


def test_a_kind_is_started_once_and_stopped_at_the_end(tmp_path: Path) -> None:
    with Services(tmp_path) as services:
        started = services.get(MOTO)
        assert services.get(MOTO) is started
        started.client().list_buckets()
    with pytest.raises(EndpointConnectionError):
        started.client().list_buckets()


def test_a_service_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    starts: list[Service] = []

    def launch() -> Launch:
        starts.append(Service("broken", "http://127.0.0.1:9"))
        return Launch(starts[-1], ("sh", "-c", "echo no such luck; exit 3"))

    with pytest.raises(RuntimeError, match=r"broken did not start: (no such luck\s)+$"), running(launch, tmp_path):
        pass
    assert len(starts) == 3


async def test_the_service_understands_what_is_signed_for_the_proxy(service: Service, bucket: str) -> None:
    """Its `Host` is that of the proxy."""
    async with FaultProxy(service) as proxy:
        client = service.client(proxy.endpoint)
        await asyncio.to_thread(put, client, bucket, "a b/é+%2F")
        assert await asyncio.to_thread(get, client, bucket, "a b/é+%2F") == BODY
        assert await asyncio.to_thread(keys, client, bucket) == ["a b/é+%2F"]
    assert [passed.request.method for passed in proxy.passed] == ["PUT", "GET", "GET"]
    assert proxy.passed[0].body == len(BODY)
    assert proxy.repeated("PUT") == {}


async def test_a_lost_answer_leaves_the_effect_and_a_lost_request_none(service: Service, bucket: str) -> None:
    rules = [Rule(LoseAnswer(), "PUT", "/answer$"), Rule(LoseRequest(), "PUT", "/request$")]
    async with FaultProxy(service, rules) as proxy:
        client = service.client(proxy.endpoint)
        for key in ("answer", "request"):
            with pytest.raises(HTTPClientError):
                await asyncio.to_thread(put, client, bucket, key)
    assert keys(service.client(), bucket) == ["answer"]


async def test_a_body_that_is_cut_leaves_no_object(service: Service, bucket: str) -> None:
    if service.name == "moto":
        pytest.skip("moto keeps what came")
    rules = [Rule(Cut(Side.REQUEST, 100_000, reset), "PUT") for reset in (True, False)]
    async with FaultProxy(service, rules[:1]) as proxy:
        client = service.client(proxy.endpoint)
        for rule in rules:
            proxy.rules = [rule]
            with pytest.raises((HTTPClientError, ClientError)):
                await asyncio.to_thread(put, client, bucket)
    assert keys(service.client(), bucket) == []


async def test_a_damaged_answer_arrives_damaged(service: Service, bucket: str) -> None:
    put(service.client(), bucket)
    async with FaultProxy(service, [Rule(Corrupt(Side.ANSWER, 1234), "GET")]) as proxy:
        found = await asyncio.to_thread(get, service.client(proxy.endpoint), bucket)
    assert [at for at, (a, b) in enumerate(zip(found, BODY, strict=True)) if a != b] == [1234]


async def test_a_service_without_conditions_is_made_of_one_with_them(service: Service, bucket: str) -> None:
    put(service.client(), bucket, body=b"first")
    async with FaultProxy(service) as proxy:
        client = service.client(proxy.endpoint)

        def replace() -> None:
            client.put_object(Bucket=bucket, Key="key", Body=b"second", IfNoneMatch="*")

        with pytest.raises(ClientError, match="PreconditionFailed"):
            await asyncio.to_thread(replace)
        proxy.add(Rule(NO_CONDITIONS, times=None))
        await asyncio.to_thread(replace)
    assert get(service.client(), bucket) == b"second"


async def test_a_duplicate_of_a_delete_hits_what_was_put_since(service: Service, bucket: str) -> None:
    keep = Keep()
    client = service.client()
    put(client, bucket)
    async with FaultProxy(service, [Rule(keep, "DELETE")]) as proxy:
        away = service.client(proxy.endpoint)
        await asyncio.to_thread(lambda: away.delete_object(Bucket=bucket, Key="key"))
        put(client, bucket)
        assert await proxy.send(keep.kept[0]) == 204
    assert keys(client, bucket) == []


async def test_a_put_that_its_client_gave_up_comes_late(service: Service, bucket: str) -> None:
    keep = Keep(passed=False)
    client = service.client()
    async with FaultProxy(service, [Rule(keep, "PUT")]) as proxy:
        with pytest.raises(HTTPClientError):
            await asyncio.to_thread(put, service.client(proxy.endpoint), bucket)
        assert keys(client, bucket) == []
        assert await proxy.send(keep.kept[0]) == 200
    assert get(client, bucket) == BODY


async def test_a_held_put_is_overtaken(service: Service, bucket: str) -> None:
    hold = Hold()
    client = service.client()
    async with FaultProxy(service, [Rule(hold, "PUT")]) as proxy:
        away = service.client(proxy.endpoint)
        with ThreadPoolExecutor(1) as thread:
            first = asyncio.get_running_loop().run_in_executor(thread, put, away, bucket, "key", b"held")
            await hold.reached.wait()
            put(client, bucket, body=b"overtook")
            hold.release.set()
            await first
    assert get(client, bucket) == b"held"
