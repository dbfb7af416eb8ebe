"""The policy of an upload form: what its signer allows to be uploaded, and until when.

Conditions are tested on what will be stored: the key after `${filename}` was filled in. Every field of the form must
be covered by a condition, else a signed form could be extended by whoever fills it in. Source: S3 API Reference, "POST
policy".
"""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import cast
from urllib.parse import urlencode

from deltaglider_proxy.s3.protocol.dates import parse_iso
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.request import check_key

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

_UNCOVERED = frozenset(
    {
        "policy",
        "x-amz-signature",
        "x-amz-credential",
        "x-amz-algorithm",
        "x-amz-date",
        "x-amz-security-token",
        "file",
        "submit",
    }
)
_ACLS = frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"})
_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    }
)
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_STATUSES = {"200": 200, "201": 201, "204": 204}


class _Test(Enum):
    EQUALS = "eq"
    STARTS_WITH = "starts-with"


@dataclass(frozen=True, slots=True)
class Condition:
    test: _Test
    field: str
    """In lower case, without `$`."""
    value: str

    def holds(self, value: str) -> bool:
        match self.test:
            case _Test.EQUALS:
                return value == self.value
            case _Test.STARTS_WITH:
                if self.field == "content-type":
                    # S3 lets a list of types be written in one field, and every one of them must begin so.
                    return all(item.strip().startswith(self.value) for item in value.split(","))
                return value.startswith(self.value)


@dataclass(frozen=True, slots=True)
class Policy:
    expiration: float
    """Seconds since the epoch."""
    conditions: tuple[Condition, ...]
    least: int = 0
    most: int | None = None
    """Bytes of the file, both inclusive."""

    def check(self, fields: Mapping[str, str], bucket: str, now: float) -> None:
        """`fields` have lower-case names, and the final `key`. Raises AccessDenied."""
        if now >= self.expiration:
            raise _denied("Policy expired.")
        values = {**fields, "bucket": bucket}
        for condition in self.conditions:
            if not condition.holds(values.get(condition.field, "")):
                raise _denied(f'Policy Condition failed: ["{condition.test.value}", "${condition.field}", …]')
        covered = {condition.field for condition in self.conditions}
        # The bucket counts as a field: a policy that does not name it would be good for every bucket of its signer.
        extra = [
            name
            for name in values
            if name not in covered and name not in _UNCOVERED and not name.startswith("x-ignore-")
        ]
        if extra:
            raise _denied(f"Extra input fields: {', '.join(sorted(extra))[:200]}")

    def check_size(self, size: int, *, complete: bool) -> None:
        """Raises EntityTooLarge as soon as `size` bytes are too many, and EntityTooSmall once the file is complete."""
        if self.most is not None and size > self.most:
            raise S3Error(Code.EntityTooLarge, fields={"ProposedSize": str(size), "MaxSizeAllowed": str(self.most)})
        if complete and size < self.least:
            raise S3Error(Code.EntityTooSmall, fields={"ProposedSize": str(size), "MinSizeAllowed": str(self.least)})


@dataclass(frozen=True, slots=True)
class Success:
    """How the browser is answered."""

    status: int
    redirect: str = ""


def final_key(fields: Mapping[str, str], file_name: str) -> str:
    """The key, with `${filename}` filled in. Raises InvalidArgument, KeyTooLongError."""
    key = fields.get("key", "").replace("${filename}", file_name)
    if not key:
        raise S3Error(Code.InvalidArgument, "Bucket POST must contain a field named 'key'.", {"ArgumentName": "key"})
    check_key(key)
    return key


def parse_success(fields: Mapping[str, str]) -> Success:
    """A status that S3 does not know counts as 204, as there."""
    redirect = fields.get("success_action_redirect") or fields.get("redirect", "")
    if redirect.startswith(("http://", "https://")) and redirect.isascii() and redirect.isprintable():
        return Success(303, redirect)
    return Success(_STATUSES.get(fields.get("success_action_status", ""), 204))


def check_fields(fields: Mapping[str, str]) -> None:
    """Raises NotImplemented for fields that ask for what is not there."""
    acl = fields.get("acl") or fields.get("x-amz-acl")
    if acl is not None and acl not in _ACLS:
        raise S3Error(Code.NotImplemented, f"The acl {acl[:64]} is not implemented: use private.")


def form_headers(fields: Mapping[str, str]) -> dict[bytes, bytes]:
    """The fields that are headers in a PUT, as its headers would be. They come back in responses, so what no header
    can hold is refused here. Raises MalformedPOSTRequest.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in fields.items():
        if name in _HEADERS or name.startswith(("x-amz-meta-", "x-amz-checksum-", "x-amz-server-side-encryption")):
            if _TOKEN.fullmatch(name) is None or _CONTROL.search(value):
                raise S3Error(Code.MalformedPOSTRequest, f"The field {name[:64]!r} cannot be a header.")
            headers[name.encode()] = value.encode()
    return headers


def redirect_location(redirect: str, bucket: str, key: str, etag: str) -> str:
    """Where a browser goes after its upload; the page learns what was stored."""
    query = urlencode({"bucket": bucket, "key": key, "etag": f'"{etag}"'})
    return f"{redirect}{'&' if '?' in redirect else '?'}{query}"


def parse_policy(encoded: str) -> Policy:
    """From base64 of JSON. Raises InvalidPolicyDocument."""
    try:
        document = cast("Json", json.loads(b64decode(encoded, validate=True).decode()))
    except (ValueError, RecursionError) as error:
        raise _invalid("it must be JSON in base64") from error
    if not isinstance(document, dict):
        raise _invalid("it must be an object")
    expiration = document.get("expiration")
    moment = parse_iso(expiration) if isinstance(expiration, str) else None
    if moment is None:
        raise _invalid("expiration must be a time such as 2030-12-01T12:00:00.000Z")
    items = document.get("conditions")
    if not isinstance(items, list):
        raise _invalid("conditions must be an array")
    conditions: list[Condition] = []
    least, most = 0, None
    for item in items:
        if isinstance(item, dict) and item:
            conditions += [Condition(_Test.EQUALS, name.lower(), _string(value)) for name, value in item.items()]
        elif isinstance(item, list) and len(item) == 3:
            if _string(item[0]).lower() == "content-length-range":
                low, high = _number(item[1]), _number(item[2])
                least, most = max(least, low), high if most is None else min(most, high)
            else:
                conditions.append(_condition(item))
        else:
            raise _invalid("a condition must be an object or an array of three")
    return Policy(moment, tuple(conditions), least, most)


def _condition(item: list[Json]) -> Condition:
    test, field = _string(item[0]).lower(), _string(item[1])
    if test not in ("eq", "starts-with") or not field.startswith("$"):
        raise _invalid("a condition must be eq, starts-with or content-length-range, on a $field")
    return Condition(_Test(test), field[1:].lower(), _string(item[2]))


def _string(value: Json) -> str:
    if not isinstance(value, str):
        raise _invalid("names and values of conditions must be text")
    return value


def _number(value: Json) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _invalid("the ends of content-length-range must be numbers of bytes")
    return value


def _invalid(what: str) -> S3Error:
    return S3Error(Code.InvalidPolicyDocument, f"Invalid Policy: {what}.")


def _denied(message: str) -> S3Error:
    return S3Error(Code.AccessDenied, f"Invalid according to Policy: {message}")
