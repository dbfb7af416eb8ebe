"""Tags of objects: beside the object, never a rewrite of it."""

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import TagTypeDef

from tests.integration.expect import check_refused, lacks, refused
from tests.integration.wire import Wire
from tests.support.server import Server


def pairs(s3: S3Client, bucket: str, key: str = "key") -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def test_tags_come_and_go_and_the_object_stays(s3: S3Client, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="key", Body=b"x", Metadata={"m": "1"})
    before = s3.head_object(Bucket=bucket, Key="key")
    assert pairs(s3, bucket) == {}
    assert lacks(before, "TagCount")
    wanted = {"a": "1", "empty": "", "üñí": "värde + : / = @ ."}
    s3.put_object_tagging(
        Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in wanted.items()]}
    )
    assert pairs(s3, bucket) == wanted
    after = s3.head_object(Bucket=bucket, Key="key")
    assert after["TagCount"] == 3
    assert (after["ETag"], after["LastModified"], after["Metadata"]) == (
        put["ETag"],
        before["LastModified"],
        {"m": "1"},
    )
    s3.delete_object_tagging(Bucket=bucket, Key="key")
    assert pairs(s3, bucket) == {}
    assert lacks(s3.head_object(Bucket=bucket, Key="key"), "TagCount")


def test_tags_with_an_upload(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="a=1&b=two%20words&c=")
    assert pairs(s3, bucket) == {"a": "1", "b": "two words", "c": ""}
    assert s3.get_object(Bucket=bucket, Key="key")["TagCount"] == 3


def test_tags_survive_a_restart_and_a_delta(server: Server, s3: S3Client, bucket: str) -> None:
    data = b"0123456789" * 30_000
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=data + bytes([number]), Tagging=f"n={number}")
    server.restart()
    for number in range(3):
        assert pairs(s3, bucket, f"v{number}") == {"n": str(number)}
        assert s3.head_object(Bucket=bucket, Key=f"v{number}")["TagCount"] == 1


@pytest.mark.parametrize(
    "tags",
    [
        [(f"k{n}", "v") for n in range(11)],
        [("k" * 129, "v")],
        [("k", "v" * 257)],
        [("same", "1"), ("same", "2")],
        [("aws:mine", "v")],
        [("bad<key>", "v")],
    ],
)
def test_tags_that_are_none(s3: S3Client, bucket: str, tags: list[tuple[str, str]]) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", Tagging="kept=1")
    tag_set: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in tags]
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=bucket, Key="key", Tagging={"TagSet": tag_set})
    assert pairs(s3, bucket) == {"kept": "1"}


def test_the_largest_tags(s3: S3Client, bucket: str) -> None:
    wanted = {f"{n}{'k' * 127}": "ü" * 256 for n in range(10)}
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    s3.put_object_tagging(
        Bucket=bucket, Key="key", Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in wanted.items()]}
    )
    assert pairs(s3, bucket) == wanted


@pytest.mark.parametrize(
    "header", ["a=1&a=2", "=v", "aws:a=1", "&".join(f"k{n}=v" for n in range(11)), "%zz=1&&&=", "a=%FF"]
)
def test_headers_that_are_no_tags(wire: Wire, s3: S3Client, bucket: str, header: str) -> None:
    answer = wire.request("PUT", f"/{bucket}/key", headers={"x-amz-tagging": header}, body=b"x")
    assert answer.status == 400, answer
    check_refused(answer, answer.code or "", 400)
    assert answer.code in ("InvalidTag", "InvalidArgument")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")


def test_documents_that_are_no_tags(wire: Wire, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    for document in (b"", b"<Tagging/>", b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", b"<Other/>"):
        check_refused(wire.request("PUT", f"/{bucket}/key", "tagging", body=document), "MalformedXML", 400)


def test_absent_objects_have_no_tags(s3: S3Client, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        s3.get_object_tagging(Bucket=bucket, Key="none")
    with refused("NoSuchKey", 404):
        s3.put_object_tagging(Bucket=bucket, Key="none", Tagging={"TagSet": []})
    with refused("NoSuchKey", 404):
        s3.delete_object_tagging(Bucket=bucket, Key="none")
    with refused("NoSuchBucket", 404):
        s3.get_object_tagging(Bucket="no-such-bucket-here", Key="none")
