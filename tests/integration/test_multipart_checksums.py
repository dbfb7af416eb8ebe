"""Checksums of multipart uploads: of the parts' checksums, or of the full object."""

from base64 import b64decode

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef

from tests.integration.digests import checksum
from tests.integration.expect import check_refused, refused
from tests.integration.parts import PART, bodies, complete
from tests.integration.wire import Wire


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
