"""Checksums of multipart uploads: of the parts' checksums, or of the full object."""

from base64 import b64decode
from collections.abc import Sequence

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef

from tests.integration.digests import checksum
from tests.integration.expect import check_refused, lacks, refused
from tests.integration.parts import PART, begin, bodies, complete, send
from tests.integration.wire import Answer, Wire, md5_hex


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_checksums(s3: S3Client, bucket: str, algorithm: str) -> None:
    lower = algorithm.lower()
    data = bodies(2, PART, 1000)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key", ChecksumAlgorithm=algorithm)  # type: ignore[arg-type]  # a literal in the stubs
    assert upload["ChecksumType"] == "COMPOSITE"
    parts: list[CompletedPartTypeDef] = []
    for number, body in enumerate(data, start=1):
        answer = s3.upload_part(
            Bucket=bucket,
            Key="key",
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=body,
            ChecksumAlgorithm=algorithm,  # type: ignore[arg-type]  # as above
        )
        value = answer["ResponseMetadata"]["HTTPHeaders"][f"x-amz-checksum-{lower}"]
        assert value == checksum(lower, body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], f"Checksum{algorithm}": value})  # type: ignore[misc]  # a computed key
    expected = f"{checksum(lower, b''.join(b64decode(checksum(lower, body)) for body in data))}-2"
    listed = s3.list_parts(Bucket=bucket, Key="key", UploadId=upload["UploadId"])
    assert listed["ChecksumAlgorithm"] == algorithm
    assert [part[f"Checksum{algorithm}"] for part in listed["Parts"]] == [checksum(lower, body) for body in data]  # type: ignore[literal-required]  # a computed key
    broken: list[CompletedPartTypeDef] = [{**parts[0], f"Checksum{algorithm}": checksum(lower, b"other")}, parts[1]]  # type: ignore[misc]  # a computed key
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload["UploadId"], broken)
    with refused("BadDigest", 400):
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key="key",
            UploadId=upload["UploadId"],
            MultipartUpload={"Parts": parts},
            **{f"Checksum{algorithm}": checksum(lower, b"other") + "-2"},  # type: ignore[arg-type]  # a computed name
        )
    done = s3.complete_multipart_upload(
        Bucket=bucket,
        Key="key",
        UploadId=upload["UploadId"],
        MultipartUpload={"Parts": parts},
        **{f"Checksum{algorithm}": expected},  # type: ignore[arg-type]  # a computed name
    )
    assert done[f"Checksum{algorithm}"] == expected  # type: ignore[literal-required]  # a computed key
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == expected  # type: ignore[literal-required]  # a computed key
    assert head["ChecksumType"] == "COMPOSITE"
    assert s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")["Body"].read() == b"".join(data)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_checksums_of_the_full_object(s3: S3Client, bucket: str, algorithm: str) -> None:
    lower = algorithm.lower()
    data = bodies(3, PART, PART + 3, 1000)
    upload = s3.create_multipart_upload(
        Bucket=bucket,
        Key="key",
        ChecksumAlgorithm=algorithm,  # type: ignore[arg-type]  # a literal in the stubs
        ChecksumType="FULL_OBJECT",
    )["UploadId"]
    parts: list[CompletedPartTypeDef] = []
    for number, body in enumerate(data, start=1):
        answer = s3.upload_part(
            Bucket=bucket,
            Key="key",
            UploadId=upload,
            PartNumber=number,
            Body=body,
            ChecksumAlgorithm=algorithm,  # type: ignore[arg-type]  # as above
        )
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    whole = checksum(lower, b"".join(data))
    with refused("BadDigest", 400):
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key="key",
            UploadId=upload,
            MultipartUpload={"Parts": parts},
            **{f"Checksum{algorithm}": checksum(lower, b"other")},  # type: ignore[arg-type]  # a computed name
        )
    with refused("InvalidRequest", 400):
        s3.complete_multipart_upload(
            Bucket=bucket, Key="key", UploadId=upload, MultipartUpload={"Parts": parts}, MpuObjectSize=5
        )
    done = s3.complete_multipart_upload(
        Bucket=bucket,
        Key="key",
        UploadId=upload,
        MultipartUpload={"Parts": parts},
        MpuObjectSize=sum(map(len, data)),
        **{f"Checksum{algorithm}": whole},  # type: ignore[arg-type]  # a computed name
    )
    assert done[f"Checksum{algorithm}"] == whole  # type: ignore[literal-required]  # a computed key
    assert done["ChecksumType"] == "FULL_OBJECT"
    found = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert found[f"Checksum{algorithm}"] == whole  # type: ignore[literal-required]  # a computed key
    assert found["Body"].read() == b"".join(data)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("", "COMPOSITE")],
)
def test_checksum_types_that_do_not_exist(wire: Wire, bucket: str, algorithm: str, kind: str) -> None:
    headers = {"x-amz-checksum-type": kind} | ({"x-amz-checksum-algorithm": algorithm} if algorithm else {})
    check_refused(wire.request("POST", f"/{bucket}/key", "uploads", headers), "InvalidRequest", 400)


FULL = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}
COMPOSITE = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"}


def started(wire: Wire, bucket: str, headers: dict[str, str]) -> str:
    upload = wire.request("POST", f"/{bucket}/key", "uploads", headers).element("UploadId")
    assert upload is not None
    return upload


def sent(wire: Wire, bucket: str, upload: str, body: bytes, headers: dict[str, str], number: int = 1) -> Answer:
    """A part with no more checksums than are given; the SDK would add one."""
    return wire.request("PUT", f"/{bucket}/key", f"partNumber={number}&uploadId={upload}", headers, body)


def ended(wire: Wire, bucket: str, upload: str, parts: Sequence[str], headers: dict[str, str] | None = None) -> Answer:
    """Complete with parts as fragments of XML, from number 1 on."""
    items = "".join(f"<Part><PartNumber>{n}</PartNumber>{part}</Part>" for n, part in enumerate(parts, start=1))
    document = f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode()
    return wire.request("POST", f"/{bucket}/key", f"uploadId={upload}", headers, document)


@pytest.mark.parametrize(
    ("begun", "headers", "actual"),
    [
        (COMPOSITE, {}, "null"),
        (COMPOSITE, {"x-amz-checksum-sha256": checksum("sha256", b"body")}, "sha256"),
        (FULL, {"x-amz-checksum-crc64nvme": checksum("crc64nvme", b"body")}, "crc64nvme"),
    ],
)
def test_a_part_with_another_checksum_than_its_upload(
    wire: Wire, s3: S3Client, bucket: str, begun: dict[str, str], headers: dict[str, str], actual: str
) -> None:
    upload = started(wire, bucket, begun)
    answer = sent(wire, bucket, upload, b"body", headers)
    check_refused(answer, "InvalidRequest", 400)
    assert answer.element("Message") == (
        f"Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: {actual}"
    )
    assert lacks(s3.list_parts(Bucket=bucket, Key="key", UploadId=upload), "Parts")


def test_a_trailer_with_another_checksum_than_the_upload(s3: S3Client, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key", ChecksumAlgorithm="SHA1")["UploadId"]
    with refused("InvalidRequest", 400):
        s3.upload_part(Bucket=bucket, Key="key", UploadId=upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32C")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_the_whole_has_its_checksum_though_no_part_came_with_one(
    wire: Wire, s3: S3Client, bucket: str, algorithm: str
) -> None:
    lower = algorithm.lower()
    data = bodies(4, PART, 1000)
    upload = started(wire, bucket, {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": "FULL_OBJECT"})
    for number, body in enumerate(data, start=1):
        answer = sent(wire, bucket, upload, body, {}, number)
        assert answer.headers[f"x-amz-checksum-{lower}"] == checksum(lower, body)
    whole = checksum(lower, b"".join(data))
    parts = [f"<ETag>{md5_hex(body)}</ETag>" for body in data]
    done = ended(wire, bucket, upload, parts, {f"x-amz-checksum-{lower}": whole})
    assert (done.status, done.element(f"Checksum{algorithm}")) == (200, whole)
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (whole, "FULL_OBJECT")  # type: ignore[literal-required]  # a computed key


@pytest.mark.parametrize("kind", ["FULL_OBJECT", "COMPOSITE"])
def test_copied_parts_have_the_checksum_of_their_upload(s3: S3Client, bucket: str, kind: str) -> None:
    data = bodies(5, PART, 1000)
    s3.put_object(Bucket=bucket, Key="source", Body=b"".join(data), ChecksumAlgorithm="SHA256")
    upload = s3.create_multipart_upload(
        Bucket=bucket,
        Key="key",
        ChecksumAlgorithm="CRC32C",
        ChecksumType=kind,  # type: ignore[arg-type]  # a literal in the stubs
    )["UploadId"]
    parts: list[CompletedPartTypeDef] = []
    for number, place in enumerate([f"0-{PART - 1}", f"{PART}-{PART + 999}"], start=1):
        part = s3.upload_part_copy(
            Bucket=bucket,
            Key="key",
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes={place}",
        )["CopyPartResult"]
        assert part["ChecksumCRC32C"] == checksum("crc32c", data[number - 1])
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32C": part["ChecksumCRC32C"]})
    done = complete(s3, bucket, upload, parts)
    joined = b"".join(b64decode(checksum("crc32c", body)) for body in data)
    expected = checksum("crc32c", b"".join(data)) if kind == "FULL_OBJECT" else checksum("crc32c", joined) + "-2"
    assert (done["ChecksumCRC32C"], done["ChecksumType"]) == (expected, kind)


def test_an_upload_without_an_algorithm_takes_parts_with_any_checksum(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    part = send(s3, bucket, upload, 1, b"body")  # the SDK sends a checksum of its own choice
    done = complete(s3, bucket, upload, [part])
    assert lacks(done, "ChecksumType")
    with refused("BadDigest", 400):
        s3.upload_part(
            Bucket=bucket, Key="key", UploadId=begin(s3, bucket), PartNumber=1, Body=b"x", ChecksumCRC32="AAAAAA=="
        )


def test_a_composite_upload_ends_with_the_checksums_of_its_parts(wire: Wire, bucket: str) -> None:
    upload = started(wire, bucket, COMPOSITE)
    value = checksum("crc32", b"body")
    assert sent(wire, bucket, upload, b"body", {"x-amz-checksum-crc32": value}).status == 200
    etag = f"<ETag>{md5_hex(b'body')}</ETag>"
    named = f"{etag}<ChecksumCRC32>{value}</ChecksumCRC32>"
    whole = checksum("crc32", b64decode(value))
    for parts, headers, code in (
        ([etag], {}, "InvalidRequest"),
        ([f"{etag}<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"], {}, "InvalidPart"),
        ([f"{etag}<ChecksumCRC32>AAAA</ChecksumCRC32>"], {}, "InvalidArgument"),
        ([f"{named}<ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>"], {}, "InvalidArgument"),
        ([f"{etag}<ChecksumCRC32C>AAAAAA==</ChecksumCRC32C>"], {}, "BadDigest"),
        ([named], {"x-amz-checksum-type": "FULL_OBJECT"}, "InvalidRequest"),
        ([named], {"x-amz-checksum-type": "HALF"}, "InvalidRequest"),
        ([named], {"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ([named], {"x-amz-checksum-crc32": f"{whole}-2"}, "BadDigest"),
        ([named], {"x-amz-checksum-crc32": f"{whole}-a"}, "InvalidRequest"),
        ([named], {"x-amz-checksum-crc32": "AAAA"}, "InvalidRequest"),
        ([named], {"x-amz-checksum-sha1": checksum("sha1", b"body")}, "InvalidRequest"),
        ([named], {"x-amz-mp-object-size": "5"}, "InvalidRequest"),
        ([named], {"x-amz-mp-object-size": "-4"}, "InvalidRequest"),
    ):
        check_refused(ended(wire, bucket, upload, parts, headers), code, 400)
    done = ended(wire, bucket, upload, [named], {"x-amz-checksum-crc32": f"{whole}-1", "x-amz-mp-object-size": "4"})
    assert (done.status, done.element("ChecksumCRC32")) == (200, f"{whole}-1")
    again = ended(wire, bucket, upload, [named])
    assert (again.status, again.element("ETag")) == (200, done.element("ETag"))


def test_a_checksum_that_no_part_came_with(wire: Wire, bucket: str) -> None:
    upload = started(wire, bucket, {})
    assert sent(wire, bucket, upload, b"body", {}).status == 200
    part = f"<ETag>{md5_hex(b'body')}</ETag><ChecksumCRC32>{checksum('crc32', b'body')}</ChecksumCRC32>"
    check_refused(ended(wire, bucket, upload, [part]), "BadDigest", 400)
