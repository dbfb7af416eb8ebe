"""Who the client is behind a reverse proxy: rules, sessions and the audit log see it, and nobody can claim to be it."""

import http.client
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from tests.integration.wire import Answer, Signer, Wire
from tests.proxies.reverse import EACH, Fronts, Proxy
from tests.support.admin import Admin, Json, allow
from tests.support.server import PASSWORD, Server

BUCKET = "releases"
CLIENT, STRANGER = "127.0.0.2", "127.0.0.3"
"""Addresses of this host; the proxies connect from 127.0.0.1."""


@dataclass(frozen=True, slots=True)
class DirectWire(Wire):
    """To the server itself, from another address than the proxies'."""

    source: str = STRANGER

    @override
    def connect(self, timeout: float = 30.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout, source_address=(self.source, 0))


@dataclass(frozen=True, slots=True)
class Behind:
    """A server with users whom only a condition lets in."""

    fronts: Fronts
    near: Json
    """From CLIENT only."""
    secure: Json
    """By HTTPS only."""

    def get(self, name: str) -> Proxy:
        return self.fronts.get(name)


def _behind(server: Server, fronts: Fronts) -> Behind:
    server.client().create_bucket(Bucket=BUCKET)
    server.client().put_object(Bucket=BUCKET, Key="key", Body=b"body")
    with Admin(server) as admin:
        near = allow("read", f"{BUCKET}/*", conditions={"IpAddress": {"aws:SourceIp": f"{CLIENT}/32"}})
        secure = allow("read", f"{BUCKET}/*", conditions={"Bool": {"aws:SecureTransport": "true"}})
        return Behind(fronts, admin.user("near", near), admin.user("secure", secure))


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    root = tmp_path_factory.mktemp("clients")
    trusting = {"DGP_TRUST_PROXY_HEADERS": "true", "DGP_TRUSTED_PROXY_CIDRS": "127.0.0.1/32"}
    with Server(root, environment=trusting) as server, Fronts(server, root / "proxies") as fronts:
        yield _behind(server, fronts)


@pytest.fixture(params=EACH)
def proxy(request: pytest.FixtureRequest, behind: Behind) -> Proxy:
    return behind.get(request.param)


def signer(user: Json) -> Signer:
    return Signer(user["access_key_id"], user["secret_access_key"])


def read(wire: Wire, headers: Mapping[str, str] | None = None) -> Answer:
    return wire.request("GET", f"/{BUCKET}/key", unsigned_headers=headers)


FORGED = [
    {"x-forwarded-for": CLIENT},
    {"x-real-ip": CLIENT},
    {"x-forwarded-for": f"{CLIENT}, 127.0.0.1", "x-real-ip": CLIENT},
    {"forwarded": f"for={CLIENT}", "true-client-ip": CLIENT, "x-client-ip": CLIENT},
]


def test_conditions_see_the_real_client(proxy: Proxy, behind: Behind) -> None:
    near = signer(behind.near)
    assert read(proxy.wire(CLIENT, near)).status == 200
    assert read(proxy.wire(STRANGER, near)).status == 403
    assert read(proxy.wire(CLIENT, near), {"x-forwarded-for": "192.0.2.1", "x-real-ip": "192.0.2.1"}).status == 200


@pytest.mark.parametrize("headers", FORGED)
def test_nobody_can_claim_another_address_through_a_proxy(
    proxy: Proxy, behind: Behind, headers: dict[str, str]
) -> None:
    assert read(proxy.wire(STRANGER, signer(behind.near)), headers).code == "AccessDenied"


def test_nor_can_somebody_on_the_host_of_the_proxy_by_the_header_that_is_no_list(proxy: Proxy, behind: Behind) -> None:
    assert read(proxy.wire("127.0.0.1", signer(behind.near)), {"x-real-ip": CLIENT}).code == "AccessDenied"


@pytest.mark.parametrize("headers", FORGED)
def test_nobody_can_claim_another_address_past_the_proxy(behind: Behind, headers: dict[str, str]) -> None:
    assert read(DirectWire(behind.fronts.server, signer(behind.near)), headers).code == "AccessDenied"


def test_conditions_see_how_the_client_came(proxy: Proxy, behind: Behind) -> None:
    user, server = signer(behind.secure), behind.fronts.server
    assert read(proxy.wire(CLIENT, user)).status == 200
    assert read(proxy.wire(CLIENT, user), {"x-forwarded-proto": "http"}).status == 200
    assert read(Wire(server, user)).code == "AccessDenied"
    assert read(DirectWire(server, user), {"x-forwarded-proto": "https"}).code == "AccessDenied"


def test_signing_in_through_a_proxy(proxy: Proxy, behind: Behind) -> None:
    """The server is told that cookies may go over HTTP; behind a proxy with TLS they do not."""
    origin = {"origin": proxy.endpoint}
    with proxy.http() as http:
        signed_in = http.post("/_/api/admin/login", json={"password": PASSWORD}, headers=origin)
        cookie = signed_in.headers["set-cookie"]
        proxy.server.secrets.update(kept.value for kept in http.cookies.jar if kept.value)
        assert cookie.startswith("__Host-dgp_session=")
        assert {"secure", "httponly", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
        assert http.get("/_/api/whoami").json()["version"]
        assert http.post("/_/api/admin/logout", headers={"origin": "https://elsewhere.example"}).status_code == 403
        assert http.post("/_/api/admin/logout", headers=origin).status_code == 200
        assert http.get("/_/api/admin/session").status_code == 401


def test_a_session_belongs_to_the_address_of_its_client(proxy: Proxy, behind: Behind) -> None:
    """A stolen cookie is worth nothing elsewhere, and whoever signs in is named by the address of their own."""

    def ask(source: str, method: str, path: str, body: bytes = b"", cookie: str = "") -> http.client.HTTPResponse:
        connection = proxy.wire(source).connect()
        lines = [f"{method} {path} HTTP/1.1", f"host: localhost:{proxy.port}", "content-type: application/json"]
        lines += [f"content-length: {len(body)}", f"cookie: {cookie}", "connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        answer.read()
        connection.close()
        return answer

    body = b'{"password": "%b"}' % PASSWORD.encode()
    cookie = (ask(CLIENT, "POST", "/_/api/admin/login", body).getheader("set-cookie") or "").partition(";")[0]
    proxy.server.secrets.add(cookie.partition("=")[2])
    assert ask(CLIENT, "GET", "/_/api/admin/session", cookie=cookie).status == 200
    assert ask(STRANGER, "GET", "/_/api/admin/session", cookie=cookie).status == 401
    with Admin(proxy.server) as admin:
        entries = admin.ask("GET", "/admin/audit?action=login&limit=20")["entries"]
    assert CLIENT in [entry["ip"] for entry in entries]


@pytest.mark.slow
def test_idle_connections_are_the_proxys_to_end_and_hold_up_nobody(tmp_path: Path) -> None:
    server = Server(tmp_path, environment={"DGP_TRUST_PROXY_HEADERS": "true"})
    with server, Wire(server).connect() as connection:
        connection.sendall(b"GET /_/health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(4096)
        assert server.stop() == 0


@pytest.mark.slow
def test_an_idle_connection_is_kept_for_a_proxy(behind: Behind) -> None:
    with Wire(behind.fronts.server).connect(timeout=40) as connection:
        connection.sendall(b"GET /_/health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(4096)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_without_trust_the_proxy_is_the_client(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Fronts(server, tmp_path / "proxies") as fronts:
        with fronts.get("nginx").http() as http:
            signed_in = http.post("/_/api/admin/login", json={"password": PASSWORD}, headers={"x-real-ip": CLIENT})
            server.secrets.update(kept.value for kept in http.cookies.jar if kept.value)
        assert "secure" not in signed_in.headers["set-cookie"].lower()
        said = "action=login | user=admin | target=bootstrap | ip=127.0.0.1"
        server.wait_for(lambda: said in server.log.read_text())
