"""Quotas as clients meet them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.integration.expect import refused
from tests.support.server import Server

_STORAGE = """\
  filesystem: {root}/data
  buckets:
    small: {{quota_bytes: 1000}}
    frozen: {{quota_bytes: 0}}"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("quotas"), workers=2, storage=_STORAGE) as running:
        yield running


@pytest.fixture
def s3(limited: Server) -> S3Client:
    return limited.client()


def test_workers_never_let_in_more_than_fits(limited: Server) -> None:
    def attempt(number: int) -> str:
        try:
            limited.client().put_object(Bucket="small", Key=f"key-{number}", Body=bytes(90))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "stored"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(40)))
    assert outcomes.count("stored") == 11
    assert outcomes.count("QuotaExceeded") == 29
    assert limited.stats("small")["total_original_size"] == 990


def test_frozen(s3: S3Client) -> None:
    with refused("QuotaExceeded", 403):
        s3.put_object(Bucket="frozen", Key="key", Body=b"")
    upload = s3.create_multipart_upload(Bucket="frozen", Key="key")["UploadId"]
    s3.upload_part(Bucket="frozen", Key="key", UploadId=upload, PartNumber=1, Body=b"part")
    s3.abort_multipart_upload(Bucket="frozen", Key="key", UploadId=upload)
    assert s3.list_objects_v2(Bucket="frozen")["KeyCount"] == 0
    s3.delete_object(Bucket="frozen", Key="key")
