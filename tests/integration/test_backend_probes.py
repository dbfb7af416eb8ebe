"""What the admin API says of an S3 service that does not answer, or not as one would."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.support.admin import Admin
from tests.support.server import Server, free_port

_DENIED = b"<Error><Code>InvalidAccessKeyId</Code><Message>unknown</Message></Error>"


@contextmanager
def answering(text: bytes) -> Iterator[int]:
    """The port of a service that says this to everybody, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with closing(connection):
                    connection.recv(65536)
                    connection.sendall(text)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def http(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as signed_in:
        yield signed_in


def verdict_on(admin: Admin, port: int) -> tuple[bool, str | None]:
    keys = {"access_key_id": "AKNOBODY", "secret_access_key": "nothing-of-forty-characters"}
    found = admin.ask(
        "POST", "/admin/test-s3", {"endpoint": f"http://127.0.0.1:{port}", "allow_local": True, "region": "x", **keys}
    )
    assert bool(found.get("error")) is not found["success"]
    return found["success"], found.get("error_kind")


def test_nobody_listens(admin: Admin) -> None:
    assert verdict_on(admin, free_port()) == (False, "connection")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "connection"),
        (http("403 Forbidden", _DENIED), "credentials"),
        (http("503 Slow Down", b""), "unknown"),
        (http("200 OK", b"no XML"), "unknown"),
    ],
    ids=["hangs up", "denies", "is busy", "is no S3 service"],
)
def test_somebody_listens(admin: Admin, text: bytes, kind: str) -> None:
    with answering(text) as port:
        assert verdict_on(admin, port) == (False, kind)
