"""Digests that clients send are verified before anything is stored, kept, and returned to those who ask."""

import hashlib

import pytest
from mypy_boto3_s3 import S3Client

from tests.integration.digests import ALGORITHMS, checksum
from tests.integration.expect import check_refused, lacks, refused
from tests.integration.wire import UNSIGNED, Answer, Wire, md5_base64

DATA = bytes(range(256)) * 300


def framed(data: bytes, trailer: str) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n0\r\n" + f"{trailer}\r\n\r\n".encode()


def trailer_headers(algorithm: str, size: int) -> dict[str, str]:
    return {
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(size),
        "x-amz-trailer": f"x-amz-checksum-{algorithm}",
    }


def is_absent(s3: S3Client, bucket: str) -> bool:
    return s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def check_kept(wire: Wire, bucket: str, algorithm: str) -> None:
    name = f"x-amz-checksum-{algorithm}"
    found = wire.request("HEAD", f"/{bucket}/key", headers={"x-amz-checksum-mode": "ENABLED"})
    assert found.headers[name] == checksum(algorithm, DATA)
    assert found.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    whole = wire.request("GET", f"/{bucket}/key", headers={"x-amz-checksum-mode": "ENABLED"})
    assert whole.body == DATA
    assert whole.headers[name] == checksum(algorithm, DATA)
    silent = wire.request("HEAD", f"/{bucket}/key")
    assert name not in silent.headers
    assert silent.headers.get("content-encoding") is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_in_a_header(wire: Wire, s3: S3Client, bucket: str, algorithm: str) -> None:
    name = f"x-amz-checksum-{algorithm}"
    wrong = wire.request("PUT", f"/{bucket}/key", headers={name: checksum(algorithm, b"other")}, body=DATA)
    check_refused(wrong, "BadDigest", 400)
    assert is_absent(s3, bucket)
    right = wire.request("PUT", f"/{bucket}/key", headers={name: checksum(algorithm, DATA)}, body=DATA)
    assert right.status == 200, right
    assert right.headers[name] == checksum(algorithm, DATA)
    check_kept(wire, bucket, algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_in_a_trailer(wire: Wire, s3: S3Client, bucket: str, algorithm: str) -> None:
    def put(value: str) -> Answer:
        return wire.request(
            "PUT",
            f"/{bucket}/key",
            headers=trailer_headers(algorithm, len(DATA)),
            body=framed(DATA, f"x-amz-checksum-{algorithm}:{value}"),
            payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        )

    check_refused(put(checksum(algorithm, b"other")), "BadDigest", 400)
    check_refused(put("no checksum at all"), "InvalidRequest", 400)
    assert is_absent(s3, bucket)
    right = put(checksum(algorithm, DATA))
    assert right.status == 200, right
    check_kept(wire, bucket, algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_by_the_sdk(s3: S3Client, bucket: str, algorithm: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=DATA, ChecksumAlgorithm=algorithm.upper())  # type: ignore[arg-type]  # a literal in the stubs
    found = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert found["Body"].read() == DATA
    assert found["ResponseMetadata"]["HTTPHeaders"][f"x-amz-checksum-{algorithm}"] == checksum(algorithm, DATA)
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert entry["ChecksumAlgorithm"] == [algorithm.upper()]


def test_the_sdk_checks_what_it_reads_of_a_delta(s3: S3Client, bucket: str) -> None:
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=DATA + bytes([number]), ChecksumAlgorithm="CRC32C")
    found = s3.get_object(Bucket=bucket, Key="v2", ChecksumMode="ENABLED")
    assert found["ChecksumCRC32C"] == checksum("crc32c", DATA + b"\2")
    assert found["Body"].read() == DATA + b"\2"


def test_no_checksum_goes_with_a_part_of_the_object(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=DATA, ChecksumAlgorithm="CRC32")
    found = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED", Range="bytes=0-9")
    assert lacks(found, "ChecksumCRC32")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-md5": md5_base64(b"other")}, "BadDigest"),
        ({"content-md5": "bm90IGEgZGlnZXN0"}, "InvalidDigest"),
        ({"content-md5": "%%%"}, "InvalidDigest"),
        ({"content-md5": ""}, "InvalidDigest"),
        ({"x-amz-checksum-crc32": "AAAA"}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "AAAA"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "AAAAAA=="}, "InvalidRequest"),
    ],
)
def test_digests_that_are_wrong_or_no_digests(
    wire: Wire, s3: S3Client, bucket: str, headers: dict[str, str], code: str
) -> None:
    check_refused(wire.request("PUT", f"/{bucket}/key", headers=headers, body=DATA), code, 400)
    assert is_absent(s3, bucket)


def test_content_md5(wire: Wire, bucket: str) -> None:
    answer = wire.request("PUT", f"/{bucket}/key", headers={"content-md5": md5_base64(DATA)}, body=DATA)
    assert answer.status == 200


def test_an_unknown_algorithm_is_not_ignored(wire: Wire, s3: S3Client, bucket: str) -> None:
    answer = wire.request("PUT", f"/{bucket}/key", headers={"x-amz-checksum-md4": "AAAA"}, body=DATA)
    assert answer.status in (400, 501), answer
    assert is_absent(s3, bucket)


def test_the_signed_digest_of_the_payload_is_verified(wire: Wire, s3: S3Client, bucket: str) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    check_refused(wire.request("PUT", f"/{bucket}/key", body=DATA, payload=other), "XAmzContentSHA256Mismatch", 400)
    check_refused(wire.request("PUT", f"/{bucket}/key", body=DATA, payload="nonsense"), "InvalidRequest", 400)
    assert is_absent(s3, bucket)
    assert wire.request("PUT", f"/{bucket}/key", body=DATA, payload=UNSIGNED).status == 200


def test_small_documents_are_verified_too(wire: Wire, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    document = b"<Delete><Object><Key>key</Key></Object></Delete>"
    for headers in ({"content-md5": md5_base64(b"other")}, {"x-amz-checksum-crc32": checksum("crc32", b"other")}):
        check_refused(wire.request("POST", f"/{bucket}", "delete", headers, document), "BadDigest", 400)
    other = hashlib.sha256(b"other").hexdigest()
    check_refused(
        wire.request("POST", f"/{bucket}", "delete", {}, document, payload=other), "XAmzContentSHA256Mismatch", 400
    )
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
