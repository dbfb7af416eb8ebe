"""boto3 as it comes: default retries, default checksums, its transfer manager and its presigned URLs and forms."""

import urllib.error
import urllib.request
import uuid
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_s3 import S3Client

from tests.conformance.releases import releases
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

pytestmark = pytest.mark.client


def connect(server: Server, config: Config | None = None) -> S3Client:
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=config,
    )
    return client


@pytest.fixture
def plain(server: Server) -> S3Client:
    return connect(server)


@pytest.fixture
def signer(server: Server) -> S3Client:
    """In us-east-1 boto3 signs URLs with version 2 unless it is told not to."""
    return connect(server, Config(signature_version="s3v4"))


def sent(url: str, method: str, data: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}, method=method), timeout=30) as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.timeout(300)
def test_the_transfer_manager_sends_and_fetches_deltas(plain: S3Client, bucket: str, tmp_path: Path) -> None:
    versions = releases(21, 40_000_000, 3)
    for number, data in enumerate(versions):
        (tmp_path / "file").write_bytes(data)
        plain.upload_file(str(tmp_path / "file"), bucket, f"image-1.{number}.raw")
    for number, data in enumerate(versions):
        plain.download_file(bucket, f"image-1.{number}.raw", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == data
    headers = plain.head_object(Bucket=bucket, Key="image-1.2.raw")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-storage-type"] == "delta"
    assert int(headers["x-deltaglider-stored-size"]) < 400_000


def test_files_of_all_sizes_over_one_connection(plain: S3Client, bucket: str, tmp_path: Path) -> None:
    """Empty files included: they are answered without an invitation to send a body."""
    path = tmp_path / "file"
    for number, size in enumerate((300_000, 0, 300_000, 1, 0, 0, 70_000)):
        path.write_bytes(b"x" * size)
        with path.open("rb") as body:
            plain.put_object(Bucket=bucket, Key=f"key-{number}", Body=body)
        assert plain.get_object(Bucket=bucket, Key=f"key-{number}")["Body"].read() == b"x" * size


def test_a_managed_copy_in_parts(plain: S3Client, bucket: str) -> None:
    data = releases(22, 12_000_000, 1)[0]
    plain.put_object(Bucket=bucket, Key="a", Body=data, Metadata={"n": "1"})
    plain.copy({"Bucket": bucket, "Key": "a"}, bucket, "b")
    found = plain.get_object(Bucket=bucket, Key="b")
    assert found["Body"].read() == data
    assert found["Metadata"] == {"n": "1"}


def test_the_checksum_that_it_sends_by_default_comes_back(plain: S3Client, bucket: str) -> None:
    stored = plain.put_object(Bucket=bucket, Key="key", Body=b"hello")
    found = plain.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert found["ChecksumCRC32"] == stored["ChecksumCRC32"]


def test_presigned_urls(signer: S3Client, bucket: str) -> None:
    key = "folder/ünï + %41.bin"
    target = {"Bucket": bucket, "Key": key}
    sent(signer.generate_presigned_url("put_object", Params=target), "PUT", b"hello")
    assert sent(signer.generate_presigned_url("get_object", Params=target), "GET") == b"hello"
    typed = {**target, "ResponseContentType": "text/x-other"}
    with urllib.request.urlopen(signer.generate_presigned_url("get_object", Params=typed), timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/x-other"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        sent(signer.generate_presigned_url("get_object", Params=target) + "&other=1", "GET")
    sent(signer.generate_presigned_url("delete_object", Params=target), "DELETE")
    with pytest.raises(ClientError, match="404"):
        signer.head_object(Bucket=bucket, Key=key)


def test_a_presigned_form(signer: S3Client, bucket: str) -> None:
    form = signer.generate_presigned_post(bucket, "user/${filename}", Conditions=[["content-length-range", 1, 100]])
    boundary = uuid.uuid4().hex
    lines = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    ]
    lines.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n')
    lines.append(f"--{boundary}--\r\n")
    sent(form["url"], "POST", "".join(lines).encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert signer.get_object(Bucket=bucket, Key="user/a.txt")["Body"].read() == b"hello"


def test_paging_through_keys_that_need_care(plain: S3Client, bucket: str) -> None:
    keys = sorted([f"a+b {n}%2F&<>/ü☃" for n in range(13)] + ["\x01control", "a//b", "dir/"], key=str.encode)
    for key in keys:
        plain.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = plain.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    assert [entry["Key"] for page in pages for entry in page.get("Contents", [])] == keys
    plain.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys if key != "\x01control"]})
    assert [entry["Key"] for entry in plain.list_objects_v2(Bucket=bucket)["Contents"]] == ["\x01control"]
