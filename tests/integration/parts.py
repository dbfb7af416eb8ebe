"""Multipart uploads, a step at a time."""

import hashlib
import random
from collections.abc import Sequence

from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CompleteMultipartUploadOutputTypeDef

PART = 5 << 20


def bodies(seed: int, *sizes: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(size) for size in sizes]


def begin(s3: S3Client, bucket: str, key: str = "key") -> str:
    return s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]


def send(s3: S3Client, bucket: str, upload: str, number: int, body: bytes, key: str = "key") -> CompletedPartTypeDef:
    answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
    assert answer["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(
    s3: S3Client, bucket: str, upload: str, parts: Sequence[CompletedPartTypeDef], key: str = "key"
) -> CompleteMultipartUploadOutputTypeDef:
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def etag_of(parts: Sequence[bytes]) -> str:
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(joined).hexdigest()}-{len(parts)}"'
