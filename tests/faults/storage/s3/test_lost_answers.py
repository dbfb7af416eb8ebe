"""What is said about a change whose answer did not come, and what is sent again: nothing that may have been done."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backend import IfMatch, Piece
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.verdicts import Verdicts
from deltaglider_proxy.storage.errors import NoSuchKey, StorageError, Unavailable, Uncertain
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.objects import get, put
from tests.support.storage.s3 import opened, settings_for, verdicts_of
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import (
    INTERNAL_ERROR,
    SLOW_DOWN,
    Hold,
    LoseAnswer,
    LoseRequest,
    Refuse,
    Rule,
    Side,
)
from tests.support.storage.services.service import Service


@pytest.mark.parametrize("fault", [LoseAnswer(), LoseRequest(), INTERNAL_ERROR, Refuse(504, "GatewayTimeout")])
async def test_a_put_is_never_sent_twice(
    backend: S3Backend, proxy: FaultProxy, bucket: str, fault: LoseAnswer | LoseRequest | Refuse
) -> None:
    await put(backend, "before", bucket=bucket)  # so that the next request finds an open connection
    proxy.add(Rule(fault, "PUT"))
    with pytest.raises(Uncertain):
        await put(backend, "key", b"new", bucket=bucket)
    assert sum("/key" in passed.request.path for passed in proxy.passed) == 1
    if isinstance(fault, LoseAnswer):
        assert await get(backend, "key", bucket) == b"new"


async def test_a_delete_is_never_sent_twice(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    stored = await put(backend, "key", bucket=bucket)
    proxy.add(Rule(LoseAnswer(), "DELETE"))
    with pytest.raises(Uncertain):
        await backend.delete(bucket, "key", IfMatch(stored.etag))
    assert len(proxy.forwarded("DELETE")) == 1
    with pytest.raises(NoSuchKey):
        await backend.head(bucket, "key")


async def test_what_was_surely_not_done_is_sent_again(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    proxy.add(Rule(SLOW_DOWN, "PUT", times=2))
    await put(backend, "key", b"new", bucket=bucket)
    proxy.add(Rule(SLOW_DOWN, "DELETE"))
    assert await backend.delete(bucket, "key") is True


async def test_a_service_that_stays_busy_is_unavailable(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    proxy.add(Rule(SLOW_DOWN, "PUT", times=None))
    with pytest.raises(Unavailable):
        await put(backend, "key", b"new", bucket=bucket)
    assert proxy.forwarded("PUT") == []


@pytest.mark.parametrize("fault", [LoseAnswer(), LoseRequest(), INTERNAL_ERROR, SLOW_DOWN])
async def test_reads_are_repeated(
    backend: S3Backend, proxy: FaultProxy, bucket: str, fault: LoseAnswer | LoseRequest | Refuse
) -> None:
    await put(backend, "key", b"data", bucket=bucket)
    for method in ("GET", "HEAD"):
        proxy.add(Rule(fault, method))
    assert await get(backend, "key", bucket) == b"data"
    assert (await backend.head(bucket, "key")).size == 4
    assert len((await backend.list(bucket)).entries) == 1


async def test_nobody_listens(service: Service, tmp_path: Path) -> None:
    settings = replace(settings_for(service, tmp_path, "http://127.0.0.1:1"), deadline=0.5)
    async with opened(settings, await verdicts_of(service, tmp_path)) as backend:
        with pytest.raises(Unavailable) as caught:
            await backend.create_bucket("bucket")
        assert not isinstance(caught.value, Uncertain)


async def test_a_name_that_leads_to_a_private_address(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(service.endpoint.rpartition(":")[2])
    asked = []

    def answer(host: str, *args: object, **kwargs: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    near = settings_for(service, tmp_path, f"http://s3.example.com:{port}")
    far = replace(near, endpoint=f"https://s3.example.com:{port}", allow_local=False)
    async with opened(far, Verdicts()) as backend:
        with pytest.raises(Unavailable, match=r"s3\.example\.com.*127\.0\.0\.1.*not public.*allow_local"):
            await backend.buckets()
    async with opened(near, Verdicts()) as backend:
        await backend.buckets()
    assert asked == ["s3.example.com"] * 2


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "10.1.2.3", "169.254.169.254"])
def test_an_endpoint_that_is_a_private_address(service: Service, tmp_path: Path, address: str) -> None:
    settings = replace(settings_for(service, tmp_path, f"https://{address}:9000"), allow_local=False)
    with pytest.raises(ValueError, match=r"not public|metadata"):
        S3Backend(settings, Pool(1), SystemClock(), Verdicts())


async def test_redirects_are_not_followed(backend: S3Backend, proxy: FaultProxy, bucket: str) -> None:
    elsewhere = Refuse(307, "TemporaryRedirect", (("Location", f"{proxy.endpoint}/{bucket}/elsewhere"),))
    proxy.add(Rule(elsewhere, path="/key", times=None))
    for attempt in (put(backend, "key", bucket=bucket), get(backend, "key", bucket)):
        with pytest.raises(Unavailable, match="region"):
            await attempt
    assert not any("elsewhere" in passed.request.path for passed in proxy.passed)


async def test_no_answer_within_the_deadline(service: Service, proxy: FaultProxy, bucket: str, tmp_path: Path) -> None:
    hold = Hold(Side.ANSWER)
    settings = replace(settings_for(service, tmp_path, proxy.endpoint), deadline=0.4)
    async with opened(settings, await verdicts_of(service, tmp_path)) as backend:
        proxy.add(Rule(hold, "PUT"))
        with pytest.raises(Uncertain):
            await put(backend, "key", bucket=bucket)
        assert hold.reached.is_set()


async def test_a_completion_is_sent_once_and_parts_as_often_as_needed(
    backend: S3Backend, proxy: FaultProxy, bucket: str
) -> None:
    writer = await backend.write(bucket, "key", {})
    proxy.add(Rule(LoseAnswer(), "PUT", query=["partNumber"]))
    proxy.add(Rule(LoseAnswer(), "POST", query=["uploads"]))
    complete = proxy.add(Rule(LoseAnswer(), "POST", query=["uploadId"]))
    for _ in range(10):
        await writer.write(bytes(1 << 20))
    with pytest.raises(Uncertain):
        await writer.commit()
    assert complete.matched == 1
    assert (await backend.head(bucket, "key")).size == 10 << 20


@pytest.mark.parametrize("code", ["InternalError", "SomethingNew"])
async def test_an_error_behind_a_200(backend: S3Backend, proxy: FaultProxy, bucket: str, code: str) -> None:
    source = await put(backend, "source", bucket=bucket)
    rule = proxy.add(Rule(Refuse(200, code), "PUT", path="/copy"))
    with pytest.raises(Uncertain):
        await backend.compose(bucket, "copy", [Piece("source", 0, 4)], {}, pin=IfMatch(source.etag))
    assert rule.matched == 1
    writer = await backend.write(bucket, "key", {})
    await writer.write(bytes(9 << 20))
    rule = proxy.add(Rule(Refuse(200, code), "POST", query=["uploadId"]))
    with pytest.raises(Uncertain):
        await writer.commit()
    assert rule.matched == 1


async def test_a_body_that_flows_is_known_to_be_invisible_until_its_end(
    backend: S3Backend, proxy: FaultProxy, bucket: str
) -> None:
    await put(backend, "key", b"old", bucket=bucket)
    proxy.add(Rule(LoseRequest(), "PUT"))
    with pytest.raises(StorageError) as caught:
        await put(backend, "key", bytes(30 << 20), bucket=bucket)
    assert not isinstance(caught.value, Uncertain)
    proxy.add(Rule(LoseAnswer(), "PUT"))
    with pytest.raises(Uncertain):
        await put(backend, "key", bytes(30 << 20), bucket=bucket)
    assert (await backend.head(bucket, "key")).size == 30 << 20


@pytest.mark.parametrize("size", [3 << 20, 30 << 20])
async def test_a_service_that_reads_no_more(service: Service, tmp_path: Path, size: int) -> None:
    """Nothing waits for it in the end: a connection that is left over would fail the test with a warning."""
    deaf = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()).startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await deaf.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    port = server.sockets[0].getsockname()[1]
    settings = replace(
        settings_for(service, tmp_path, f"http://127.0.0.1:{port}"), deadline=0.3, idle_timeout=0.3, connections=4
    )
    async with opened(settings, await verdicts_of(service, tmp_path)) as backend:
        with pytest.raises(Unavailable if size > 8 << 20 else Uncertain):
            await put(backend, "key", bytes(size))
    deaf.set()
    server.close()
    await server.wait_closed()
