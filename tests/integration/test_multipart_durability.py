"""Multipart uploads over restarts and power cuts, and within the limits of a server."""

import hashlib

import pytest

from tests.integration.expect import lacks, refused
from tests.integration.parts import PART, begin, bodies, complete, etag_of, send
from tests.integration.wire import Wire
from tests.support.server import Server


@pytest.fixture
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Not started yet."""
    return Server(tmp_path_factory.mktemp("restarts"), environment={"DGP_REPLAY_WINDOW_SECS": "0"})


def test_uploads_survive_restarts(own_server: Server) -> None:
    data = bodies(7, PART, PART, 100)
    with own_server as server:
        s3 = server.client()
        s3.create_bucket(Bucket="bucket")
        upload = begin(s3, "bucket")
        parts = [send(s3, "bucket", upload, 1, data[0])]
        server.restart()
        parts.append(send(s3, "bucket", upload, 2, data[1]))
        server.kill()
        server.start()
        parts.append(send(s3, "bucket", upload, 3, data[2]))
        done = complete(s3, "bucket", upload, parts)
        server.kill()
        server.start()
        assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"".join(data)
        assert complete(s3, "bucket", upload, parts)["ETag"] == done["ETag"] == etag_of(data)
        assert lacks(s3.list_multipart_uploads(Bucket="bucket"), "Uploads")


def test_an_interrupted_completion_can_be_repeated(own_server: Server) -> None:
    data = bodies(8, *[8 << 20] * 6)
    with own_server as server:
        s3 = server.client()
        s3.create_bucket(Bucket="bucket")
        upload = begin(s3, "bucket")
        parts = [send(s3, "bucket", upload, number, body) for number, body in enumerate(data, start=1)]
        wire = Wire(server)
        rows = "".join(
            f"<Part><PartNumber>{part['PartNumber']}</PartNumber><ETag>{part['ETag']}</ETag></Part>" for part in parts
        )
        document = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
        head = wire.head("POST", "/bucket/key", f"uploadId={upload}", payload=hashlib.sha256(document).hexdigest())
        lines = [f"POST /bucket/key?uploadId={upload} HTTP/1.1", f"content-length: {len(document)}"]
        lines += [f"{name}: {value}" for name, value in head.headers.items()]
        with wire.connect() as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + document)
            server.kill()
        server.start()
        assert complete(s3, "bucket", upload, parts)["ETag"] == etag_of(data)
        assert s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"".join(data)


def test_limits(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {"DGP_MAX_MULTIPART_UPLOADS": "3", "DGP_REPLAY_WINDOW_SECS": "0"}
    root = tmp_path_factory.mktemp("limits")
    with Server(root, max_object_size=6 << 20, environment=environment) as server:
        s3 = server.client()
        s3.create_bucket(Bucket="bucket")
        upload = begin(s3, "bucket")
        with refused("EntityTooLarge", 400):
            send(s3, "bucket", upload, 1, bytes((6 << 20) + 1))
        parts = [send(s3, "bucket", upload, number, bytes(PART)) for number in (1, 2)]
        with refused("EntityTooLarge", 400):
            complete(s3, "bucket", upload, parts)
        begin(s3, "bucket")
        begin(s3, "bucket")
        with refused("SlowDown", 503):
            begin(s3, "bucket")
        complete(s3, "bucket", upload, parts[:1])
        assert begin(s3, "bucket")
