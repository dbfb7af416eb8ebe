"""The `aws-chunked` framing over a socket: every variant is understood, and one that is wrong stores nothing."""

import random
from dataclasses import replace

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.digests import ALGORITHMS, checksum
from tests.integration.expect import check_refused, lacks, refused
from tests.integration.framing import Framing, Upload, break_off, send, upload
from tests.integration.wire import Wire
from tests.support.server import Server

DATA = random.Random(1).randbytes(200_003)
SMALL = b"0123456789abcdef"
EVERY = pytest.mark.parametrize("framing", Framing, ids=lambda framing: framing.name)


def cut(data: bytes, *sizes: int) -> list[bytes]:
    """Pieces of these sizes in turn, over and over."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    return pieces


def crc(data: bytes) -> dict[str, str]:
    return {"x-amz-checksum-crc32": checksum("crc32", data)}


def is_empty(s3: S3Client, bucket: str) -> bool:
    return s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@EVERY
@pytest.mark.parametrize(
    ("data", "sizes"),
    [
        (b"", (1,)),
        (SMALL, (1,)),
        (DATA[:3000], (1,)),
        (DATA, (64 << 10,)),
        (DATA, (1 << 20,)),
        (DATA, (1, 8191, 8193, 3, 65_537)),
    ],
    ids=["empty", "16x1", "3000x1", "64K", "1M", "odd"],
)
def test_chunks_of_any_size(
    wire: Wire, s3: S3Client, bucket: str, framing: Framing, data: bytes, sizes: tuple[int, ...]
) -> None:
    answer = send(wire, upload(wire, f"/{bucket}/key", cut(data, *sizes), framing, crc(data)))
    assert answer.status == 200, answer
    found = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert found["Body"].read() == data
    assert lacks(found, "ContentEncoding")
    assert found.get("ChecksumCRC32") == (checksum("crc32", data) if framing.trailing else None)


@EVERY
def test_packets_of_any_size(wire: Wire, s3: S3Client, bucket: str, framing: Framing) -> None:
    made = upload(wire, f"/{bucket}/key", cut(SMALL, 5), framing, crc(SMALL))
    lines = [f"PUT /{bucket}/key HTTP/1.1", *(f"{n}: {v}" for n, v in made.headers.items())]
    whole = "\r\n".join([*lines, f"content-length: {len(made.body)}", "", ""]).encode() + made.body
    with wire.connect() as connection:
        connection.setsockopt(6, 1, 1)  # TCP_NODELAY
        for byte in whole:
            connection.sendall(bytes([byte]))
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == SMALL


@EVERY
def test_cut_at_every_byte(wire: Wire, s3: S3Client, bucket: str, framing: Framing) -> None:
    made = upload(wire, f"/{bucket}/key", cut(SMALL, 7), framing, crc(SMALL))
    for length in range(len(made.body)):
        again = upload(
            wire, f"/{bucket}/key", cut(SMALL, 7), framing, {**crc(SMALL)}, headers={"x-amz-meta-n": str(length)}
        )
        answer = send(wire, again, again.body[:length])
        assert answer.status == 400, (length, answer)
        assert answer.code in ("IncompleteBody", "InvalidRequest"), (length, answer)
    assert is_empty(s3, bucket)


@EVERY
def test_broken_off_between_and_within_chunks(wire: Wire, s3: S3Client, bucket: str, framing: Framing) -> None:
    made = upload(wire, f"/{bucket}/key", cut(SMALL, 7), framing, crc(SMALL))
    places = sorted({0, 1, len(made.body) - 1, *(at + by for at in made.boundaries for by in (-2, -1, 0, 1))})
    for place in (place for place in places if place < len(made.body)):
        try:
            answer = break_off(wire, made, place)
        except ConnectionError:
            continue
        assert answer.status == 400, (place, answer)
    assert is_empty(s3, bucket)


@pytest.mark.parametrize("framing", [Framing.SIGNED, Framing.SIGNED_TRAILER])
@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_corrupted_signature_of_a_chunk(wire: Wire, s3: S3Client, bucket: str, framing: Framing, index: int) -> None:
    made = upload(wire, f"/{bucket}/key", cut(DATA, 70_000), framing, crc(DATA))
    line, rest = made.chunks[index].split(b"\r\n", 1)
    made.chunks[index] = line[:-1] + (b"0" if line[-1:] != b"0" else b"1") + b"\r\n" + rest
    check_refused(send(wire, made), "SignatureDoesNotMatch", 403)
    assert is_empty(s3, bucket)


@pytest.mark.parametrize("framing", [Framing.SIGNED, Framing.SIGNED_TRAILER])
def test_corrupted_data_under_a_signature(wire: Wire, s3: S3Client, bucket: str, framing: Framing) -> None:
    made = upload(wire, f"/{bucket}/key", cut(DATA, 70_000), framing, crc(DATA))
    chunk = bytearray(made.chunks[1])
    chunk[500] ^= 1
    made.chunks[1] = bytes(chunk)
    check_refused(send(wire, made), "SignatureDoesNotMatch", 403)
    assert is_empty(s3, bucket)


@pytest.mark.parametrize("framing", [Framing.SIGNED, Framing.SIGNED_TRAILER])
def test_chunks_in_another_order(wire: Wire, s3: S3Client, bucket: str, framing: Framing) -> None:
    made = upload(wire, f"/{bucket}/key", [b"a" * 100, b"b" * 100], framing, crc(b"a" * 100 + b"b" * 100))
    made.chunks[:2] = made.chunks[1::-1]
    check_refused(send(wire, made), "SignatureDoesNotMatch", 403)
    assert is_empty(s3, bucket)


def test_a_corrupted_trailer_signature(wire: Wire, s3: S3Client, bucket: str) -> None:
    made = upload(wire, f"/{bucket}/key", [SMALL], Framing.SIGNED_TRAILER, crc(SMALL))
    wrong = made.tail.replace(b"trailer-signature:", b"trailer-signature:0")
    check_refused(send(wire, replace(made, tail=wrong)), "SignatureDoesNotMatch", 403)
    made = upload(wire, f"/{bucket}/key2", [SMALL], Framing.SIGNED_TRAILER, crc(SMALL))
    without = made.tail[: made.tail.index(b"x-amz-trailer-signature")] + b"\r\n"
    answer = send(wire, replace(made, tail=without))
    assert answer.status in (400, 403), answer
    made = upload(wire, f"/{bucket}/key3", [SMALL], Framing.SIGNED_TRAILER, crc(SMALL))
    other = made.tail.replace(checksum("crc32", SMALL).encode(), checksum("crc32", b"other").encode())
    check_refused(send(wire, replace(made, tail=other)), "SignatureDoesNotMatch", 403)
    assert is_empty(s3, bucket)


@pytest.mark.parametrize("framing", [Framing.UNSIGNED_TRAILER, Framing.SIGNED_TRAILER])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_wrong_checksum(wire: Wire, s3: S3Client, bucket: str, framing: Framing, algorithm: str) -> None:
    trailers = {f"x-amz-checksum-{algorithm}": checksum(algorithm, b"other")}
    check_refused(send(wire, upload(wire, f"/{bucket}/key", [DATA], framing, trailers)), "BadDigest", 400)
    assert is_empty(s3, bucket)
    trailers = {f"x-amz-checksum-{algorithm}": checksum(algorithm, DATA)}
    assert send(wire, upload(wire, f"/{bucket}/key", [DATA], framing, trailers)).status == 200


def _no_size(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"\r\n", 1)


def _size_no_number(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"zz\r\n", 1)


def _size_in_python(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"0x10\r\n", 1)


def _size_negative(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"-10\r\n", 1)


def _size_too_small(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"f\r\n", 1)


def _size_too_large(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"11\r\n", 1)


def _size_enormous(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"ffffffffffffffff\r\n", 1)


def _size_of_many_digits(made: Upload) -> bytes:
    return made.body.replace(b"10\r\n", b"0" * 1000 + b"10\r\n", 1)


def _line_without_end(made: Upload) -> bytes:
    return b"1" * 5000


def _no_line_end_after_data(made: Upload) -> bytes:
    return made.body.replace(SMALL + b"\r\n", SMALL, 1)


def _plain(made: Upload) -> bytes:
    return SMALL


def _more_at_the_end(made: Upload) -> bytes:
    return made.body + b"more"


def _another_chunk(made: Upload) -> bytes:
    return made.body.replace(b"0\r\n", b"1\r\nx\r\n0\r\n", 1)


def _no_last_chunk(made: Upload) -> bytes:
    return made.body.replace(b"\r\n0\r\n", b"\r\n", 1)


def _trailer_missing(made: Upload) -> bytes:
    return made.body[: made.body.index(b"x-amz-checksum")] + b"\r\n"


def _trailer_twice(made: Upload) -> bytes:
    return made.chunks[0] + made.chunks[1] + made.tail[:-2] + made.tail


def _trailer_without_colon(made: Upload) -> bytes:
    return made.body.replace(b"crc32:", b"crc32 ", 1)


def _trailer_not_ascii(made: Upload) -> bytes:
    return made.body.replace(b"crc32:", b"crc32:\xff", 1)


def _trailers_too_long(made: Upload) -> bytes:
    return made.body[:-2] + b"".join(b"x-%d:%s\r\n" % (n, b"y" * 100) for n in range(300)) + b"\r\n"


@pytest.mark.parametrize(
    "spoil",
    [
        _no_size,
        _size_no_number,
        _size_in_python,
        _size_negative,
        _size_too_small,
        _size_too_large,
        _size_enormous,
        _size_of_many_digits,
        _line_without_end,
        _no_line_end_after_data,
        _plain,
        _more_at_the_end,
        _another_chunk,
        _no_last_chunk,
        _trailer_missing,
        _trailer_twice,
        _trailer_without_colon,
        _trailer_not_ascii,
        _trailers_too_long,
    ],
)
def test_framing_that_is_wrong(wire: Wire, s3: S3Client, bucket: str, spoil: object) -> None:
    assert callable(spoil)
    made = upload(wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL))
    body = spoil(made)
    assert body != made.body
    answer = send(wire, made, body)
    assert answer.status == 400, answer
    check_refused(answer, answer.code or "", 400)
    assert answer.code in ("InvalidRequest", "IncompleteBody")
    assert is_empty(s3, bucket)


def test_a_length_that_is_wrong(wire: Wire, s3: S3Client, bucket: str) -> None:
    for length, codes in ((15, {"InvalidRequest"}), (17, {"IncompleteBody"}), (0, {"InvalidRequest"})):
        headers = {"x-amz-decoded-content-length": str(length)}
        made = upload(wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL), headers=headers)
        answer = send(wire, made)
        assert answer.status == 400
        assert answer.code in codes, (length, answer)
    for text in ("x", "-1", "1e3", "9" * 30):
        headers = {"x-amz-decoded-content-length": text}
        made = upload(wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL), headers=headers)
        check_refused(send(wire, made), "InvalidArgument", 400)
    made = upload(wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL))
    head = wire.head("PUT", f"/{bucket}/key", headers={"content-encoding": "aws-chunked"}, payload=Framing.SIGNED.value)
    answer = send(wire, replace(made, headers=head.headers))
    check_refused(answer, "MissingContentLength", 411)
    assert is_empty(s3, bucket)


def test_schemes_that_are_not_there(wire: Wire, bucket: str) -> None:
    for payload, code, status in (
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "NotImplemented", 501),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", "NotImplemented", 501),
        ("STREAMING-SOMETHING", "InvalidRequest", 400),
    ):
        check_refused(wire.request("PUT", f"/{bucket}/key", body=b"x", payload=payload), code, status)


def test_line_ends_of_trailers_may_be_short(wire: Wire, s3: S3Client, bucket: str) -> None:
    made = upload(wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL))
    short = replace(made, tail=made.tail.replace(b"\r\n", b"\n", 1))
    assert send(wire, short).status == 200
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == SMALL


def test_other_encodings_stay(wire: Wire, s3: S3Client, bucket: str) -> None:
    for given, kept in (("gzip,aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip"), ("AWS-Chunked", None)):
        made = upload(
            wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL), headers={"content-encoding": given}
        )
        assert send(wire, made).status == 200
        assert s3.head_object(Bucket=bucket, Key="key").get("ContentEncoding") == kept


def test_the_digest_alone_announces_the_framing(wire: Wire, s3: S3Client, bucket: str) -> None:
    headers = {"x-amz-decoded-content-length": "16"}
    made = upload(wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, {}, headers=headers)
    head = wire.head("PUT", f"/{bucket}/key", headers=headers, payload=Framing.UNSIGNED_TRAILER.value)
    assert send(wire, replace(made, headers=head.headers)).status == 200
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == SMALL


@EVERY
def test_parts(wire: Wire, s3: S3Client, bucket: str, framing: Framing) -> None:
    identity = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    query = f"partNumber=1&uploadId={identity}"
    bad = upload(wire, f"/{bucket}/key", [DATA], framing, crc(DATA), query=query)
    assert send(wire, bad, bad.body[:-3]).status == 400
    assert lacks(s3.list_parts(Bucket=bucket, Key="key", UploadId=identity), "Parts")
    answer = send(wire, upload(wire, f"/{bucket}/key", cut(DATA, 9999), framing, crc(DATA), query=query))
    assert answer.status == 200, answer
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="key",
        UploadId=identity,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": answer.headers["etag"]}]},
    )
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == DATA


@EVERY
def test_documents(wire: Wire, s3: S3Client, bucket: str, framing: Framing) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    document = b"<Delete><Object><Key>key</Key></Object></Delete>"
    wrong = upload(wire, f"/{bucket}", [document], framing, crc(document), query="delete", method="POST")
    assert send(wire, wrong, wrong.body[:-3]).status == 400
    assert not is_empty(s3, bucket)
    made = upload(wire, f"/{bucket}", cut(document, 10), framing, crc(document), query="delete", method="POST")
    assert send(wire, made).status == 200
    assert is_empty(s3, bucket)


def test_a_presigned_put(wire: Wire, s3: S3Client, bucket: str) -> None:
    made = upload(wire, f"/{bucket}/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL))
    described = {
        name: made.headers[name] for name in ("content-encoding", "x-amz-decoded-content-length", "x-amz-trailer")
    }
    headers = {**described, "x-amz-content-sha256": Framing.UNSIGNED_TRAILER.value}
    assert wire.plain("PUT", wire.presign("PUT", f"/{bucket}/key"), headers, made.body).status == 200
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == SMALL
    check_refused(wire.plain("PUT", wire.presign("PUT", f"/{bucket}/key2"), headers, b"plain"), "IncompleteBody", 400)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key2")


def test_an_open_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody's signatures are looked at, framing and checksums are."""
    with Server(tmp_path_factory.mktemp("open"), open_access=True, max_object_size=len(SMALL)) as server:
        wire = Wire(server)
        wire.plain("PUT", "/bucket")
        for framing in Framing:
            assert send(wire, upload(wire, "/bucket/key", [SMALL], framing, crc(SMALL))).status == 200
            assert wire.plain("GET", "/bucket/key").body == SMALL
            over = upload(wire, "/bucket/over", [SMALL, b"x"], framing, crc(SMALL + b"x"))
            check_refused(send(wire, over), "EntityTooLarge", 400)
        unsigned = {
            "x-amz-content-sha256": Framing.UNSIGNED_TRAILER.value,
            "x-amz-decoded-content-length": str(len(SMALL)),
            "x-amz-trailer": "x-amz-checksum-crc32",
        }
        body = upload(wire, "/bucket/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(SMALL)).body
        assert wire.plain("PUT", "/bucket/plain", unsigned, body).status == 200
        body = upload(wire, "/bucket/key", [SMALL], Framing.UNSIGNED_TRAILER, crc(b"other")).body
        check_refused(wire.plain("PUT", "/bucket/wrong", unsigned, body), "BadDigest", 400)
        assert wire.plain("GET", "/bucket/wrong").status == 404
