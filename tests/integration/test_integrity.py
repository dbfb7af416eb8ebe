"""Stored bytes that went bad are never served: an error before the head of a response, a short read behind it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from deltaglider_proxy.codecs import container
from tests.integration.expect import check_refused
from tests.integration.metrics import total
from tests.integration.wire import Wire, head_bytes
from tests.support.server import Server

BUCKET = "damaged"
SIZE = 40_000_000
FAILURES = "deltaglider_integrity_failures_total"


def versions() -> list[bytes]:
    """Three that are alike, with changes from the first byte to near the last."""
    rng = random.Random(9)
    first = bytearray(rng.randbytes(SIZE))
    made = [bytes(first)]
    for _ in range(2):
        for at in range(0, SIZE, 1_000_000):
            first[at : at + 50] = rng.randbytes(50)
        made.append(bytes(first))
    return made


@pytest.fixture(scope="module")
def data() -> list[bytes]:
    return versions()


@pytest.fixture
def damaged(tmp_path: Path, data: list[bytes]) -> Iterator[Server]:
    with Server(tmp_path, environment={"DGP_DEBUG_HEADERS": "true", "DGP_CACHE_MB": "0"}) as server:
        s3 = server.client()
        s3.create_bucket(Bucket=BUCKET)
        for number, body in enumerate(data):
            s3.put_object(Bucket=BUCKET, Key=f"v{number}.bin", Body=body)
        assert (
            s3.head_object(Bucket=BUCKET, Key="v2.bin")["ResponseMetadata"]["HTTPHeaders"]["x-amz-storage-type"]
            == "delta"
        )
        yield server


def stored_frames(path: Path) -> tuple[container.Frame, ...]:
    stored = path.read_bytes()
    start, stop = container.parse_trailer(stored[-container.TRAILER_SIZE :], len(stored))
    return container.parse_index(stored[start:stop]).frames


def spoil(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def spoil_frame(server: Server, number: int) -> tuple[int, int]:
    """Spoil one of the frames of v2 that have bytes of their own; the logical bytes that it holds."""
    path = server.data / BUCKET / "v2.bin"
    frames = stored_frames(path)
    chosen = [at for at, frame in enumerate(frames) if frame.payload][number]
    spoil(path, frames[chosen].offset + frames[chosen].payload // 2)
    start = sum(frame.size for frame in frames[:chosen])
    return start, start + frames[chosen].size


def test_a_frame_that_went_bad_cuts_the_response(damaged: Server, data: list[bytes]) -> None:
    start, _ = spoil_frame(damaged, -1)
    before = total(damaged, FAILURES)
    wire = Wire(damaged)
    answer = wire.request("GET", f"/{BUCKET}/v2.bin")
    assert answer.status == 200
    assert answer.short
    assert answer.headers["content-length"] == str(SIZE)
    assert len(answer.body) <= start
    assert answer.body == data[2][: len(answer.body)]
    assert len(answer.body) > 16 << 20
    assert total(damaged, FAILURES) > before
    damaged.wait_for(lambda: "cut" in damaged.log.read_text())


def test_what_does_not_need_the_bad_frame_is_served(damaged: Server, data: list[bytes]) -> None:
    start, stop = spoil_frame(damaged, 1)
    wire = Wire(damaged)
    for first, last in ((0, start - 1), (stop, SIZE - 1)):
        answer = wire.request("GET", f"/{BUCKET}/v2.bin", headers={"range": f"bytes={first}-{last}"})
        assert (answer.status, answer.short) == (206, False)
        assert answer.body == data[2][first : last + 1]
    answer = wire.request("GET", f"/{BUCKET}/v2.bin", headers={"range": f"bytes={start}-{start + 10}"})
    check_refused(answer, "InternalError", 500)
    assert wire.request("HEAD", f"/{BUCKET}/v2.bin").status == 200
    for number in (0, 1):
        assert wire.request("GET", f"/{BUCKET}/v{number}.bin").body == data[number]


def test_a_first_frame_that_went_bad_is_an_error(damaged: Server) -> None:
    spoil_frame(damaged, 0)
    before = total(damaged, FAILURES)
    answer = Wire(damaged).request("GET", f"/{BUCKET}/v2.bin")
    check_refused(answer, "InternalError", 500)
    assert answer.element("Message") == "We encountered an internal error. Please try again."
    assert str(damaged.root).encode() not in answer.body
    assert "etag" not in answer.headers
    assert total(damaged, FAILURES) > before
    damaged.wait_for(lambda: answer.headers["x-amz-request-id"] in damaged.log.read_text())


def test_a_container_that_lost_its_end_is_an_error(damaged: Server) -> None:
    path = damaged.data / BUCKET / "v2.bin"
    size = path.stat().st_size
    spoil(path, size - 10)
    check_refused(Wire(damaged).request("GET", f"/{BUCKET}/v2.bin"), "InternalError", 500)


def test_a_reference_that_went_bad_is_never_used(damaged: Server, data: list[bytes]) -> None:
    (reference,) = (path for path in damaged.data.rglob("*") if "refs" in path.parts and path.stat().st_size == SIZE)
    damaged.stop()
    for at in range(0, SIZE, 65_536):
        spoil(reference, at)
    damaged.start()
    wire = Wire(damaged)
    answer = wire.request("GET", f"/{BUCKET}/v2.bin")
    assert answer.status == 500 or answer.short
    assert answer.status == 500 or answer.body == data[2][: len(answer.body)]
    # A new upload finds no help there, and is whole all the same.
    assert wire.request("PUT", f"/{BUCKET}/v3.bin", body=data[1]).status == 200
    assert wire.request("GET", f"/{BUCKET}/v3.bin").body == data[1]


def test_a_client_that_leaves_early_harms_nobody(damaged: Server, data: list[bytes]) -> None:
    wire = Wire(damaged)
    for _ in range(5):
        signed = wire.head("GET", f"/{BUCKET}/v2.bin").headers
        with wire.connect() as connection:
            connection.sendall(head_bytes("GET", f"/{BUCKET}/v2.bin", signed))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert wire.request("GET", f"/{BUCKET}/v2.bin").body == data[2]
    assert total(damaged, FAILURES) == 0


def test_the_sdk_sees_a_failure(damaged: Server) -> None:
    spoil_frame(damaged, -1)
    client: S3Client = damaged.client()
    body = client.get_object(Bucket=BUCKET, Key="v2.bin")["Body"]
    with pytest.raises(Exception, match=r"IncompleteRead|Connection broken|Read"):
        body.read()
