"""A request as its bytes say it, and what it addresses.

The path is decoded once and never normalised: `//`, `.` and `..` are ordinary parts of keys, and the signature covers
the path as it was sent. Addressing is path style, or virtual-host style below one configured domain.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.names import check_bucket_name

Headers = Mapping[bytes, bytes]
"""Values by lower-case name; a header that came several times has its values joined by a comma."""

MAX_KEY = 1024
"""Bytes of UTF-8."""

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NO_PARAMETERS: Mapping[str, str] = {}


class Request:
    """The head of one request. A plain class: a frozen dataclass costs three times as much to make on the hot path."""

    __slots__ = ("bucket", "headers", "key", "method", "parameters", "query", "raw_path")

    method: str
    raw_path: bytes
    """Without the query, as sent."""
    query: bytes
    headers: Headers
    bucket: str
    """Empty for the service itself."""
    key: str
    """Empty for the bucket itself."""
    parameters: Mapping[str, str]
    """The query, decoded; a sub-resource such as `?acl` has an empty value; the first of equal names counts."""

    def header(self, name: bytes) -> str | None:
        """A header's value as text: UTF-8, or InvalidArgument."""
        value = self.headers.get(name)
        return None if value is None else header_text(name, value)


def header_text(name: bytes, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise S3Error(
            Code.InvalidArgument, "The header value is not UTF-8.", {"ArgumentName": name.decode("latin-1")}
        ) from error


def parse_request(
    method: str, raw_path: bytes, query: bytes, headers: Sequence[tuple[bytes, bytes]], domain: bytes = b""
) -> Request:
    """Header names must be in lower case; `domain`, if any, is the lower-case base of virtual-host names.

    Raises InvalidURI, InvalidBucketName, KeyTooLongError, InvalidArgument.
    """
    request = Request()
    request.method = method
    request.raw_path = raw_path
    request.query = query
    request.headers = index(headers)
    request.parameters = parse_query(query) if query else _NO_PARAMETERS
    bucket = _virtual_bucket(request.headers.get(b"host", b""), domain) if domain else ""
    if bucket:
        key = raw_path[1:]
    else:
        first, _, key = raw_path[1:].partition(b"/")
        bucket = decode(first)
        if not bucket and key:
            raise S3Error(Code.InvalidBucketName, fields={"BucketName": ""})
    if bucket:
        check_bucket_name(bucket)
    request.bucket = bucket
    request.key = parse_key(key) if key else ""
    return request


def index(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    found = dict(headers)
    if len(found) == len(headers):
        return found
    repeated: dict[bytes, bytes] = {}
    for name, value in headers:
        repeated[name] = repeated[name] + b"," + value if name in repeated else value
    return repeated


@lru_cache(1024)
def _virtual_bucket(host: bytes, domain: bytes) -> str:
    name = host.lower()
    if not name.startswith(b"["):
        name = name.partition(b":")[0]
    label = name.removesuffix(b"." + domain)
    return "" if label == name else label.decode("latin-1")


def decode(raw: bytes) -> str:
    """Percent-decoded UTF-8. Raises InvalidURI."""
    if b"%" in raw:
        if _BAD_ESCAPE.search(raw):
            raise S3Error(Code.InvalidURI)
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise S3Error(Code.InvalidURI) from error


def parse_key(raw: bytes) -> str:
    """A percent-encoded key. Raises InvalidURI, KeyTooLongError, InvalidArgument."""
    key = decode(raw)
    check_key(key)
    return key


def check_key(key: str) -> None:
    """Raises KeyTooLongError, InvalidArgument."""
    if len(key) > MAX_KEY // 4 and (size := len(key.encode())) > MAX_KEY:
        raise S3Error(Code.KeyTooLongError, fields={"Size": str(size), "MaxSizeAllowed": str(MAX_KEY)})
    if "\0" in key:
        raise S3Error(Code.InvalidArgument, "A key must not contain the NUL character.", {"ArgumentName": "key"})


def parse_query(query: bytes) -> Mapping[str, str]:
    """Raises InvalidURI."""
    parameters: dict[str, str] = {}
    try:
        text = query.decode()
    except UnicodeDecodeError as error:
        raise S3Error(Code.InvalidURI) from error
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            if "%" in pair or "+" in pair:
                name, value = _decode_parameter(name), _decode_parameter(value)
            parameters.setdefault(name, value)
    return parameters


def _decode_parameter(text: str) -> str:
    return decode(text.replace("+", " ").encode())
