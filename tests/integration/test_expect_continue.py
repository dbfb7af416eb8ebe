"""A client that asks before it sends a body: what cannot be stored is refused while the client still has it."""

import socket

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.parts import begin
from tests.integration.wire import UNSIGNED, Wire, head_bytes, read_answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def asking(wire: Wire, path: str, query: str = "") -> socket.socket:
    """A connection on which the head of a PUT was sent, and no body."""
    head = {**wire.head("PUT", path, query, payload=UNSIGNED).headers, "content-length": "4", "expect": "100-continue"}
    connection = wire.connect()
    connection.sendall(head_bytes("PUT", f"{path}?{query}" if query else path, head))
    return connection


@pytest.mark.parametrize("query", ["", f"partNumber=1&uploadId={'0' * 32}"])
def test_a_bucket_that_is_not_there(wire: Wire, query: str) -> None:
    with asking(wire, "/no-such-bucket-here/key", query) as connection:
        answer = read_answer(connection, "PUT")  # an interim 100 would be skipped, and then nothing came
        assert (answer.status, answer.code) == (404, "NoSuchBucket")
        assert answer.headers["connection"] == "close"


def test_an_upload_that_is_not_there(wire: Wire, bucket: str) -> None:
    with asking(wire, f"/{bucket}/key", f"partNumber=1&uploadId={'0' * 32}") as connection:
        answer = read_answer(connection, "PUT")
        assert (answer.status, answer.code) == (404, "NoSuchUpload")


@pytest.mark.parametrize("part", [False, True])
def test_a_body_that_is_wanted_is_asked_for(wire: Wire, s3: S3Client, bucket: str, part: bool) -> None:
    query = f"partNumber=1&uploadId={begin(s3, bucket)}" if part else ""
    with asking(wire, f"/{bucket}/key", query) as connection:
        assert connection.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
        connection.sendall(b"body")
        assert read_answer(connection, "PUT").status == 200
