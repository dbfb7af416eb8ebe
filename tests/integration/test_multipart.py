"""Multipart uploads: parts in any order, listed in pages, copied from elsewhere, and completed once."""

import hashlib

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef

from tests.integration.digests import checksum
from tests.integration.expect import check_refused, lacks, refused
from tests.integration.parts import PART, begin, bodies, complete, etag_of, send
from tests.integration.wire import Wire, md5_base64


def test_parts_come_in_any_order(s3: S3Client, bucket: str) -> None:
    data = bodies(1, PART, PART + 1, 17)
    upload = begin(s3, bucket)
    sent = {number: send(s3, bucket, upload, number, data[at]) for number, at in ((9000, 2), (1, 0), (40, 1))}
    answer = complete(s3, bucket, upload, [sent[1], sent[40], sent[9000]])
    assert answer["ETag"] == etag_of(data)
    assert answer["Bucket"] == bucket
    assert answer["Key"] == "key"
    assert answer["Location"].endswith(f"/{bucket}/key")
    found = s3.get_object(Bucket=bucket, Key="key")
    assert found["Body"].read() == b"".join(data)
    assert found["ETag"] == etag_of(data)
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert entry["ETag"] == etag_of(data)
    assert lacks(s3.list_multipart_uploads(Bucket=bucket), "Uploads")


def test_what_the_upload_was_begun_with_is_kept(s3: S3Client, bucket: str) -> None:
    upload = s3.create_multipart_upload(
        Bucket=bucket,
        Key="key",
        ContentType="text/plain",
        CacheControl="no-store",
        Metadata={"a": "b"},
        Tagging="t=1",
    )["UploadId"]
    complete(s3, bucket, upload, [send(s3, bucket, upload, 1, b"small")])
    found = s3.head_object(Bucket=bucket, Key="key")
    assert (found["ContentType"], found["CacheControl"], found["Metadata"]) == ("text/plain", "no-store", {"a": "b"})
    assert found["TagCount"] == 1
    assert s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"] == [{"Key": "t", "Value": "1"}]


def test_a_part_sent_again_replaces_the_first(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    first = send(s3, bucket, upload, 1, b"first")
    second = send(s3, bucket, upload, 1, b"second")
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload, [first])
    assert [part["Size"] for part in s3.list_parts(Bucket=bucket, Key="key", UploadId=upload)["Parts"]] == [6]
    complete(s3, bucket, upload, [second])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


def test_parts_that_are_not_named_are_dropped(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    send(s3, bucket, upload, 1, b"one")
    two = send(s3, bucket, upload, 2, b"two")
    assert complete(s3, bucket, upload, [two])["ETag"] == etag_of([b"two"])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"two"


def test_completing_twice_gives_the_same_answer(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    part = send(s3, bucket, upload, 1, b"part")
    first = complete(s3, bucket, upload, [part])
    again = complete(s3, bucket, upload, [part])
    assert (first["ETag"], first["Location"]) == (again["ETag"], again["Location"])
    s3.put_object(Bucket=bucket, Key="key", Body=b"newer")
    with refused("NoSuchUpload", 404):
        complete(s3, bucket, upload, [part])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"newer"


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ([(2, 1), (1, 0)], "InvalidPartOrder"),
        ([(1, 0), (1, 0)], "InvalidPartOrder"),
        ([(1, 1)], "InvalidPart"),
        ([(1, 0), (3, 1)], "InvalidPart"),
        ([(1, 0), (2, 1)], "EntityTooSmall"),
        ([], "MalformedXML"),
    ],
)
def test_lists_of_parts_that_are_wrong(s3: S3Client, bucket: str, named: list[tuple[int, int]], code: str) -> None:
    upload = begin(s3, bucket)
    etags = [send(s3, bucket, upload, number, b"x" * number)["ETag"] for number in (1, 2)]
    parts: list[CompletedPartTypeDef] = [{"PartNumber": number, "ETag": etags[at]} for number, at in named]
    with refused(code, 400):
        complete(s3, bucket, upload, parts)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="key")
    # The upload is as it was.
    complete(s3, bucket, upload, [{"PartNumber": 2, "ETag": etags[1]}])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"xx"


def test_an_etag_needs_no_quotes(wire: Wire, s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    etag = send(s3, bucket, upload, 1, b"x")["ETag"].strip('"')
    document = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    )
    answer = wire.request("POST", f"/{bucket}/key", f"uploadId={upload}", body=document.encode())
    assert answer.status == 200, answer
    assert answer.element("Location") == f"http://{wire.host}/{bucket}/key"


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", ""])
def test_numbers_that_no_part_has(wire: Wire, s3: S3Client, bucket: str, number: str) -> None:
    upload = begin(s3, bucket)
    answer = wire.request("PUT", f"/{bucket}/key", f"partNumber={number}&uploadId={upload}", body=b"x")
    check_refused(answer, "InvalidArgument", 400)


def test_an_upload_belongs_to_its_key(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    part = send(s3, bucket, upload, 1, b"x")
    with refused("NoSuchUpload", 404):
        send(s3, bucket, upload, 1, b"x", key="other")
    with refused("NoSuchUpload", 404):
        complete(s3, bucket, upload, [part], key="other")
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="other", UploadId=upload)
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=upload)
    for unknown in ("0" * 32, "x", "../" * 5, "a" * 2000, "\u00fc"):
        with refused("NoSuchUpload", 404):
            send(s3, bucket, unknown, 1, b"x")
        with refused("NoSuchUpload", 404):
            s3.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=unknown)
    with refused("NoSuchBucket", 404):
        begin(s3, "no-such-bucket-here")
    complete(s3, bucket, upload, [part])


def test_aborting(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    part = send(s3, bucket, upload, 1, b"x" * 100_000)
    s3.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload)
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload)
    with refused("NoSuchUpload", 404):
        complete(s3, bucket, upload, [part])
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="key", UploadId=upload)
    assert lacks(s3.list_multipart_uploads(Bucket=bucket), "Uploads")
    s3.delete_bucket(Bucket=bucket)


def test_parts_are_listed_in_pages(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    numbers = [1, 2, 3, 5, 8, 13, 10_000]
    for number in reversed(numbers):
        send(s3, bucket, upload, number, b"x" * number)
    for size in (1, 2, 3, 1000):
        found, marker = [], 0
        while True:
            page = s3.list_parts(Bucket=bucket, Key="key", UploadId=upload, MaxParts=size, PartNumberMarker=marker)
            assert len(page.get("Parts", [])) <= size
            found += [(part["PartNumber"], part["Size"]) for part in page.get("Parts", [])]
            if not page["IsTruncated"]:
                break
            marker = page["NextPartNumberMarker"]
        assert found == [(number, number) for number in numbers]
    page = s3.list_parts(Bucket=bucket, Key="key", UploadId=upload)
    assert (page["Bucket"], page["Key"], page["UploadId"]) == (bucket, "key", upload)
    assert page["Owner"]["ID"] == page["Initiator"]["ID"]
    assert page["StorageClass"] == "STANDARD"
    assert page["Parts"][0]["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'


def test_uploads_are_listed_in_pages(s3: S3Client, bucket: str) -> None:
    keys = ["a", "a", "a", "b/1", "b/2", "b/2", "c", "é", "<&>"]
    uploads = sorted(((key, begin(s3, bucket, key)) for key in keys), key=lambda pair: (pair[0].encode(), pair[1]))
    for size in (1, 2, 4, 1000):
        found: list[tuple[str, str]] = []
        key_marker, upload_marker = "", ""
        while True:
            page = s3.list_multipart_uploads(
                Bucket=bucket, MaxUploads=size, KeyMarker=key_marker, UploadIdMarker=upload_marker
            )
            found += [(entry["Key"], entry["UploadId"]) for entry in page.get("Uploads", [])]
            if not page["IsTruncated"]:
                break
            key_marker, upload_marker = page["NextKeyMarker"], page["NextUploadIdMarker"]
        assert sorted(found) == sorted(uploads), size
        assert [key for key, _ in found] == [key for key, _ in uploads]
    rolled = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [entry["Prefix"] for entry in rolled["CommonPrefixes"]] == ["b/"]
    assert [entry["Key"] for entry in rolled["Uploads"]] == ["<&>", "a", "a", "a", "c", "é"]
    below = s3.list_multipart_uploads(Bucket=bucket, Prefix="b/")
    assert [entry["Key"] for entry in below["Uploads"]] == ["b/1", "b/2", "b/2"]


def test_digests_of_parts_are_verified(wire: Wire, s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    query = f"partNumber=1&uploadId={upload}"
    for headers in (
        {"content-md5": md5_base64(b"other")},
        {"x-amz-checksum-crc32": checksum("crc32", b"other")},
        {"x-amz-checksum-sha256": checksum("sha256", b"other")},
    ):
        check_refused(wire.request("PUT", f"/{bucket}/key", query, headers, b"part"), "BadDigest", 400)
    wrong = hashlib.sha256(b"other").hexdigest()
    check_refused(
        wire.request("PUT", f"/{bucket}/key", query, body=b"part", payload=wrong), "XAmzContentSHA256Mismatch", 400
    )
    assert lacks(s3.list_parts(Bucket=bucket, Key="key", UploadId=upload), "Parts")


def test_parts_copied_from_ranges(s3: S3Client, bucket: str) -> None:
    (data,) = bodies(4, 12 << 20)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    upload = begin(s3, bucket)
    parts: list[CompletedPartTypeDef] = []
    for number, (start, stop) in enumerate([(0, PART), (PART + 7, 2 * PART + 7), (3, 4)], start=1):
        answer = s3.upload_part_copy(
            Bucket=bucket,
            Key="key",
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes={start}-{stop - 1}",
        )["CopyPartResult"]
        assert answer["ETag"] == f'"{hashlib.md5(data[start:stop]).hexdigest()}"'
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    complete(s3, bucket, upload, parts)
    expected = data[:PART] + data[PART + 7 : 2 * PART + 7] + data[3:4]
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == expected


def test_a_part_copied_whole_from_a_delta(s3: S3Client, bucket: str) -> None:
    (data,) = bodies(5, 300_000)
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"v{number}", Body=data + bytes([number]))
    upload = begin(s3, bucket)
    answer = s3.upload_part_copy(
        Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "v2"}
    )["CopyPartResult"]
    complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": answer["ETag"]}])
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == data + b"\2"


@pytest.mark.parametrize(
    ("value", "code", "status"),
    [
        ("bytes=0-10", "InvalidRange", 416),
        ("bytes=5-", "InvalidArgument", 400),
        ("bytes=-5", "InvalidArgument", 400),
        ("bytes=4-2", "InvalidArgument", 400),
        ("0-3", "InvalidArgument", 400),
    ],
)
def test_ranges_that_no_source_has(wire: Wire, s3: S3Client, bucket: str, value: str, code: str, status: int) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = begin(s3, bucket)
    headers = {"x-amz-copy-source": f"{bucket}/source", "x-amz-copy-source-range": value}
    answer = wire.request("PUT", f"/{bucket}/key", f"partNumber=1&uploadId={upload}", headers)
    check_refused(answer, code, status)


def test_conditions_on_the_source_of_a_part(s3: S3Client, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="source", Body=b"x")["ETag"]
    upload = begin(s3, bucket)
    with refused("PreconditionFailed", 412):
        s3.upload_part_copy(
            Bucket=bucket, Key="key", UploadId=upload, PartNumber=1,
            CopySource={"Bucket": bucket, "Key": "source"}, CopySourceIfNoneMatch=etag,
        )  # fmt: skip
    with refused("NoSuchKey", 404):
        s3.upload_part_copy(
            Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "none"}
        )
    with refused("NoSuchUpload", 404):
        s3.upload_part_copy(
            Bucket=bucket, Key="key", UploadId="0" * 32, PartNumber=1, CopySource={"Bucket": bucket, "Key": "source"}
        )
    assert lacks(s3.list_parts(Bucket=bucket, Key="key", UploadId=upload), "Parts")


def test_attributes_of_an_object_in_parts(s3: S3Client, bucket: str) -> None:
    data = bodies(6, PART, PART, 9)
    upload = begin(s3, bucket)
    complete(s3, bucket, upload, [send(s3, bucket, upload, n, body) for n, body in enumerate(data, start=1)])
    found = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["ObjectParts", "ETag"], MaxParts=2)
    assert found["ETag"] == etag_of(data).strip('"')
    assert found["ObjectParts"]["TotalPartsCount"] == 3
    assert [part["Size"] for part in found["ObjectParts"]["Parts"]] == [PART, PART]
    assert found["ObjectParts"]["IsTruncated"] is True
    rest = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=["ObjectParts"], PartNumberMarker=2)[
        "ObjectParts"
    ]
    assert [(part["PartNumber"], part["Size"]) for part in rest["Parts"]] == [(3, 9)]
