"""What a client that asks before it sends a body is told: to go on, or a final answer that ends the connection.

The AWS CLI asks for every upload. Where a final answer left the connection open, it read the next response as the rest
of that one and waited half a minute for more.
"""

import socket
from collections.abc import Iterator

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from typing_extensions import override

from tests.support.server import ACCESS_KEY, SECRET_KEY, Server


class _Unsigned(S3SigV4Auth):
    @override
    def payload(self, request: AWSRequest) -> str:
        return "UNSIGNED-PAYLOAD"


class Wire:
    """One connection, by the byte."""

    def __init__(self, server: Server, connection: socket.socket) -> None:
        self._server = server
        self._socket = connection

    def ask(self, path: str, length: int, *, signed: bool = True) -> None:
        request = AWSRequest("PUT", f"{self._server.endpoint}{path}", {"Content-Length": str(length)})
        if signed:
            _Unsigned(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
        lines = [f"PUT {path} HTTP/1.1", f"Host: 127.0.0.1:{self._server.port}", "Expect: 100-continue"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def head(self) -> bytes:
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            assert byte, said
            said += byte
        return said

    def rest(self) -> bytes:
        """Until the server closes; a connection that stays open is a time-out."""
        said = b""
        while more := self._socket.recv(65536):
            said += more
        return said


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        yield Wire(server, connection)


def test_a_body_that_is_wanted_is_asked_for_and_the_connection_stays(wire: Wire, bucket: str) -> None:
    for number in range(2):
        wire.ask(f"/{bucket}/key{number}", 5)
        assert wire.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(b"12345")
        assert wire.head().startswith(b"HTTP/1.1 200 ")


def test_an_empty_body_gets_a_final_answer_that_closes(wire: Wire, bucket: str) -> None:
    wire.ask(f"/{bucket}/empty", 0)
    head = wire.head()
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head.lower()
    assert wire.rest() == b""


@pytest.mark.parametrize(("signed", "length"), [(True, 1 << 40), (False, 5)], ids=["too large", "not signed"])
def test_a_refused_body_is_never_asked_for(wire: Wire, bucket: str, signed: bool, length: int) -> None:
    wire.ask(f"/{bucket}/key", length, signed=signed)
    said = wire.rest()
    assert said.startswith(b"HTTP/1.1 40")
    assert b"100 Continue" not in said
    assert b"connection: close" in said.lower()
