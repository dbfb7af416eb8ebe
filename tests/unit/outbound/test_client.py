"""Calls to real servers: what is reached, under which name, and how much of an answer is taken.

127.0.0.2 stands for an address that may be connected to, 127.0.0.1 for one that may not.
"""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest

from deltaglider_proxy.outbound.addresses import Kind
from deltaglider_proxy.outbound.client import CallFailed, OutboundClient
from deltaglider_proxy.outbound.policy import RefusedUrl
from deltaglider_proxy.outbound.resolver import AddressRefused
from deltaglider_proxy.outbound.session import open_session
from tests.unit.outbound.names import NAME, Names, Server, Tls, serving, tls_for

ALLOWED = (ip_network("127.0.0.2/32"),)


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return tls_for(NAME, tmp_path)


@pytest.fixture
async def server(tls: Tls) -> AsyncIterator[Server]:
    async with serving(tls) as running:
        yield running


def client(tls: Tls, *answers: tuple[str, ...], timeout: float = 5.0, most: int = 1 << 20) -> OutboundClient:
    names = Names(*(answers or (("127.0.0.2",),)))
    return OutboundClient(Kind.OIDC, ALLOWED, timeout=timeout, most=most, tls=tls.client, resolver=names)


def answered(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_the_address_is_pinned_and_the_name_is_kept(tls: Tls, server: Server) -> None:
    async with client(tls, ("127.0.0.1", "127.0.0.2")) as calls:
        assert await calls.get_json(f"https://{NAME}:{server.port}/x?y=%2F") == {"a": "b"}
    head = server.requests[0].decode().lower()
    assert head.startswith("get /x?y=%2f http/1.1\r\n")
    assert f"\r\nhost: {NAME}:{server.port}\r\n" in head
    assert "\r\naccept-encoding: identity\r\n" in head
    assert tls.names == [NAME]


async def test_a_post(tls: Tls, server: Server) -> None:
    server.answer = answered("202 Accepted", b"thanks", "Retry-After: 3")
    async with client(tls) as calls:
        reply = await calls.post_json(f"https://{NAME}:{server.port}/", {"n": 1}, {"X-Token": "t"})
    assert (reply.status, reply.good, reply.body, reply.headers["retry-after"]) == (202, True, b"thanks", "3")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b'{"n":1}'
    assert b"x-token: t" in head.lower()
    assert b"content-type: application/json" in head.lower()


async def test_a_name_that_moves_is_not_followed(tls: Tls, server: Server) -> None:
    async with serving(tls, "127.0.0.1") as private, client(tls, ("127.0.0.2",), ("127.0.0.1",)) as calls:
        await calls.get_json(f"https://{NAME}:{server.port}/")
        for port in (private.port, server.port):
            with pytest.raises(CallFailed, match=rf"{NAME}' leads to 127\.0\.0\.1, which is not public"):
                await calls.get_json(f"https://{NAME}:{port}/")
        assert (server.connections, private.connections) == (1, 0)


@pytest.mark.parametrize("to", ["https://169.254.169.254/latest", f"https://{NAME}/other", "/other"])
async def test_redirects_are_not_followed(tls: Tls, server: Server, to: str) -> None:
    server.answer = answered("302 Found", b"", f"Location: {to}")
    async with client(tls) as calls:
        with pytest.raises(CallFailed, match="redirects"):
            await calls.get_json(f"https://{NAME}:{server.port}/")
        with pytest.raises(CallFailed, match="redirects"):
            await calls.post(f"https://{NAME}:{server.port}/", b"", {})
    assert len(server.requests) == 2


async def test_answers_are_bounded(tls: Tls, server: Server) -> None:
    async with client(tls, most=1000) as calls:
        server.answer = answered("200 OK", b'"' + b"x" * 998 + b'"')
        assert await calls.get_json(f"https://{NAME}:{server.port}/") == "x" * 998
        server.answer = answered("200 OK", b"x" * 1001)
        with pytest.raises(CallFailed, match="more than 1000 bytes"):
            await calls.get(f"https://{NAME}:{server.port}/")
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        server.answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 100_000
        with pytest.raises(CallFailed, match="more than 1000 bytes"):
            await calls.get(f"https://{NAME}:{server.port}/")


async def test_nothing_is_decompressed(tls: Tls, server: Server) -> None:
    server.answer = answered("200 OK", b"\x1f\x8b", "Content-Encoding: gzip")
    async with client(tls) as calls:
        with pytest.raises(CallFailed, match="compresses"):
            await calls.get(f"https://{NAME}:{server.port}/")


async def test_silence_ends(tls: Tls, server: Server) -> None:
    server.silent = True
    async with client(tls, timeout=0.2) as calls:
        with pytest.raises(CallFailed, match=r"did not answer within 0\.2 s"):
            await calls.get(f"https://{NAME}:{server.port}/")


async def test_errors_are_replies_and_no_documents(tls: Tls, server: Server) -> None:
    async with client(tls) as calls:
        server.answer = answered("503 Busy", b"{}")
        assert (await calls.get(f"https://{NAME}:{server.port}/")).status == 503
        with pytest.raises(CallFailed, match="answered 503"):
            await calls.get_json(f"https://{NAME}:{server.port}/")
        server.answer = answered("200 OK", b"<html>")
        with pytest.raises(CallFailed, match="no JSON"):
            await calls.get_json(f"https://{NAME}:{server.port}/")
        server.answer = b"nonsense\r\n\r\n"
        with pytest.raises(CallFailed):
            await calls.get(f"https://{NAME}:{server.port}/")


async def test_who_cannot_prove_the_name_is_not_spoken_to(tls: Tls, server: Server, tmp_path: Path) -> None:
    async with client(tls) as calls:
        with pytest.raises(CallFailed):
            await calls.get(f"https://other.example.com:{server.port}/")
    (tmp_path / "more").mkdir()
    stranger = tls_for(NAME, tmp_path / "more")
    async with client(stranger) as calls:
        with pytest.raises(CallFailed):
            await calls.get(f"https://{NAME}:{server.port}/")
    assert server.requests == []


async def test_the_environment_does_not_steer(tls: Tls, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
        monkeypatch.setenv(variable.lower(), "http://127.0.0.1:1")
    async with client(tls) as calls:
        assert (await calls.get(f"https://{NAME}:{server.port}/")).good


async def test_urls_are_checked_first(tls: Tls) -> None:
    async with client(tls) as calls:
        for url in (
            "http://login.example.com/",
            "https://127.0.0.1/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://0x7f.1/",
        ):
            with pytest.raises(RefusedUrl):
                await calls.get(url)
        with pytest.raises(CallFailed, match="'host'"):
            await calls.get(f"https://{NAME}/", {"Host": "internal"})


async def test_failures_say_no_secret(tls: Tls) -> None:
    async with client(tls, timeout=2.0) as calls:
        with pytest.raises(CallFailed) as caught:
            await calls.get(f"https://{NAME}:1/hooks/hunter2?key=hunter2")
        assert "hunter2" not in str(caught.value)
        with pytest.raises(CallFailed, match=NAME):
            await calls.get(f"https://{NAME}:1/", {"x": "a\r\nb: c"})


async def test_a_session_refuses_addresses_that_no_resolver_saw() -> None:
    async with serving(None, "127.0.0.1") as private, open_session(Kind.BACKEND, connections=1, idle=1.0) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://127.0.0.1:{private.port}/")
        assert isinstance(caught.value.__cause__, AddressRefused)
        assert private.connections == 0


async def test_a_local_session_reaches_them() -> None:
    async with (
        serving(None, "127.0.0.1") as near,
        open_session(Kind.BACKEND_DEV, connections=1, idle=1.0) as session,
        session.get(f"http://127.0.0.1:{near.port}/") as response,
    ):
        assert response.status == 200
