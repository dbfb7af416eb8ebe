import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable

import awscrt.checksums
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.engine.model import ChecksumAlgorithm
from deltaglider_proxy.s3.protocol.checksums import (
    SIZES,
    Checked,
    UploadChecksum,
    WholeChecksum,
    check_object_size,
    composite_checksum,
    is_checksum,
    parse_algorithm,
    parse_expected,
    parse_upload_checksum,
    parse_whole_checksum,
)
from deltaglider_proxy.s3.protocol.crc_combine import combine_crcs
from deltaglider_proxy.s3.protocol.errors import Code, S3Error

BODY = b"123456789"


def crc32c(data: bytes) -> int:
    return int(awscrt.checksums.crc32c(data))


def crc64nvme(data: bytes) -> int:
    return int(awscrt.checksums.crc64nvme(data))


DIGESTS = {
    "md5": hashlib.md5(BODY).digest(),
    "sha256": hashlib.sha256(BODY).digest(),
    "sha1": hashlib.sha1(BODY).digest(),
    "crc32": zlib.crc32(BODY).to_bytes(4, "big"),
    "crc32c": crc32c(BODY).to_bytes(4, "big"),
    "crc64nvme": crc64nvme(BODY).to_bytes(8, "big"),
}
CRCS: dict[str, tuple[Callable[[bytes], int], int]] = {
    "crc32": (zlib.crc32, 4),
    "crc32c": (crc32c, 4),
    "crc64nvme": (crc64nvme, 8),
}
ALGORITHMS = sorted(SIZES)


def b64(data: bytes) -> bytes:
    return b64encode(data)


def test_algorithms_are_those_of_the_engine() -> None:
    assert set(SIZES) == {algorithm.value for algorithm in ChecksumAlgorithm}
    assert {name.lower(): size for name, size in SIZES.items()} == {
        name: len(digest) for name, digest in DIGESTS.items() if name != "md5"
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_in_a_header(algorithm: str) -> None:
    name = f"x-amz-checksum-{algorithm.lower()}".encode()
    value = b64(DIGESTS[algorithm.lower()])
    expected = parse_expected({name: value, b"x-amz-sdk-checksum-algorithm": algorithm.encode()})
    assert expected.digests == {algorithm.lower()}
    assert expected.verify(DIGESTS, {}) == Checked(algorithm, value.decode())
    wrong = {**DIGESTS, algorithm.lower(): bytes(SIZES[algorithm])}
    with pytest.raises(S3Error) as caught:
        expected.verify(wrong, {})
    assert caught.value.code is Code.BadDigest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_in_a_trailer(algorithm: str) -> None:
    name = f"x-amz-checksum-{algorithm.lower()}"
    value = b64(DIGESTS[algorithm.lower()]).decode()
    expected = parse_expected({b"x-amz-trailer": name.encode()})
    assert expected.digests == {algorithm.lower()}
    assert expected.verify(DIGESTS, {name: value}) == Checked(algorithm, value)
    for trailers, code in (
        ({name: b64(bytes(SIZES[algorithm])).decode()}, Code.BadDigest),
        ({name: "no base64!"}, Code.InvalidRequest),
        ({name: "ä"}, Code.InvalidRequest),
        ({}, Code.InvalidRequest),
    ):
        with pytest.raises(S3Error) as caught:
            expected.verify(DIGESTS, trailers)
        assert caught.value.code is code


def test_content_md5() -> None:
    expected = parse_expected({b"content-md5": b64(DIGESTS["md5"])})
    assert expected.digests == frozenset()
    assert expected.verify(DIGESTS, {}) is None
    with pytest.raises(S3Error) as caught:
        expected.verify({"md5": bytes(16)}, {})
    assert caught.value.code is Code.BadDigest
    assert caught.value.fields["CalculatedDigest"] == b64(bytes(16)).decode()


def test_payload_hash() -> None:
    expected = parse_expected({b"x-amz-content-sha256": DIGESTS["sha256"].hex().encode()})
    assert expected.digests == {"sha256"}
    assert expected.verify(DIGESTS, {}) is None
    with pytest.raises(S3Error) as caught:
        expected.verify({"sha256": bytes(32), "md5": b""}, {})
    assert caught.value.code is Code.XAmzContentSHA256Mismatch


@pytest.mark.parametrize(
    "payload", [b"UNSIGNED-PAYLOAD", b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"]
)
def test_nothing_expected(payload: bytes) -> None:
    expected = parse_expected({b"x-amz-content-sha256": payload})
    assert expected.digests == frozenset()
    assert expected.verify({}, {}) is None


CRC = b64(DIGESTS["crc32"])


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({b"content-md5": b"AAAA"}, Code.InvalidDigest),
        ({b"content-md5": b"not base64"}, Code.InvalidDigest),
        ({b"content-md5": b""}, Code.InvalidDigest),
        ({b"x-amz-content-sha256": b"abc"}, Code.InvalidRequest),
        ({b"x-amz-content-sha256": b"g" * 64}, Code.InvalidRequest),
        ({b"x-amz-checksum-crc32": b"AAAA"}, Code.InvalidRequest),
        ({b"x-amz-checksum-crc32": b"\xff"}, Code.InvalidRequest),
        ({b"x-amz-checksum-crc32": CRC, b"x-amz-checksum-crc32c": CRC}, Code.InvalidRequest),
        ({b"x-amz-checksum-crc32": CRC, b"x-amz-trailer": b"x-amz-checksum-crc32"}, Code.InvalidRequest),
        ({b"x-amz-trailer": b"x-amz-checksum-crc32, x-amz-checksum-sha1"}, Code.InvalidRequest),
        ({b"x-amz-sdk-checksum-algorithm": b"CRC32"}, Code.InvalidRequest),
        ({b"x-amz-sdk-checksum-algorithm": b"SHA1", b"x-amz-checksum-crc32": CRC}, Code.InvalidRequest),
        ({b"x-amz-checksum-xxhash64": CRC}, Code.NotImplemented),
        ({b"x-amz-trailer": b"x-amz-checksum-sha512"}, Code.NotImplemented),
    ],
)
def test_refused(headers: dict[bytes, bytes], code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        parse_expected(headers)
    assert caught.value.code is code


def test_options_are_no_values() -> None:
    headers = {b"x-amz-checksum-mode": b"ENABLED", b"x-amz-checksum-algorithm": b"CRC32"}
    assert parse_expected(headers).algorithm is None


@pytest.mark.parametrize(
    ("algorithm", "kind", "expected"),
    [
        (None, None, None),
        (b"CRC32", None, ("CRC32", "COMPOSITE")),
        (b"crc32c", b"FULL_OBJECT", ("CRC32C", "FULL_OBJECT")),
        (b"CRC64NVME", None, ("CRC64NVME", "FULL_OBJECT")),
        (b"SHA256", b"COMPOSITE", ("SHA256", "COMPOSITE")),
        (b"SHA256", b"FULL_OBJECT", Code.InvalidRequest),
        (b"CRC64NVME", b"COMPOSITE", Code.InvalidRequest),
        (b"CRC32", b"HALF", Code.InvalidRequest),
        (None, b"COMPOSITE", Code.InvalidRequest),
        (None, b"HALF", Code.InvalidRequest),
        (b"MD5", None, Code.NotImplemented),
    ],
)
def test_upload_checksum(algorithm: bytes | None, kind: bytes | None, expected: tuple[str, str] | Code | None) -> None:
    headers = {}
    if algorithm is not None:
        headers[b"x-amz-checksum-algorithm"] = algorithm
    if kind is not None:
        headers[b"x-amz-checksum-type"] = kind
    if isinstance(expected, Code):
        with pytest.raises(S3Error) as caught:
            parse_upload_checksum(headers)
        assert caught.value.code is expected
    else:
        assert parse_upload_checksum(headers) == (UploadChecksum(*expected) if expected is not None else None)


COMPOSITE = UploadChecksum("CRC32", "COMPOSITE")
FULL = UploadChecksum("CRC32", "FULL_OBJECT")


@pytest.mark.parametrize("upload", [None, COMPOSITE, FULL])
def test_a_part_with_the_checksum_of_its_upload(upload: UploadChecksum | None) -> None:
    sent = parse_expected({b"x-amz-checksum-crc32": CRC})
    assert sent.of_part(upload) == sent
    trailing = parse_expected({b"x-amz-trailer": b"x-amz-checksum-crc32"})
    assert trailing.of_part(upload) == trailing


def test_the_checksum_that_nobody_sent_is_computed() -> None:
    expected = parse_expected({b"content-md5": b64(DIGESTS["md5"])}).of_part(FULL)
    assert expected.digests == {"crc32"}
    assert expected.claimed is None
    assert expected.verify(DIGESTS, {}) == Checked("CRC32", CRC.decode())
    with pytest.raises(S3Error):
        expected.verify({**DIGESTS, "md5": bytes(16)}, {})


@pytest.mark.parametrize(
    ("headers", "upload", "actual"),
    [
        ({}, COMPOSITE, "null"),
        ({b"x-amz-checksum-sha256": b64(DIGESTS["sha256"])}, COMPOSITE, "sha256"),
        ({b"x-amz-checksum-sha256": b64(DIGESTS["sha256"])}, FULL, "sha256"),
        ({b"x-amz-trailer": b"x-amz-checksum-crc64nvme"}, FULL, "crc64nvme"),
    ],
)
def test_a_part_with_another_checksum(headers: dict[bytes, bytes], upload: UploadChecksum, actual: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_expected(headers).of_part(upload)
    assert caught.value.code is Code.InvalidRequest
    assert caught.value.message == (
        f"Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: {actual}"
    )


@pytest.mark.parametrize(
    ("value", "parts"), [(CRC, None), (CRC + b"-1", 1), (CRC + b"-10000", 10_000), (CRC + b"-0", 0)]
)
def test_checksum_of_the_whole(value: bytes, parts: int | None) -> None:
    headers = {b"x-amz-checksum-crc32": value, b"x-amz-checksum-type": b"COMPOSITE"}
    assert parse_whole_checksum(headers) == WholeChecksum("CRC32", CRC.decode(), parts)
    assert parse_whole_checksum({b"x-amz-checksum-type": b"COMPOSITE"}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {b"x-amz-checksum-crc32": b"AAAA"},
        {b"x-amz-checksum-crc32": CRC + b"-"},
        {b"x-amz-checksum-crc32": CRC + b"-a"},
        {b"x-amz-checksum-crc32": CRC + b"--3"},
        {b"x-amz-checksum-crc32": CRC + b"-10-20"},
        {b"x-amz-checksum-crc32": CRC, b"x-amz-checksum-crc32c": CRC},
    ],
)
def test_no_checksum_of_a_whole(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(S3Error) as caught:
        parse_whole_checksum(headers)
    assert caught.value.code is Code.InvalidRequest


@given(st.sampled_from(ALGORITHMS), st.binary(max_size=40))
def test_what_is_a_checksum(algorithm: str, data: bytes) -> None:
    assert is_checksum(algorithm, b64(data).decode()) is (len(data) == SIZES[algorithm])


@pytest.mark.parametrize("said", [b"6", b"05", b"-5", b"", b"5 ", b"five", b"\xb2"])
def test_another_size_of_the_object(said: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        check_object_size({b"x-amz-mp-object-size": said}, 5)
    assert caught.value.code is Code.InvalidRequest


def test_the_size_of_the_object() -> None:
    check_object_size({b"x-amz-mp-object-size": b"5"}, 5)
    check_object_size({}, 5)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite(algorithm: str) -> None:
    parts = [b64(bytes([n]) * SIZES[algorithm]).decode() for n in range(3)]
    joined = b"".join(bytes([n]) * SIZES[algorithm] for n in range(3))
    digest = {
        "CRC32": zlib.crc32(joined).to_bytes(4, "big"),
        "CRC32C": crc32c(joined).to_bytes(4, "big"),
        "SHA1": hashlib.sha1(joined).digest(),
        "SHA256": hashlib.sha256(joined).digest(),
    }[algorithm]
    assert composite_checksum(algorithm, parts) == b64(digest).decode() + "-3"


def test_no_composite_of_a_full_checksum() -> None:
    with pytest.raises(ValueError, match="CRC64NVME"):
        composite_checksum("CRC64NVME", [])


@pytest.mark.parametrize("name", sorted(CRCS))
@given(parts=st.lists(st.binary(max_size=300), max_size=8))
def test_combined_crcs_are_those_of_the_whole(name: str, parts: list[bytes]) -> None:
    crc, size = CRCS[name]
    digests = [(crc(part).to_bytes(size, "big"), len(part)) for part in parts]
    assert combine_crcs(name, digests) == crc(b"".join(parts)).to_bytes(size, "big")


@pytest.mark.parametrize("name", sorted(CRCS))
def test_combined_crcs_of_large_parts(name: str) -> None:
    crc, size = CRCS[name]
    part = bytes(1 << 20)
    digest = crc(part).to_bytes(size, "big")
    assert combine_crcs(name, [(digest, len(part))] * 7) == crc(part * 7).to_bytes(size, "big")


def test_published_check_values() -> None:
    assert DIGESTS["crc32c"].hex() == "e3069283"
    assert DIGESTS["crc64nvme"].hex() == "ae8b14860a799888"
    split = [(crc64nvme(part).to_bytes(8, "big"), len(part)) for part in (BODY[:4], BODY[4:])]
    assert combine_crcs("crc64nvme", split) == DIGESTS["crc64nvme"]


def test_names_of_algorithms() -> None:
    assert parse_algorithm("crc32c") == parse_algorithm("CRC32C") == "CRC32C"
    with pytest.raises(S3Error) as caught:
        parse_algorithm("md4")
    assert caught.value.code is Code.NotImplemented
