"""A server that speaks HTTPS itself: what it serves, what it refuses, and how its certificate is replaced."""

import http.client
import os
import signal
import socket
import ssl
import threading
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from deltaglider_proxy.telemetry import worker_slots
from tests.proxies.certificates import Files, new_key, pem
from tests.proxies.https import HttpsServer, digest, unverified
from tests.support.admin import allow
from tests.support.server import Server

BODY = bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    root = tmp_path_factory.mktemp("https")
    running = HttpsServer(root, environment={"DGP_TLS_ENABLED": "true"}, trusted=root / "trusted.pem")
    with running:
        assert running.trusted is not None
        running.trusted.write_text(ssl.get_server_certificate(("127.0.0.1", running.port)))
        running.client().create_bucket(Bucket="releases")
        yield running


def test_objects_go_both_ways(server: HttpsServer) -> None:
    client = server.client()
    client.put_object(Bucket="releases", Key="a//b c+d", Body=BODY)
    assert client.get_object(Bucket="releases", Key="a//b c+d")["Body"].read() == BODY


def test_presigned_urls_work(server: HttpsServer) -> None:
    client = server.client()
    client.put_object(Bucket="releases", Key="signed", Body=b"abc")
    url = client.generate_presigned_url("get_object", {"Bucket": "releases", "Key": "signed"})
    assert url.startswith("https://")
    with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=server.trusted)) as answer:
        assert answer.read() == b"abc"


def test_the_self_signed_certificate_is_announced_and_outlives_a_restart(server: HttpsServer) -> None:
    before, text = server.fingerprint(), server.log.read_text()
    assert before.upper() in text.replace(":", "")
    assert f"https://127.0.0.1:{server.port}/_/" in text
    assert "self-signed" in text
    server.restart()
    assert server.fingerprint() == before
    assert pem_of_key(server.root) not in server.log.read_text()


def pem_of_key(directory: Path) -> str:
    lines = (directory / ".deltaglider_tls.pem").read_text().splitlines()
    assert lines[0] == "-----BEGIN PRIVATE KEY-----"
    return lines[1]


@pytest.mark.parametrize("said", [b"GET /_/health HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 100, b"SSH-2.0-x\r\n"])
def test_whoever_speaks_no_tls_is_let_go_at_once(server: HttpsServer, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(said)
        while connection.recv(4096):
            pass


@pytest.mark.slow
def test_whoever_says_nothing_is_let_go(server: HttpsServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        assert connection.recv(1) == b""


def _speaks(server: HttpsServer, version: ssl.TLSVersion) -> str | None:
    context = unverified()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        return secured.version()


def test_only_tls_of_today_is_spoken(server: HttpsServer) -> None:
    assert _speaks(server, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert _speaks(server, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises(ssl.SSLError, match="alert"):
        _speaks(server, ssl.TLSVersion.TLSv1_1)


def test_browsers_are_told_to_come_back_by_https(server: HttpsServer) -> None:
    with server.http() as http:
        for path in ("/_/", "/_/health", "/_/api/whoami", "/releases/nothing"):
            assert http.get(path).headers["strict-transport-security"].startswith("max-age=31536000"), path


def test_the_cookie_of_a_session_stays_with_https(server: HttpsServer) -> None:
    """Although DGP_SECURE_COOKIES is off for the servers of tests."""
    with server.http() as http:
        cookie = server.sign_in(http).headers["set-cookie"]
        assert cookie.startswith("__Host-dgp_session=")
        assert "Secure" in cookie
        assert http.get("/_/api/admin/session").status_code == 200
        assert http.get("/_/api/admin/session/s3-credentials").json()["endpoint"] == server.endpoint
        assert http.post("/_/api/admin/logout").status_code == 200
        assert http.get("/_/api/admin/session").status_code == 401


def test_conditions_know_that_tls_is_spoken(tmp_path: Path) -> None:
    server = HttpsServer(tmp_path, environment={"DGP_TLS_ENABLED": "true"}, trusted=tmp_path / "trusted.pem")
    with server:
        (tmp_path / "trusted.pem").write_text(ssl.get_server_certificate(("127.0.0.1", server.port)))
        server.client().create_bucket(Bucket="releases")
        with server.http() as http:
            server.sign_in(http)
            users = {}
            for wanted in ("true", "false"):
                rule = allow("write", "releases/*", conditions={"Bool": {"aws:SecureTransport": wanted}})
                made = http.post("/_/api/admin/users", json={"name": f"u-{wanted}", "permissions": [rule]})
                assert made.status_code == 201, made.text
                users[wanted] = made.json()
                server.secrets.add(made.json()["secret_access_key"])
        secure, plain = (server.client(u["access_key_id"], u["secret_access_key"]) for u in users.values())
        secure.put_object(Bucket="releases", Key="a", Body=b"a")
        with pytest.raises(ClientError, match="AccessDenied"):
            plain.put_object(Bucket="releases", Key="a", Body=b"a")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DGP_TLS_CERT": "server.crt", "DGP_TLS_KEY": "other.key"}, "does not belong to the key"),
        ({"DGP_TLS_CERT": "absent.crt", "DGP_TLS_KEY": "server.key"}, "cannot be read"),
        ({"DGP_TLS_CERT": "server.crt"}, "certificate and key come together"),
    ],
)
def test_a_pair_that_cannot_be_served_with_stops_the_start(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    Files(tmp_path).renew()
    (tmp_path / "other.key").write_bytes(pem(new_key()))
    code, log = Server(tmp_path, environment={"DGP_TLS_ENABLED": "true", **variables}).refused_start()
    assert (code, said in log) == (1, True)


@pytest.fixture
def renewable(tmp_path: Path) -> Iterator[tuple[HttpsServer, Files]]:
    files = Files(tmp_path)
    files.renew()
    variables = {"DGP_TLS_ENABLED": "true", "DGP_TLS_CERT": str(files.cert), "DGP_TLS_KEY": str(files.key)}
    with HttpsServer(tmp_path, workers=2, environment=variables, trusted=tmp_path / "trusted.pem") as running:
        assert running.trusted is not None
        running.trusted.write_bytes(files.cert.read_bytes())
        yield running, files


class _Upload:
    """A large upload that goes on for as long as it is told to."""

    def __init__(self, server: HttpsServer, key: str) -> None:
        client = server.client()
        client.create_bucket(Bucket="releases")
        url = client.generate_presigned_url("put_object", {"Bucket": "releases", "Key": key})
        self.connection = http.client.HTTPSConnection("localhost", server.port, timeout=60, context=unverified())
        self.connection.putrequest("PUT", url.partition(f":{server.port}")[2])
        self.connection.putheader("content-length", str(len(BODY)))
        self.connection.endheaders()
        self.connection.send(BODY[:1_000_000])

    def finish(self) -> int:
        self.connection.send(BODY[1_000_000:])
        answer = self.connection.getresponse()
        answer.read()
        self.connection.close()
        return answer.status


class _Visitors:
    """New connections, one after another, until the block ends.

    A handshake that a worker has begun when it is told to end is cut off, and its client tries again, as it does after
    any connection that closed before an answer.
    """

    def __init__(self, server: HttpsServer) -> None:
        self._server = server
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self.served = 0
        self.cut_off: list[str] = []
        self.failures: list[str] = []

    def _visit(self) -> None:
        while not self._done.is_set():
            try:
                self._ask()
            except OSError as error:
                self.cut_off.append(repr(error))
                try:
                    self._ask()
                except OSError as second:
                    self.failures.append(repr(second))

    def _ask(self) -> None:
        url = f"{self._server.endpoint}/_/health"
        with urllib.request.urlopen(url, timeout=20, context=unverified()) as answer:
            answer.read()
        self.served += 1

    def __enter__(self) -> "_Visitors":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def test_a_new_certificate_is_served_without_losing_a_request(renewable: tuple[HttpsServer, Files]) -> None:
    server, files = renewable
    upload, first = _Upload(server, "large"), server.worker_ids()
    with _Visitors(server) as visitors:
        made = digest(files.renew())
        server.wait_for(lambda: server.fingerprint() == made, 60)
        server.wait_for(lambda: "another certificate is served" in server.log.read_text(), 60)
    assert visitors.failures == []
    assert len(visitors.cut_off) <= server.workers
    assert visitors.served > 10
    assert server.trusted is not None
    server.trusted.write_bytes(files.cert.read_bytes())
    assert upload.finish() == 200
    assert server.client().get_object(Bucket="releases", Key="large")["Body"].read() == BODY
    server.wait_for(lambda: not server.worker_ids() & first and len(server.worker_ids()) == 2, 60)
    # What one worker does for all is done again.
    server.wait_for(lambda: 0 in worker_slots.live_slots(server.root / "cache" / "run"), 60)
    assert server.stop() == 0, server.log.read_text()[-3000:]


@pytest.mark.slow
def test_a_broken_certificate_changes_nothing_and_is_told(renewable: tuple[HttpsServer, Files]) -> None:
    server, files = renewable
    before, workers = server.fingerprint(), server.worker_ids()
    files.key.write_bytes(pem(new_key()))
    server.wait_for(lambda: "the former one is still served" in server.log.read_text(), 30)
    assert "does not belong to the key" in server.log.read_text()
    for worker in workers:
        os.kill(worker, signal.SIGKILL)  # the next ones must not trip over the files either
    server.wait_for(lambda: len(server.worker_ids() - workers) == 2, 60)
    assert server.fingerprint() == before
    made = digest(files.renew())
    server.wait_for(lambda: server.fingerprint() == made, 60)


@pytest.mark.slow
def test_a_signal_makes_the_server_look(renewable: tuple[HttpsServer, Files]) -> None:
    server, files = renewable
    assert server.process is not None
    made = digest(files.renew_unseen())
    server.process.send_signal(signal.SIGHUP)
    server.wait_for(lambda: "another certificate is served" in server.log.read_text(), 60)
    server.wait_for(lambda: server.fingerprint() == made, 60)
    assert server.stop() == 0, server.log.read_text()[-3000:]
