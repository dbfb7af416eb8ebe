"""What a list request asks for, as one value.

Continuation tokens are opaque and carry a version and a check, so that a later form can be told from this one; a token
that is none of ours is taken as the raw key that other servers hand out.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from deltaglider_proxy.s3.protocol.errors import Code, S3Error

Parameters = Mapping[str, str]

MAX_KEYS = 1000
MAX_BUCKETS = 10_000
_TOKEN = "dgp1."  # noqa: S105 - the mark of the format, not a secret


@dataclass(frozen=True, slots=True)
class ListQuery:
    """ListObjects of either version. `after` is where to go on, exclusive; "" begins at the start."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = MAX_KEYS
    url_encoded: bool = False
    marker: str = ""
    """V1, as given."""
    token: str | None = None
    """V2, as given."""
    start_after: str | None = None
    """V2, as given."""
    fetch_owner: bool = False
    metadata: bool = False
    """V2, an extension: show what is known of each object."""


@dataclass(frozen=True, slots=True)
class VersionsQuery:
    prefix: str
    delimiter: str
    key_marker: str
    version_marker: str
    limit: int
    url_encoded: bool


@dataclass(frozen=True, slots=True)
class UploadsQuery:
    prefix: str
    delimiter: str
    key_marker: str
    upload_marker: str
    """Counts only together with `key_marker`."""
    limit: int
    url_encoded: bool


@dataclass(frozen=True, slots=True)
class PartsQuery:
    upload_id: str
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class BucketsQuery:
    prefix: str
    after: str
    limit: int


def encode_token(last: str) -> str:
    """The token that continues after `last`, a key or a common prefix."""
    raw = last.encode()
    return _TOKEN + urlsafe_b64encode(zlib.crc32(raw).to_bytes(4, "big") + raw).decode()


def decode_token(token: str) -> str:
    if token.startswith(_TOKEN):
        try:
            raw = urlsafe_b64decode(token.removeprefix(_TOKEN).encode())
            if raw[:4] == zlib.crc32(raw[4:]).to_bytes(4, "big"):
                return raw[4:].decode()
        except ValueError:
            return token
    return token


def parse_objects_v1(parameters: Parameters) -> ListQuery:
    """Raises InvalidArgument, as all of these."""
    marker = parameters.get("marker", "")
    return ListQuery(
        prefix=_text(parameters, "prefix"),
        delimiter=_text(parameters, "delimiter"),
        after=_text(parameters, "marker"),
        limit=_limit(parameters, "max-keys"),
        url_encoded=_url_encoded(parameters),
        marker=marker,
    )


def parse_objects_v2(parameters: Parameters) -> ListQuery:
    token = parameters.get("continuation-token")
    start_after = parameters.get("start-after")
    if token == "":
        raise _invalid("continuation-token", token, "The continuation token must not be empty.")
    return ListQuery(
        prefix=_text(parameters, "prefix"),
        delimiter=_text(parameters, "delimiter"),
        after=decode_token(token) if token is not None else _text(parameters, "start-after"),
        limit=_limit(parameters, "max-keys"),
        url_encoded=_url_encoded(parameters),
        token=token,
        start_after=start_after,
        fetch_owner=parameters.get("fetch-owner", "").lower() == "true",
        metadata=parameters.get("metadata", "").lower() == "true",
    )


def parse_versions(parameters: Parameters) -> VersionsQuery:
    key_marker, version_marker = _text(parameters, "key-marker"), parameters.get("version-id-marker", "")
    if version_marker and not key_marker:
        raise _invalid("version-id-marker", version_marker, "A version-id-marker needs a key-marker.")
    return VersionsQuery(
        prefix=_text(parameters, "prefix"),
        delimiter=_text(parameters, "delimiter"),
        key_marker=key_marker,
        version_marker=version_marker,
        limit=_limit(parameters, "max-keys"),
        url_encoded=_url_encoded(parameters),
    )


def parse_uploads(parameters: Parameters) -> UploadsQuery:
    key_marker = _text(parameters, "key-marker")
    return UploadsQuery(
        prefix=_text(parameters, "prefix"),
        delimiter=_text(parameters, "delimiter"),
        key_marker=key_marker,
        upload_marker=parameters.get("upload-id-marker", "") if key_marker else "",
        limit=_limit(parameters, "max-uploads"),
        url_encoded=_url_encoded(parameters),
    )


def parse_parts(parameters: Parameters) -> PartsQuery:
    marker = parameters.get("part-number-marker", "")
    return PartsQuery(
        upload_id=parameters["uploadId"],
        after=_integer("part-number-marker", marker) if marker else 0,
        limit=_limit(parameters, "max-parts"),
    )


def parse_buckets(parameters: Parameters) -> BucketsQuery:
    limit = _limit(parameters, "max-buckets", MAX_BUCKETS)
    if limit == 0:
        raise _invalid("max-buckets", "0", f"max-buckets must be from 1 to {MAX_BUCKETS}.")
    return BucketsQuery(
        prefix=_text(parameters, "prefix"), after=decode_token(parameters.get("continuation-token", "")), limit=limit
    )


def part_number(parameters: Parameters) -> int | None:
    """`partNumber`, from 1 to 10 000; None if it is not given."""
    text = parameters.get("partNumber")
    if text is None:
        return None
    number = _integer("partNumber", text)
    if not 1 <= number <= 10_000:
        raise _invalid("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive.")
    return number


def _text(parameters: Parameters, name: str) -> str:
    text = parameters.get(name, "")
    if "\0" in text:
        raise _invalid(name, "", f"{name} must not contain the NUL character.")
    return text


def _limit(parameters: Parameters, name: str, most: int = MAX_KEYS) -> int:
    text = parameters.get(name, "")
    return min(_integer(name, text), most) if text else most


def _integer(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) > 2**31 - 1:
        raise _invalid(name, text, f"Provided {name} not an integer or within integer range")
    return int(text)


def _url_encoded(parameters: Parameters) -> bool:
    encoding = parameters.get("encoding-type")
    if encoding not in (None, "", "url"):
        raise _invalid("encoding-type", encoding, "Invalid Encoding Method specified in Request: use url")
    return encoding == "url"


def _invalid(name: str, value: str | None, message: str) -> S3Error:
    return S3Error(Code.InvalidArgument, message, {"ArgumentName": name, "ArgumentValue": (value or "")[:256]})
