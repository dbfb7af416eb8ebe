"""Conditional requests: what caches ask, and what writers rely on."""

import concurrent.futures
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedMultipartUploadTypeDef

from tests.integration.expect import check_refused, refused
from tests.integration.wire import Wire
from tests.support.server import Server


@pytest.fixture
def etag(s3: S3Client, bucket: str) -> str:
    return s3.put_object(Bucket=bucket, Key="key", Body=b"hello", CacheControl="max-age=5")["ETag"]


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_not_modified_carries_what_caches_need(wire: Wire, bucket: str, etag: str, method: str) -> None:
    modified = wire.request("HEAD", f"/{bucket}/key").headers["last-modified"]
    for headers in (
        {"if-none-match": etag},
        {"if-none-match": f'"other", {etag}'},
        {"if-none-match": f"W/{etag}"},
        {"if-none-match": etag.strip('"')},
        {"if-none-match": "*"},
        {"if-modified-since": modified},
        {"if-none-match": etag, "if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ):
        answer = wire.request(method, f"/{bucket}/key", headers=headers)
        assert (answer.status, answer.body) == (304, b""), headers
        assert answer.headers["etag"] == etag
        assert answer.headers["last-modified"] == modified
        assert answer.headers["cache-control"] == "max-age=5"
        assert answer.headers["x-amz-request-id"]
        assert "content-length" not in answer.headers


def test_a_304_leaves_the_connection_usable(s3: S3Client, bucket: str, etag: str) -> None:
    for _ in range(3):
        with refused("304", 304):
            s3.get_object(Bucket=bucket, Key="key", IfNoneMatch=etag)
        assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"hello"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": '"{etag}"'}, 200),
        ({"if-match": "{etag}"}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"x", "{etag}"'}, 200),
        ({"if-match": 'W/"{etag}"'}, 412),
        ({"if-match": '"x"'}, 412),
        ({"if-none-match": '"x"'}, 200),
        ({"if-modified-since": "{before}"}, 200),
        ({"if-modified-since": "{after}"}, 304),
        ({"if-unmodified-since": "{same}"}, 200),
        ({"if-unmodified-since": "{before}"}, 412),
        ({"if-match": '"{etag}"', "if-unmodified-since": "{before}"}, 200),
        ({"if-none-match": '"x"', "if-modified-since": "{after}"}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-unmodified-since": "yesterday"}, 200),
    ],
)
def test_reads(s3: S3Client, wire: Wire, bucket: str, etag: str, headers: dict[str, str], status: int) -> None:
    modified = s3.head_object(Bucket=bucket, Key="key")["LastModified"]
    values = {
        "etag": etag.strip('"'),
        "same": http_date(modified),
        "before": http_date(modified - timedelta(seconds=1)),
        "after": http_date(modified + timedelta(seconds=1)),
    }
    filled = {name: value.format(**values) for name, value in headers.items()}
    answer = wire.request("GET", f"/{bucket}/key", headers=filled)
    assert answer.status == status
    if status == 412:
        check_refused(answer, "PreconditionFailed", 412)


def test_a_read_of_nothing_is_404_whatever_the_condition(s3: S3Client, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none", IfMatch='"x"')
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none", IfNoneMatch="*")


def test_writes(s3: S3Client, bucket: str, etag: str) -> None:
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="key", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="key", Body=b"2", IfMatch='"x"')
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="none", Body=b"2", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"hello"
    second = s3.put_object(Bucket=bucket, Key="key", Body=b"2", IfMatch=etag)["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="key", Body=b"3", IfMatch=etag)
    s3.put_object(Bucket=bucket, Key="fresh", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="key", IfMatch=etag)
    s3.delete_object(Bucket=bucket, Key="key", IfMatch=second)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")


def test_completions(s3: S3Client, bucket: str, etag: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    parts: CompletedMultipartUploadTypeDef = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    with refused("PreconditionFailed", 412):
        s3.complete_multipart_upload(Bucket=bucket, Key="key", UploadId=upload, MultipartUpload=parts, IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"hello"
    s3.complete_multipart_upload(Bucket=bucket, Key="key", UploadId=upload, MultipartUpload=parts, IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"part"


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"DGP_REPLAY_WINDOW_SECS": "0"}
    with Server(tmp_path_factory.mktemp("two"), workers=2, environment=environment) as server:
        yield server


def test_of_a_hundred_that_create_one_wins(two_workers: Server) -> None:
    s3 = two_workers.client()
    s3.create_bucket(Bucket="locks")
    barrier = threading.Barrier(100)
    clients = [two_workers.client() for _ in range(10)]

    def create(number: int) -> int:
        barrier.wait()
        client = clients[number % len(clients)]
        try:
            client.put_object(Bucket="locks", Key="lock", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return status
        winners.append(number)
        return 200

    winners: list[int] = []
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        statuses = list(pool.map(create, range(100)))
    assert sorted(set(statuses)) == [200, 412]
    assert statuses.count(200) == 1
    assert s3.get_object(Bucket="locks", Key="lock")["Body"].read() == str(winners[0]).encode()


def test_a_counter_kept_by_compare_and_swap_counts_everyone(two_workers: Server) -> None:
    s3 = two_workers.client()
    s3.create_bucket(Bucket="counters")
    s3.put_object(Bucket="counters", Key="n", Body=b"0")
    refusals: set[str] = set()

    def increment(client: S3Client) -> bool:
        found = client.get_object(Bucket="counters", Key="n")
        value = int(found["Body"].read()) + 1
        try:
            client.put_object(Bucket="counters", Key="n", Body=str(value).encode(), IfMatch=found["ETag"])
        except ClientError as error:
            refusals.add(error.response["Error"]["Code"])
            return False
        return True

    def count(_: int) -> None:
        client = two_workers.client()
        for _ in range(5):
            while not increment(client):
                pass

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(count, range(6)))
    assert s3.get_object(Bucket="counters", Key="n")["Body"].read() == b"30"
    assert refusals <= {"PreconditionFailed"}
