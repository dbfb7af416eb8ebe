"""What the headers of an upload say about the object, and what they ask for that is not there.

A header that would change how an object is stored is honoured or refused, never dropped in silence. Source: S3 API
Reference, PutObject; RFC 2047 for metadata that is not ASCII.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.request import Headers, header_text
from deltaglider_proxy.s3.protocol.tags import parse_tagging_header

MAX_USER_METADATA = 2048
"""Bytes of names, without their prefix, and values."""

DEFAULT_CONTENT_TYPE = "binary/octet-stream"

REDIRECT = "x-amz-website-redirect-location"

_USER = b"x-amz-meta-"
_SYSTEM = (
    b"cache-control",
    b"content-disposition",
    b"content-language",
    b"expires",
    REDIRECT.encode(),
)
_ACLS = frozenset({b"private", b"bucket-owner-full-control"})
_NOT_IMPLEMENTED = (
    (b"x-amz-server-side-encryption-customer-", "SSE-C is not implemented."),
    (b"x-amz-copy-source-server-side-encryption-customer-", "SSE-C is not implemented."),
    (b"x-amz-server-side-encryption-aws-kms-", "SSE-KMS is not implemented."),
    (b"x-amz-server-side-encryption-context", "SSE-KMS is not implemented."),
    (b"x-amz-object-lock-", "Object Lock is not implemented."),
    (b"x-amz-write-offset-bytes", "Appending to objects is not implemented."),
    (b"x-amz-if-match-", "Conditions on time and size are not implemented."),
)
_NOT_IMPLEMENTED_PREFIXES = tuple(prefix for prefix, _ in _NOT_IMPLEMENTED)


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    system: Mapping[str, str]
    """Names in lower case; `content-type` is always there."""
    user: Mapping[str, str]
    """Names in lower case, without `x-amz-meta-`."""
    tags: Mapping[str, str]


def parse_object_headers(headers: Headers) -> ObjectHeaders:
    """Raises MetadataTooLarge, InvalidArgument, InvalidRedirectLocation, InvalidTag."""
    system = {"content-type": header_text(b"content-type", headers.get(b"content-type", b"")) or DEFAULT_CONTENT_TYPE}
    for name in _SYSTEM:
        if name in headers:
            system[name.decode()] = header_text(name, headers[name])
    if not system.get(REDIRECT, "/").startswith(("/", "http://", "https://")):
        raise S3Error(Code.InvalidRedirectLocation)
    if b"content-encoding" in headers:
        encoding = _without_framing(header_text(b"content-encoding", headers[b"content-encoding"]))
        if encoding:
            system["content-encoding"] = encoding
    user: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if name.startswith(_USER):
            user[header_text(name, name[len(_USER) :])] = header_text(name, value)
            size += len(name) - len(_USER) + len(value)
    if size > MAX_USER_METADATA:
        raise S3Error(Code.MetadataTooLarge, fields={"Size": str(size), "MaxSizeAllowed": str(MAX_USER_METADATA)})
    tagging = headers.get(b"x-amz-tagging")
    tags = {} if tagging is None else parse_tagging_header(header_text(b"x-amz-tagging", tagging))
    return ObjectHeaders(system, user, tags)


def _without_framing(encoding: str) -> str:
    """`aws-chunked` describes the request, not the object."""
    tokens = [token.strip() for token in encoding.split(",")]
    return ",".join(token for token in tokens if token and token.lower() != "aws-chunked")


def user_metadata_header(value: str) -> bytes:
    """A metadata value as a response header; what is not ASCII as an encoded word, as S3 returns it."""
    if value.isascii():
        return value.encode()
    return b"=?UTF-8?B?" + b64encode(value.encode()) + b"?="


def refuse_unsupported(headers: Headers, *, encrypted: bool = False) -> None:
    """For requests that store an object. `encrypted`: the backend encrypts, so asking for AES256 is met.

    Raises NotImplemented, InvalidArgument, AccessControlListNotSupported.
    """
    for name in headers:
        if name.startswith(_NOT_IMPLEMENTED_PREFIXES):
            raise S3Error(
                Code.NotImplemented,
                next(message for prefix, message in _NOT_IMPLEMENTED if name.startswith(prefix)),
                {"Header": name.decode("latin-1")},
            )
    encryption = headers.get(b"x-amz-server-side-encryption")
    if encryption is not None and not (encrypted and encryption == b"AES256"):
        if encryption not in (b"AES256", b"aws:kms", b"aws:kms:dsse"):
            raise S3Error(
                Code.InvalidArgument,
                "The encryption method specified is not supported",
                {"ArgumentName": "x-amz-server-side-encryption", "ArgumentValue": encryption.decode("latin-1")},
            )
        raise S3Error(
            Code.NotImplemented,
            f"x-amz-server-side-encryption: {encryption.decode()} is not implemented for this bucket.",
            {"Header": "x-amz-server-side-encryption"},
        )
    check_acl(headers)


def check_acl(headers: Headers) -> None:
    """The owner's full control is all that there is. Raises AccessControlListNotSupported."""
    acl = headers.get(b"x-amz-acl")
    if acl is not None and acl not in _ACLS:
        raise S3Error(Code.AccessControlListNotSupported)
    if any(name.startswith(b"x-amz-grant-") for name in headers):
        raise S3Error(Code.AccessControlListNotSupported)


def check_create_bucket(headers: Headers) -> None:
    """Raises NotImplemented, AccessControlListNotSupported."""
    if headers.get(b"x-amz-bucket-object-lock-enabled", b"").lower() == b"true":
        raise S3Error(
            Code.NotImplemented, "Object Lock is not implemented.", {"Header": "x-amz-bucket-object-lock-enabled"}
        )
    check_acl(headers)


_OVERRIDES = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)


def response_overrides(parameters: Mapping[str, str], *, signed: bool) -> dict[str, str]:
    """Headers of a GET or HEAD that its query replaces. Unsigned, they would let anyone put words into a public
    object's response. Raises InvalidRequest, InvalidArgument.
    """
    if not parameters:
        return {}
    found = {name: parameters[f"response-{name}"] for name in _OVERRIDES if f"response-{name}" in parameters}
    if found and not signed:
        raise S3Error(Code.InvalidRequest, "Request specific response headers cannot be used for anonymous requests.")
    for name, value in found.items():
        if not value.isascii() or not value.isprintable():
            raise S3Error(
                Code.InvalidArgument,
                "Header value cannot be represented using ISO-8859-1.",
                {"ArgumentName": f"response-{name}"},
            )
    return found
