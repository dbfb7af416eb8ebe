"""Parts of objects: ranges, part numbers, and headers that the request chooses."""

import random
from io import BytesIO

import pytest
from boto3.s3.transfer import TransferConfig
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused, refused
from tests.integration.wire import Wire

SIZE = 1_000_003
DATA = random.Random(7).randbytes(SIZE)


@pytest.fixture(params=["plain", "delta"])
def key(request: pytest.FixtureRequest, s3: S3Client, bucket: str) -> str:
    """An object with the bytes of DATA, stored as it is or as a delta."""
    if request.param == "plain":
        s3.put_object(Bucket=bucket, Key="obj-2", Body=DATA)
        return "obj-2"
    for number, data in enumerate((DATA[:500_000] + b"insert" + DATA[500_000:], DATA, DATA)):
        s3.put_object(Bucket=bucket, Key=f"obj-{number}", Body=data)
    headers = s3.head_object(Bucket=bucket, Key="obj-2")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-storage-type"] == "delta"
    return "obj-2"


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-", 0, SIZE),
    ("bytes=5-9", 5, 10),
    ("bytes=499990-500010", 499_990, 500_011),
    ("bytes=-1", SIZE - 1, SIZE),
    ("bytes=-500000", SIZE - 500_000, SIZE),
    (f"bytes=-{SIZE * 2}", 0, SIZE),
    (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    (f"bytes=10-{SIZE * 9}", 10, SIZE),
]


def test_ranges(wire: Wire, bucket: str, key: str) -> None:
    for header, start, stop in RANGES:
        answer = wire.request("GET", f"/{bucket}/{key}", headers={"range": header})
        assert answer.status == 206, header
        assert answer.body == DATA[start:stop], header
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert answer.headers["accept-ranges"] == "bytes"
        head = wire.request("HEAD", f"/{bucket}/{key}", headers={"range": header})
        assert (head.status, head.headers["content-range"]) == (206, answer.headers["content-range"])
        assert head.headers["content-length"] == str(stop - start)


def test_what_is_no_single_range_is_ignored(wire: Wire, bucket: str, key: str) -> None:
    for header in ("bytes=0-1,5-6", "bytes=9-5", "bytes=", "bytes=-", "bytes=a-b", "items=0-5", "0-5", "bytes=0-1, 2"):
        answer = wire.request("GET", f"/{bucket}/{key}", headers={"range": header})
        assert (answer.status, answer.body == DATA) == (200, True), header
        assert "content-range" not in answer.headers


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0", f"bytes={10**18}-"])
def test_behind_the_end(wire: Wire, bucket: str, key: str, header: str) -> None:
    answer = wire.request("GET", f"/{bucket}/{key}", headers={"range": header})
    check_refused(answer, "InvalidRange", 416)
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert answer.element("ActualObjectSize") == str(SIZE)
    assert answer.element("RangeRequested") == header


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
def test_nothing_has_no_ranges(wire: Wire, s3: S3Client, bucket: str, header: str) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    answer = wire.request("GET", f"/{bucket}/empty", headers={"range": header})
    check_refused(answer, "InvalidRange", 416)
    assert answer.headers["content-range"] == "bytes */0"


def test_if_range(wire: Wire, bucket: str, key: str) -> None:
    head = wire.request("HEAD", f"/{bucket}/{key}")
    for condition, status in (
        (head.headers["etag"], 206),
        (head.headers["last-modified"], 206),
        ('"other"', 200),
        (f"W/{head.headers['etag']}", 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
    ):
        answer = wire.request("GET", f"/{bucket}/{key}", headers={"range": "bytes=1-2", "if-range": condition})
        assert answer.status == status, condition
        assert answer.body == (DATA[1:3] if status == 206 else DATA)


def test_part_numbers(s3: S3Client, wire: Wire, bucket: str) -> None:
    data = random.Random(8).randbytes(12 << 20)
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(BytesIO(data), bucket, "parts", Config=config)
    bounds = [(0, 5 << 20), (5 << 20, 10 << 20), (10 << 20, 12 << 20)]
    for number, (start, stop) in enumerate(bounds, start=1):
        found = s3.get_object(Bucket=bucket, Key="parts", PartNumber=number)
        assert found["Body"].read() == data[start:stop]
        assert found["PartsCount"] == 3
        assert found["ContentRange"] == f"bytes {start}-{stop - 1}/{len(data)}"
        head = s3.head_object(Bucket=bucket, Key="parts", PartNumber=number)
        assert (head["ContentLength"], head["PartsCount"]) == (stop - start, 3)
    check_refused(wire.request("GET", f"/{bucket}/parts", "partNumber=4"), "InvalidPartNumber", 416)
    check_refused(wire.request("GET", f"/{bucket}/parts", "partNumber=0"), "InvalidArgument", 400)
    check_refused(wire.request("GET", f"/{bucket}/parts", "partNumber=x"), "InvalidArgument", 400)
    both = wire.request("GET", f"/{bucket}/parts", "partNumber=1", {"range": "bytes=0-1"})
    check_refused(both, "InvalidRequest", 400)


def test_an_object_of_one_piece_is_its_own_first_part(s3: S3Client, wire: Wire, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=DATA)
    answer = wire.request("GET", f"/{bucket}/key", "partNumber=1")
    assert (answer.status, answer.body == DATA) == (206, True)
    assert "x-amz-mp-parts-count" not in answer.headers
    check_refused(wire.request("GET", f"/{bucket}/key", "partNumber=2"), "InvalidPartNumber", 416)


def test_the_first_part_of_nothing(s3: S3Client, wire: Wire, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    answer = wire.request("GET", f"/{bucket}/empty", "partNumber=1")
    assert (answer.status, answer.body) == (200, b"")
    assert "content-range" not in answer.headers


def test_response_headers_that_the_request_chooses(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello", ContentType="text/plain", CacheControl="no-store")
    for call in (s3.get_object, s3.head_object):
        found = call(
            Bucket=bucket,
            Key="key",
            ResponseContentType="text/html",
            ResponseCacheControl="max-age=1",
            ResponseContentDisposition='attachment; filename="x.html"',
            ResponseContentEncoding="identity",
            ResponseContentLanguage="fr",
            ResponseExpires="Wed, 21 Oct 2026 07:28:00 GMT",
        )
        headers = found["ResponseMetadata"]["HTTPHeaders"]
        assert headers["content-type"] == "text/html"
        assert headers["cache-control"] == "max-age=1"
        assert headers["content-disposition"] == 'attachment; filename="x.html"'
        assert headers["content-encoding"] == "identity"
        assert headers["content-language"] == "fr"
        assert headers["expires"] == "Wed, 21 Oct 2026 07:28:00 GMT"


def test_response_headers_cannot_be_split(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello")
    with refused("InvalidArgument", 400):
        s3.get_object(Bucket=bucket, Key="key", ResponseContentType="text/html\r\nset-cookie: a=b")


def test_response_headers_need_a_signature(wire: Wire, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello")
    check_refused(wire.plain("GET", f"/{bucket}/key?response-content-type=text/html"), "AccessDenied", 403)
