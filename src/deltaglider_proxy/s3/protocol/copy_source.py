"""Where a copy comes from, and what it takes along. The source is percent-decoded once, after the version was split
off, so a `?` in a key must be encoded. Source: S3 API Reference, CopyObject.
"""

from dataclasses import dataclass
from enum import Enum

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.names import check_bucket_name
from deltaglider_proxy.s3.protocol.request import Headers, check_key, decode


class Directive(Enum):
    COPY = "COPY"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True)
class CopySource:
    bucket: str
    key: str


def parse_copy_source(headers: Headers) -> CopySource:
    """Raises InvalidArgument, InvalidBucketName, NotImplemented, and what a bad key raises."""
    raw = headers[b"x-amz-copy-source"]
    if raw.startswith(b"arn:"):
        raise S3Error(Code.NotImplemented, "x-amz-copy-source must be bucket/key: access points are not implemented.")
    path, question, version = raw.partition(b"?")
    if question and version != b"versionId=null":
        raise S3Error(
            Code.InvalidArgument,
            "x-amz-copy-source names a version that does not exist: only versionId=null does.",
            {"ArgumentName": "x-amz-copy-source"},
        )
    # The separator may itself be encoded: some clients encode the whole value.
    try:
        decoded = decode(path)
    except S3Error as error:
        raise S3Error(
            Code.InvalidArgument,
            "Invalid copy source encoding",
            {"ArgumentName": "x-amz-copy-source", "ArgumentValue": path.decode("latin-1")},
        ) from error
    bucket, separator, key = decoded.removeprefix("/").partition("/")
    if not separator or not key:
        raise S3Error(
            Code.InvalidArgument,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            {"ArgumentName": "x-amz-copy-source"},
        )
    check_bucket_name(bucket)
    check_key(key)
    return CopySource(bucket, key)


def parse_directive(headers: Headers, name: bytes) -> Directive:
    """`x-amz-metadata-directive` or `x-amz-tagging-directive`. Raises InvalidArgument."""
    value = headers.get(name, b"COPY").decode("latin-1")
    try:
        return Directive(value)
    except ValueError as error:
        raise S3Error(
            Code.InvalidArgument,
            f"{name.decode()} must be COPY or REPLACE.",
            {"ArgumentName": name.decode(), "ArgumentValue": value},
        ) from error
