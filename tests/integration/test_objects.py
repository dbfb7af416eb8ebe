"""Putting, getting, asking about and deleting single objects, and deleting many."""

import hashlib
import random
from base64 import b64decode, b64encode

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

from tests.integration.expect import check_refused, lacks, refused
from tests.integration.wire import Wire

SIZES = [0, 1, 4096, (256 << 10) - 1, (256 << 10) + 1, (1 << 20) + 3, 17 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_put_is_what_is_got(s3: S3Client, bucket: str, size: int) -> None:
    data = random.Random(size).randbytes(size)
    put = s3.put_object(Bucket=bucket, Key="key", Body=data)
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="key")
    assert got["Body"].read() == data
    head = s3.head_object(Bucket=bucket, Key="key")
    assert head["ContentLength"] == got["ContentLength"] == size
    assert head["ETag"] == got["ETag"] == put["ETag"]
    assert head["LastModified"] == got["LastModified"]
    assert head["AcceptRanges"] == "bytes"
    assert lacks(put, "VersionId")


def test_an_overwrite_replaces_everything(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"old", Metadata={"old": "1"}, Tagging="a=b", CacheControl="no-store")
    s3.put_object(Bucket=bucket, Key="key", Body=b"newer")
    found = s3.get_object(Bucket=bucket, Key="key")
    assert found["Body"].read() == b"newer"
    assert found["Metadata"] == {}
    assert lacks(found, "CacheControl")
    assert lacks(found, "TagCount")


def test_system_headers_come_back_as_they_were_sent(s3: S3Client, bucket: str) -> None:
    s3.put_object(
        Bucket=bucket,
        Key="key",
        Body=b"x" * 1000,
        ContentType="text/html; charset=utf-8",
        CacheControl="max-age=60, public",
        ContentDisposition='attachment; filename="a b.html"',
        ContentEncoding="gzip",
        ContentLanguage="de, en",
        Expires="Wed, 21 Oct 2026 07:28:00 GMT",
        WebsiteRedirectLocation="/elsewhere",
    )
    for found in (s3.head_object(Bucket=bucket, Key="key"), s3.get_object(Bucket=bucket, Key="key")):
        headers = found["ResponseMetadata"]["HTTPHeaders"]
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["cache-control"] == "max-age=60, public"
        assert headers["content-disposition"] == 'attachment; filename="a b.html"'
        assert headers["content-encoding"] == "gzip"
        assert headers["content-language"] == "de, en"
        assert headers["expires"] == "Wed, 21 Oct 2026 07:28:00 GMT"
        assert headers["x-amz-website-redirect-location"] == "/elsewhere"
        assert "x-amz-storage-class" not in headers


def test_content_type_defaults_as_in_s3(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert s3.head_object(Bucket=bucket, Key="key")["ContentType"] == "binary/octet-stream"


def test_metadata_names_are_lower_cased_and_values_kept(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Metadata={"MixedCase": "Value  with  Spaces", "empty": ""})
    assert s3.head_object(Bucket=bucket, Key="key")["Metadata"] == {"mixedcase": "Value  with  Spaces", "empty": ""}


def test_metadata_in_utf_8_comes_back_as_an_encoded_word(wire: Wire, bucket: str) -> None:
    value = "Grüße, 世界 🚀"
    answer = wire.request("PUT", f"/{bucket}/key", headers={"x-amz-meta-greeting": value}, body=b"x")
    assert answer.status == 200, answer
    found = wire.request("HEAD", f"/{bucket}/key").headers["x-amz-meta-greeting"]
    assert found.startswith("=?UTF-8?B?")
    assert b64decode(found.removeprefix("=?UTF-8?B?").removesuffix("?=")).decode() == value


def test_an_encoded_word_from_a_client_is_kept_as_it_is(s3: S3Client, bucket: str) -> None:
    value = f"=?UTF-8?B?{b64encode('Grüße'.encode()).decode()}?="
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Metadata={"greeting": value})
    assert s3.head_object(Bucket=bucket, Key="key")["Metadata"] == {"greeting": value}


def test_metadata_may_be_two_kilobytes_and_no_more(s3: S3Client, bucket: str) -> None:
    full = {f"n{number:03}": "v" * 60 for number in range(32)}
    assert sum(len(name) + len(value) for name, value in full.items()) == 2048
    similar = random.Random(1).randbytes(200_000)
    for key in ("app-1.bin", "app-2.bin", "app-3.bin"):
        s3.put_object(Bucket=bucket, Key=key, Body=similar + key.encode(), Metadata=full)
    for key in ("app-1.bin", "app-2.bin", "app-3.bin"):
        assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == full
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="over", Body=b"x", Metadata={**full, "m": ""})
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="over")


def test_clients_neither_see_nor_set_what_is_ours(s3: S3Client, bucket: str) -> None:
    forged = {"dgp": '{"k":"delta"}', "dg-encrypted": "1", "dg-replication-rule": "x", "user.dgp": "y"}
    s3.put_object(Bucket=bucket, Key="key", Body=b"plain", Metadata=forged)
    found = s3.get_object(Bucket=bucket, Key="key")
    assert found["Body"].read() == b"plain"
    assert found["Metadata"] == forged
    s3.put_object(Bucket=bucket, Key="bare", Body=b"plain")
    assert s3.head_object(Bucket=bucket, Key="bare")["Metadata"] == {}


def test_absent_objects_and_buckets(s3: S3Client, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="none")
    with refused("NoSuchBucket", 404):
        s3.get_object(Bucket="no-such-bucket-here", Key="none")
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="no-such-bucket-here", Key="none", Body=b"x")
    with refused("NoSuchBucket", 404):
        s3.delete_object(Bucket="no-such-bucket-here", Key="none")
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket="no-such-bucket-here")


def test_deleting_is_idempotent(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="a=b")
    for _ in range(2):
        answer = s3.delete_object(Bucket=bucket, Key="key")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert lacks(answer, "DeleteMarker")
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == []


def test_the_only_version_is_null(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="key", VersionId="null")["Body"].read() == b"x"
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=bucket, Key="key", VersionId="abc")
    with refused("InvalidArgument", 400):
        s3.delete_object(Bucket=bucket, Key="key", VersionId="abc")
    assert s3.head_object(Bucket=bucket, Key="key")["ContentLength"] == 1
    s3.delete_object(Bucket=bucket, Key="key", VersionId="null")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize(
    ("header", "value", "code", "status"),
    [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "NotImplemented", 501),
        ("x-amz-server-side-encryption", "aws:kms", "NotImplemented", 501),
        ("x-amz-server-side-encryption", "AES256", "NotImplemented", 501),
        ("x-amz-object-lock-mode", "GOVERNANCE", "NotImplemented", 501),
        ("x-amz-object-lock-legal-hold", "ON", "NotImplemented", 501),
        ("x-amz-write-offset-bytes", "0", "NotImplemented", 501),
        ("x-amz-acl", "public-read", "AccessControlListNotSupported", 400),
        ("x-amz-grant-read", "id=1", "AccessControlListNotSupported", 400),
    ],
)
def test_what_would_be_ignored_is_refused(
    wire: Wire, s3: S3Client, bucket: str, header: str, value: str, code: str, status: int
) -> None:
    answer = wire.request("PUT", f"/{bucket}/key", headers={header: value}, body=b"secret")
    check_refused(answer, code, status)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize(
    ("header", "value"),
    [("x-amz-acl", "private"), ("x-amz-acl", "bucket-owner-full-control"), ("x-amz-storage-class", "STANDARD_IA")],
)
def test_what_changes_nothing_is_accepted(wire: Wire, bucket: str, header: str, value: str) -> None:
    assert wire.request("PUT", f"/{bucket}/key", headers={header: value}, body=b"x").status == 200


def test_a_put_needs_a_length(wire: Wire, s3: S3Client, bucket: str) -> None:
    head = wire.head("PUT", f"/{bucket}/key").headers
    check_refused(wire.exchange("PUT", f"/{bucket}/key", head), "MissingContentLength", 411)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")


def test_a_body_may_come_in_chunks_of_http(wire: Wire, s3: S3Client, bucket: str) -> None:
    head = wire.head("PUT", f"/{bucket}/key", payload="UNSIGNED-PAYLOAD").headers
    body = b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
    answer = wire.exchange("PUT", f"/{bucket}/key", {**head, "transfer-encoding": "chunked"}, body)
    assert answer.status == 200, answer
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"hello!"


def test_a_body_that_breaks_off_stores_nothing(wire: Wire, s3: S3Client, bucket: str) -> None:
    head = wire.head("PUT", f"/{bucket}/key", payload="UNSIGNED-PAYLOAD").headers
    for sent in (0, 1, 99_999):
        with wire.connect() as connection:
            lines = [f"PUT /{bucket}/key HTTP/1.1", *(f"{n}: {v}" for n, v in head.items()), "content-length: 100000"]
            connection.sendall("\r\n".join([*lines, "", ""]).encode() + b"x" * sent)
        with refused("404", 404):
            s3.head_object(Bucket=bucket, Key="key")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_deleting_many(s3: S3Client, bucket: str) -> None:
    keys = [f"k{number}" for number in range(30)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    named: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in [*keys, "missing", "dir/", "&<>\"'"]]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": named})
    assert [entry["Key"] for entry in answer["Deleted"]] == [entry["Key"] for entry in named]
    assert lacks(answer, "Errors")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_deleting_many_says_what_failed(s3: S3Client, bucket: str) -> None:
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    etag = s3.head_object(Bucket=bucket, Key="a")["ETag"]
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={
            "Quiet": True,
            "Objects": [
                {"Key": "a", "ETag": etag},
                {"Key": "b", "ETag": etag},
                {"Key": "c", "VersionId": "other"},
                {"Key": "k" * 1025},
            ],
        },
    )
    assert lacks(answer, "Deleted")
    errors = {error.get("Key", ""): error.get("Code") for error in answer["Errors"]}
    assert errors == {"b": "PreconditionFailed", "c": "NoSuchVersion", "k" * 1025: "KeyTooLongError"}
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["b", "c"]


def test_deleting_many_has_a_limit(s3: S3Client, bucket: str) -> None:
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": f"k{n}"} for n in range(1001)]})
    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": []})
    with refused("NoSuchBucket", 404):
        s3.delete_objects(Bucket="no-such-bucket-here", Delete={"Objects": [{"Key": "a"}]})


def test_attributes(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello", ChecksumAlgorithm="SHA256")
    found = s3.get_object_attributes(
        Bucket=bucket, Key="key", ObjectAttributes=["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    )
    assert found["ETag"] == hashlib.md5(b"hello").hexdigest()
    assert found["ObjectSize"] == 5
    assert found["StorageClass"] == "STANDARD"
    assert found["Checksum"]["ChecksumSHA256"] == b64encode(hashlib.sha256(b"hello").digest()).decode()
    assert found["Checksum"]["ChecksumType"] == "FULL_OBJECT"
    assert lacks(found, "ObjectParts")
    with refused("NoSuchKey", 404):
        s3.get_object_attributes(Bucket=bucket, Key="none", ObjectAttributes=["ETag"])


def test_debug_headers_only_where_asked_for(s3: S3Client, bucket: str) -> None:
    data = random.Random(2).randbytes(300_000)
    for key in ("v-1", "v-2", "v-3"):
        s3.put_object(Bucket=bucket, Key=key, Body=data + key.encode())
    found = s3.get_object(Bucket=bucket, Key="v-3")
    found["Body"].read()
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-storage-type"] == "delta"
    assert int(headers["x-deltaglider-stored-size"]) < 3000
    assert headers["x-deltaglider-cache"] in ("hit", "miss")
    assert float(headers["x-deltaglider-ratio"]) < 0.01
