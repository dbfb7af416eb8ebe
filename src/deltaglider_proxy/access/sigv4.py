"""Signature Version 4 of S3: headers, presigned URLs, form policies, and the chain of signed chunks.

Pure functions; the time and the allowed skew are arguments. What does not change between the requests of one client
(the scope, the signing key, the date) is cached: verifying costs two hashes, not nine. Source: AWS documentation,
"Authenticating Requests (AWS Signature Version 4)" of the S3 API Reference.
"""

import hashlib
import hmac
import re
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from deltaglider_proxy.access.canonical import alternatives, canonical_headers
from deltaglider_proxy.access.errors import NO_SUCH_KEY, AccessError, Reason
from deltaglider_proxy.access.identity import Credentials

Headers = Mapping[bytes, bytes]
"""Lower-case names; repeated headers joined by a comma."""

ALGORITHM = b"AWS4-HMAC-SHA256"
MAX_EXPIRES = 604_800
"""Seconds that a presigned URL may be valid: seven days."""

_CACHEABLE = 1024
"""Longer inputs are no client's everyday header, and would let strangers fill the caches with large values."""

_SIGNATURE = re.compile(rb"[0-9a-f]{64}")
_DATE = re.compile(rb"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_UNSIGNED = b"UNSIGNED-PAYLOAD"

_BODY_HEADERS = (
    b"x-amz-content-sha256",
    b"x-amz-decoded-content-length",
    b"x-amz-trailer",
    b"x-amz-sdk-checksum-algorithm",
    b"x-amz-checksum-",
    b"x-amz-date",
)
"""They describe a body, and a presigned URL leaves its body open."""

_MEANINGFUL_HEADERS = (
    *_BODY_HEADERS,
    b"x-amz-meta-",
    b"x-amz-acl",
    b"x-amz-bucket-",
    b"x-amz-bypass-",
    b"x-amz-copy-source",
    b"x-amz-expected-",
    b"x-amz-grant-",
    b"x-amz-if-match-",
    b"x-amz-metadata-",
    b"x-amz-mfa",
    b"x-amz-mp-",
    b"x-amz-object-",
    b"x-amz-rename-",
    b"x-amz-security-token",
    b"x-amz-server-side-",
    b"x-amz-source-",
    b"x-amz-storage-class",
    b"x-amz-tagging",
    b"x-amz-website-",
    b"x-amz-write-offset-",
    b"x-deltaglider-recursive",
)
"""Unsigned, they could be added by anyone on the way; other headers mean nothing to us and are ignored."""


@dataclass(frozen=True, slots=True)
class Scope:
    access_key: str
    date: bytes
    region: bytes
    text: bytes
    """date/region/s3/aws4_request"""


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that was checked, and what the signatures of chunks continue from."""

    access_key: str
    signature: bytes
    timestamp: bytes
    scope: bytes
    presigned: bool
    signing_key: bytes = field(repr=False)
    payload: bytes | None = None
    """What the query of a presigned URL demands of the body, in place of the header x-amz-content-sha256."""


def parse_scope(text: bytes) -> Scope | None:
    parts = text.rsplit(b"/", 4)
    if len(parts) != 5 or parts[3:] != [b"s3", b"aws4_request"] or not all(parts):
        return None
    try:
        access_key = parts[0].decode()
    except UnicodeDecodeError:
        return None
    return Scope(access_key, parts[1], parts[2], b"/".join(parts[1:]))


@lru_cache(1024)
def signing_key(secret: bytes, date: bytes, region: bytes) -> bytes:
    key = hmac.digest(b"AWS4" + secret, date, "sha256")
    for part in (region, b"s3", b"aws4_request"):
        key = hmac.digest(key, part, "sha256")
    return key


@lru_cache(1024)
def _epoch_of(timestamp: bytes) -> int | None:
    match = _DATE.fullmatch(timestamp)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    return timegm((year, month, day, hour, minute, second))


def epoch_of(timestamp: bytes) -> int | None:
    """Seconds since the epoch of `20130524T000000Z`; None for any other form."""
    return _epoch_of(timestamp) if len(timestamp) == 16 else None


@lru_cache(4096)
def _parse_authorization(prefix: bytes) -> tuple[Scope, tuple[bytes, ...], bytes]:
    """Everything of the header but the signature: scope, names of the signed headers, the same as sent."""
    fields: dict[bytes, bytes] = {}
    for item in prefix[len(ALGORITHM) :].split(b","):
        name, separator, value = item.strip().partition(b"=")
        if separator:
            fields[name] = value
    credential, signed = fields.get(b"Credential", b""), fields.get(b"SignedHeaders", b"")
    scope = parse_scope(credential)
    if scope is None or not signed:
        raise AccessError(
            Reason.MALFORMED_HEADER,
            "The authorization header is malformed; expecting "
            '"Credential=<key>/<yyyymmdd>/<region>/s3/aws4_request, SignedHeaders=<names>, Signature=<hex>".',
        )
    return scope, tuple(signed.split(b";")), signed


def _split_authorization(header: bytes) -> tuple[bytes, bytes]:
    """The header without its signature, and the signature."""
    before, _, after = header.partition(b"Signature=")
    signature, comma, rest = after.partition(b",")
    return (before + rest if comma else before), signature.strip()


def is_presigned(query: bytes) -> bool:
    return b"X-Amz-Algorithm=" in query


def is_signed(query: bytes, headers: Headers) -> bool:
    """Whether a request claims to come from somebody, rightly or not."""
    return b"authorization" in headers or is_presigned(query) or b"AWSAccessKeyId=" in query


def verify_request(
    method: str, raw_path: bytes, query: bytes, headers: Headers, credentials: Credentials, now: float, skew: float
) -> Verified:
    """Check the signature of a request that `is_signed`. `now` and `skew` in seconds. Raises AccessError."""
    authorization = headers.get(b"authorization")
    if is_presigned(query):
        if authorization is not None:
            raise AccessError(
                Reason.SEVERAL_SCHEMES,
                "Only one auth mechanism allowed: the X-Amz-Algorithm parameter or the Authorization header.",
            )
        return _verify_presigned(method, raw_path, query, headers, credentials, now, skew)
    if authorization is None:
        raise _unsupported_scheme()
    return _verify_header(method, raw_path, query, headers, authorization, credentials, now, skew)


def _unsupported_scheme() -> AccessError:
    return AccessError(
        Reason.UNSUPPORTED_SCHEME,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )


def _verify_header(
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Headers,
    authorization: bytes,
    credentials: Credentials,
    now: float,
    skew: float,
) -> Verified:
    if authorization.partition(b" ")[0] != ALGORITHM:
        if authorization.startswith(b"AWS4-"):
            raise AccessError(Reason.UNSUPPORTED_ALGORITHM, "Only the algorithm AWS4-HMAC-SHA256 is implemented.")
        raise _unsupported_scheme()
    prefix, signature = _split_authorization(authorization)
    parse = _parse_authorization if len(prefix) <= _CACHEABLE else _parse_authorization.__wrapped__
    scope, signed, signed_text = parse(prefix)
    if b"x-amz-security-token" in headers:
        raise _token_error()
    timestamp = headers.get(b"x-amz-date", b"")
    at = epoch_of(timestamp)
    if at is None:
        raise AccessError(Reason.MISSING_HEADER, "Signed requests need the header x-amz-date, as 20130524T000000Z.")
    payload = headers.get(b"x-amz-content-sha256")
    if payload is None:
        raise AccessError(Reason.MISSING_HEADER, "Missing required header for this request: x-amz-content-sha256")
    secret = _secret(credentials, scope.access_key, now)
    if not timestamp.startswith(scope.date):
        raise AccessError(Reason.BAD_SIGNATURE, "The date of the credential scope is not that of x-amz-date.")
    if abs(now - at) > skew:
        raise _skewed(timestamp, now, skew)
    _require_signed(headers, signed, _MEANINGFUL_HEADERS)
    key = signing_key(secret, scope.date, scope.region)
    _compare(method, raw_path, query, headers, signed, signed_text, payload, timestamp, scope, key, signature)
    return Verified(scope.access_key, signature, timestamp, scope.text, False, key)


_MEANINGFUL_WITHOUT_BODY = tuple(name for name in _MEANINGFUL_HEADERS if name not in _BODY_HEADERS)


def _verify_presigned(
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Headers,
    credentials: Credentials,
    now: float,
    skew: float,
) -> Verified:
    fields = _presigned_fields(query)
    if fields.get(b"X-Amz-Algorithm") != ALGORITHM:
        raise _query_error("X-Amz-Algorithm only supports AWS4-HMAC-SHA256.")
    if b"X-Amz-Security-Token" in fields or b"x-amz-security-token" in headers:
        raise _token_error()
    scope = parse_scope(fields.get(b"X-Amz-Credential", b""))
    if scope is None:
        raise _query_error("X-Amz-Credential must be <key>/<yyyymmdd>/<region>/s3/aws4_request.")
    timestamp = fields.get(b"X-Amz-Date", b"")
    at = epoch_of(timestamp)
    if at is None or not timestamp.startswith(scope.date):
        raise _query_error("X-Amz-Date must be a time as 20130524T000000Z, on the date of X-Amz-Credential.")
    expires = fields.get(b"X-Amz-Expires", b"")
    if not expires.isdigit() or len(expires) > 6 or not 1 <= int(expires) <= MAX_EXPIRES:
        raise _query_error(f"X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES}.")
    signed_text, signature = fields.get(b"X-Amz-SignedHeaders", b""), fields.get(b"X-Amz-Signature", b"")
    if not signed_text or not signature:
        raise _query_error("X-Amz-SignedHeaders and X-Amz-Signature must be given.")
    secret = _secret(credentials, scope.access_key, now)
    if at > now + skew:
        raise _skewed(timestamp, now, skew)
    if now > at + int(expires):
        raise AccessError(Reason.EXPIRED, "Request has expired", {"X-Amz-Expires": expires.decode()})
    signed = tuple(signed_text.split(b";"))
    _require_signed(headers, signed, _MEANINGFUL_WITHOUT_BODY)
    demanded = fields.get(b"X-Amz-Content-Sha256")
    payload = _UNSIGNED if demanded is None else demanded
    if b"x-amz-content-sha256" in signed:
        payload, demanded = headers.get(b"x-amz-content-sha256", payload), None
    key = signing_key(secret, scope.date, scope.region)
    _compare(method, raw_path, query, headers, signed, signed_text, payload, timestamp, scope, key, signature)
    return Verified(scope.access_key, signature, timestamp, scope.text, True, key, demanded)


def _presigned_fields(query: bytes) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for pair in query.split(b"&"):
        if pair.startswith(b"X-Amz-"):
            name, _, value = pair.partition(b"=")
            if name in fields:
                raise _query_error(f"{name.decode('latin-1')} is given twice.")
            fields[name] = unquote_to_bytes(value) if b"%" in value else value
    return fields


def _query_error(message: str) -> AccessError:
    return AccessError(Reason.MALFORMED_QUERY, message)


def _token_error() -> AccessError:
    return AccessError(Reason.SECURITY_TOKEN, "The provided token is malformed or otherwise invalid: none are issued.")


def _skewed(timestamp: bytes, now: float, skew: float) -> AccessError:
    return AccessError(
        Reason.SKEWED,
        "The difference between the request time and the current time is too large.",
        {
            "RequestTime": timestamp.decode("latin-1"),
            "ServerTime": str(int(now)),
            "MaxAllowedSkewMilliseconds": str(int(skew * 1000)),
        },
    )


def _secret(credentials: Credentials, access_key: str, now: float) -> bytes:
    secret = credentials.secret_for(access_key, now)
    if secret is None:
        raise AccessError(
            Reason.UNKNOWN_KEY,
            NO_SUCH_KEY,
            {"AWSAccessKeyId": access_key},
        )
    return secret


def _require_signed(headers: Headers, signed: tuple[bytes, ...], meaningful: tuple[bytes, ...]) -> None:
    if b"host" not in signed:
        raise AccessError(Reason.UNSIGNED_HEADER, "The header host must be signed.")
    for name in headers:
        if name.startswith(b"x-") and name not in signed and name.startswith(meaningful):
            text = name.decode("latin-1")
            raise AccessError(
                Reason.UNSIGNED_HEADER,
                "There were headers present in the request which were not signed",
                {"HeadersNotSigned": text},
            )


def _compare(
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Headers,
    signed: tuple[bytes, ...],
    signed_text: bytes,
    payload: bytes,
    timestamp: bytes,
    scope: Scope,
    key: bytes,
    signature: bytes,
) -> None:
    lines = canonical_headers(headers, signed)
    if lines is None:
        missing = b", ".join(name for name in signed if name not in headers).decode("latin-1")
        raise AccessError(Reason.BAD_SIGNATURE, f"Headers that were signed are not there: {missing}")
    tail = b"\n".join((lines, signed_text, payload))
    start = method.encode()
    failure = None
    for path, canonical in alternatives(raw_path, query):
        request = b"\n".join((start, path, canonical, tail))
        to_sign = _string_to_sign(timestamp, scope.text, hashlib.sha256(request).hexdigest())
        if hmac.compare_digest(hmac.digest(key, to_sign, "sha256").hex().encode(), signature):
            return
        failure = failure or (request, to_sign)
    assert failure is not None
    raise AccessError(
        Reason.BAD_SIGNATURE,
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method.",
        {
            "AWSAccessKeyId": scope.access_key,
            "StringToSign": failure[1].decode("utf-8", "replace"),
            "CanonicalRequest": failure[0].decode("utf-8", "replace"),
        },
    )


def _string_to_sign(timestamp: bytes, scope: bytes, digest: str) -> bytes:
    return b"AWS4-HMAC-SHA256\n" + timestamp + b"\n" + scope + b"\n" + digest.encode()


def verify_form(fields: Mapping[str, str], credentials: Credentials, now: float) -> Verified:
    """Check the signature of a browser form's policy; `fields` have lower-case names. The policy's own expiration, not
    a skew, limits it: `now` is for keys that expire. Raises AccessError.
    """
    if "x-amz-security-token" in fields:
        raise _token_error()
    names = ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")
    missing = [name for name in names if not fields.get(name)]
    if missing:
        raise AccessError(Reason.INCOMPLETE_FORM, f"The form lacks the fields: {', '.join(missing)}")
    policy, algorithm, credential, date, signature = (fields[name].encode() for name in names)
    scope = parse_scope(credential)
    if algorithm != ALGORITHM or scope is None:
        raise AccessError(
            Reason.MALFORMED_FORM,
            "x-amz-algorithm must be AWS4-HMAC-SHA256 and x-amz-credential <key>/<yyyymmdd>/<region>/s3/aws4_request.",
        )
    if epoch_of(date) is None or not date.startswith(scope.date):
        raise AccessError(Reason.INCOMPLETE_FORM, "x-amz-date must be on the date of x-amz-credential.")
    key = signing_key(_secret(credentials, scope.access_key, now), scope.date, scope.region)
    if not hmac.compare_digest(hmac.digest(key, policy, "sha256").hex().encode(), signature):
        raise AccessError(
            Reason.BAD_SIGNATURE,
            "The signature of the form's policy does not match.",
            {"AWSAccessKeyId": scope.access_key, "StringToSign": policy.decode()},
        )
    return Verified(scope.access_key, signature, date, scope.text, False, key)
