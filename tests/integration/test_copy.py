"""Copies on the server: what they take along, under which conditions, and from where."""

import hashlib
import random
from base64 import b64encode
from datetime import timedelta
from io import BytesIO
from urllib.parse import quote

import pytest
from boto3.s3.transfer import TransferConfig
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused, lacks, refused
from tests.integration.wire import Wire
from tests.support.server import Server


@pytest.fixture
def etag(s3: S3Client, bucket: str) -> str:
    return s3.put_object(
        Bucket=bucket,
        Key="source",
        Body=b"hello",
        ContentType="text/plain",
        CacheControl="no-store",
        Metadata={"a": "1"},
        Tagging="t=1",
    )["ETag"]


def test_a_copy_takes_everything_along(s3: S3Client, bucket: str, etag: str) -> None:
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source")["CopyObjectResult"]
    assert answer["ETag"] == etag
    found = s3.get_object(Bucket=bucket, Key="copy")
    assert found["Body"].read() == b"hello"
    assert (found["ContentType"], found["CacheControl"], found["Metadata"]) == ("text/plain", "no-store", {"a": "1"})
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert answer["LastModified"].replace(microsecond=0) == found["LastModified"]
    assert s3.get_object(Bucket=bucket, Key="source")["Body"].read() == b"hello"


def test_a_copy_to_another_bucket(s3: S3Client, bucket: str, etag: str) -> None:
    s3.create_bucket(Bucket=f"{bucket[:50]}-to")
    s3.copy_object(Bucket=f"{bucket[:50]}-to", Key="copy", CopySource={"Bucket": bucket, "Key": "source"})
    found = s3.get_object(Bucket=f"{bucket[:50]}-to", Key="copy")
    assert (found["Body"].read(), found["ETag"], found["Metadata"]) == (b"hello", etag, {"a": "1"})


def test_copies_of_deltas(s3: S3Client, bucket: str) -> None:
    other = f"{bucket[:50]}-to"
    s3.create_bucket(Bucket=other)
    data = random.Random(1).randbytes(700_000)
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=data + bytes([number]))
    for target in (bucket, other):
        for number in range(3):
            s3.copy_object(Bucket=target, Key=f"copies/{number}", CopySource={"Bucket": bucket, "Key": f"v{number}"})
    for number in range(3):
        s3.delete_object(Bucket=bucket, Key=f"v{number}")
    for target in (bucket, other):
        for number in range(3):
            assert s3.get_object(Bucket=target, Key=f"copies/{number}")["Body"].read() == data + bytes([number])


def test_replacing_metadata(s3: S3Client, bucket: str, etag: str) -> None:
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource=f"{bucket}/source",
        MetadataDirective="REPLACE",
        Metadata={"b": "2"},
        ContentType="text/html",
    )
    found = s3.get_object(Bucket=bucket, Key="copy")
    assert (found["Body"].read(), found["Metadata"], found["ContentType"]) == (b"hello", {"b": "2"}, "text/html")
    assert lacks(found, "CacheControl")
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [{"Key": "t", "Value": "1"}]


def test_metadata_is_kept_unless_it_is_replaced(s3: S3Client, bucket: str, etag: str) -> None:
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", Metadata={"b": "2"})
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"a": "1"}


def test_replacing_tags(s3: S3Client, bucket: str, etag: str) -> None:
    s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", TaggingDirective="REPLACE", Tagging="u=2&v=3"
    )
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == [
        {"Key": "u", "Value": "2"},
        {"Key": "v", "Value": "3"},
    ]
    s3.copy_object(Bucket=bucket, Key="bare", CopySource=f"{bucket}/source", TaggingDirective="REPLACE")
    assert s3.get_object_tagging(Bucket=bucket, Key="bare")["TagSet"] == []
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"a": "1"}


def test_a_copy_to_itself_must_change_something(s3: S3Client, bucket: str, etag: str) -> None:
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="source", CopySource=f"{bucket}/source")
    s3.copy_object(
        Bucket=bucket, Key="source", CopySource=f"{bucket}/source", MetadataDirective="REPLACE", Metadata={"b": "2"}
    )
    found = s3.get_object(Bucket=bucket, Key="source")
    assert (found["Body"].read(), found["Metadata"], found["ETag"]) == (b"hello", {"b": "2"}, etag)


def test_a_delta_copied_to_itself(s3: S3Client, bucket: str) -> None:
    data = random.Random(2).randbytes(500_000)
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=data + bytes([number]))
    for number in range(3):
        s3.copy_object(
            Bucket=bucket,
            Key=f"v{number}",
            CopySource=f"{bucket}/v{number}",
            MetadataDirective="REPLACE",
            Metadata={"n": str(number)},
        )
    for number in range(3):
        found = s3.get_object(Bucket=bucket, Key=f"v{number}")
        assert (found["Body"].read(), found["Metadata"]) == (data + bytes([number]), {"n": str(number)})
    headers = s3.head_object(Bucket=bucket, Key="v2")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-storage-type"] == "delta"


def test_conditions_on_the_source(s3: S3Client, bucket: str, etag: str) -> None:
    modified = s3.head_object(Bucket=bucket, Key="source")["LastModified"]
    past, future = modified - timedelta(seconds=5), modified + timedelta(seconds=5)
    source = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/source"}
    for holds in (
        {"CopySourceIfMatch": etag},
        {"CopySourceIfNoneMatch": '"other"'},
        {"CopySourceIfModifiedSince": past},
        {"CopySourceIfUnmodifiedSince": modified},
        {"CopySourceIfMatch": etag, "CopySourceIfUnmodifiedSince": past},
    ):
        s3.copy_object(**source, **holds)  # type: ignore[arg-type]  # conditions by name
    s3.delete_object(Bucket=bucket, Key="copy")
    for fails in (
        {"CopySourceIfMatch": '"other"'},
        {"CopySourceIfNoneMatch": etag},
        {"CopySourceIfModifiedSince": future},
        {"CopySourceIfUnmodifiedSince": past},
        {"CopySourceIfNoneMatch": etag, "CopySourceIfModifiedSince": past},
    ):
        with refused("PreconditionFailed", 412):
            s3.copy_object(**source, **fails)  # type: ignore[arg-type]  # as above
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="copy")


def test_conditions_on_the_target(s3: S3Client, bucket: str, etag: str) -> None:
    s3.put_object(Bucket=bucket, Key="copy", Body=b"old")
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", IfMatch='"other"')
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"old"
    s3.copy_object(Bucket=bucket, Key="new", CopySource=f"{bucket}/source", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"hello"


def test_an_object_in_parts_becomes_one(s3: S3Client, bucket: str) -> None:
    data = random.Random(3).randbytes(11 << 20)
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(BytesIO(data), bucket, "parts", Config=config)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/parts")
    found = s3.get_object(Bucket=bucket, Key="copy")
    assert found["Body"].read() == data
    assert found["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'


def test_a_checksum_on_request(s3: S3Client, bucket: str, etag: str) -> None:
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", ChecksumAlgorithm="SHA256")
    expected = b64encode(hashlib.sha256(b"hello").digest()).decode()
    assert answer["CopyObjectResult"]["ChecksumSHA256"] == expected
    assert s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")["ChecksumSHA256"] == expected


def test_a_checksum_is_taken_along(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"hello", ChecksumAlgorithm="CRC64NVME")
    before = s3.head_object(Bucket=bucket, Key="source", ChecksumMode="ENABLED")["ChecksumCRC64NVME"]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source")
    assert s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")["ChecksumCRC64NVME"] == before


@pytest.mark.parametrize("key", ["a b+c%41/é", "q?versionId=x", "/lead", "emoji-🚀", "a//b/../c"])
def test_sources_with_odd_names(s3: S3Client, wire: Wire, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=b"odd")
    for number, source in enumerate(
        (f"{bucket}/{quote(key)}", f"/{bucket}/{quote(key)}", quote(f"{bucket}/{key}", safe=""))
    ):
        answer = wire.request("PUT", f"/{bucket}/copy-{number}", headers={"x-amz-copy-source": source})
        assert answer.status == 200, (source, answer)
        assert s3.get_object(Bucket=bucket, Key=f"copy-{number}")["Body"].read() == b"odd"


@pytest.mark.parametrize(
    ("source", "code", "status"),
    [
        ("{bucket}/none", "NoSuchKey", 404),
        ("no-such-bucket-here/source", "NoSuchBucket", 404),
        ("{bucket}", "InvalidArgument", 400),
        ("{bucket}/", "InvalidArgument", 400),
        ("", "InvalidArgument", 400),
        ("UPPER/source", "InvalidBucketName", 400),
        ("{bucket}/source?versionId=abc", "InvalidArgument", 400),
        ("arn:aws:s3:us-east-1:1:accesspoint/x/object/y", "NotImplemented", 501),
        ("{bucket}/%FF", "InvalidArgument", 400),
    ],
)
def test_sources_that_are_none(wire: Wire, s3: S3Client, bucket: str, source: str, code: str, status: int) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    headers = {"x-amz-copy-source": source.format(bucket=bucket)}
    check_refused(wire.request("PUT", f"/{bucket}/copy", headers=headers), code, status)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="copy")


def test_a_source_may_name_its_only_version(wire: Wire, bucket: str, etag: str) -> None:
    headers = {"x-amz-copy-source": f"{bucket}/source?versionId=null"}
    assert wire.request("PUT", f"/{bucket}/copy", headers=headers).status == 200


def test_directives_that_do_not_exist(wire: Wire, bucket: str, etag: str) -> None:
    for name in ("x-amz-metadata-directive", "x-amz-tagging-directive"):
        headers = {"x-amz-copy-source": f"{bucket}/source", name: "MERGE"}
        check_refused(wire.request("PUT", f"/{bucket}/copy", headers=headers), "InvalidArgument", 400)


def test_the_target_bucket_must_be_there(s3: S3Client, bucket: str, etag: str) -> None:
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket="no-such-bucket-here", Key="copy", CopySource=f"{bucket}/source")


def test_many_copies_at_once_survive_the_source(server: Server, s3: S3Client, bucket: str) -> None:
    data = random.Random(4).randbytes(2_000_000)
    s3.put_object(Bucket=bucket, Key="big", Body=data)
    for number in range(20):
        s3.copy_object(
            Bucket=bucket, Key=f"c{number}", CopySource=f"{bucket}/{'big' if not number else f'c{number - 1}'}"
        )
    s3.delete_object(Bucket=bucket, Key="big")
    for number in range(20):
        assert s3.get_object(Bucket=bucket, Key=f"c{number}")["Body"].read() == data
