"""What a service answered, and what that means to callers of the backend: the one place that knows the codes of S3.

Status and code decide, never the text of a message. An answer to a mutation that does not say whether it was done is
`Uncertain`; 503 and its relatives say that it was not. Source: S3 API Reference, "Error responses".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from deltaglider_proxy.storage.backend import Stored
from deltaglider_proxy.storage.backends.s3 import documents, metadata
from deltaglider_proxy.storage.errors import (
    BucketExists,
    ConditionFailed,
    Denied,
    DiskFull,
    KeyRejected,
    MetadataTooLarge,
    NoSuchBucket,
    NoSuchKey,
    StorageError,
    Unavailable,
    Uncertain,
    Unsupported,
)

_BUSY_CODES: Final = frozenset(
    {"SlowDown", "ServiceUnavailable", "Busy", "RequestTimeout", "OperationAborted", "ThrottlingException",
     "TooManyRequests", "SlowDownRead", "SlowDownWrite", "XMinioServerNotInitialized"}
)  # fmt: skip
_KINDS: Final[Mapping[str, type[StorageError]]] = {
    "NoSuchBucket": NoSuchBucket,
    "NoSuchKey": NoSuchKey,
    "PreconditionFailed": ConditionFailed,
    "ConditionalRequestConflict": ConditionFailed,
    "BucketAlreadyExists": BucketExists,
    "BucketAlreadyOwnedByYou": BucketExists,
    "KeyTooLongError": KeyRejected,
    "ObjectParentIsFile": KeyRejected,  # of services that keep objects as files
    "ExistingObjectIsDirectory": KeyRejected,
    "XMinioParentIsObject": KeyRejected,
    "XMinioObjectExistsAsDirectory": KeyRejected,
    "XMinioInvalidObjectName": KeyRejected,
    "MetadataTooLarge": MetadataTooLarge,
    "NotImplemented": Unsupported,
    "XNotImplemented": Unsupported,
    "InsufficientStorage": DiskFull,
    "QuotaExceeded": DiskFull,
    "XMinioStorageFull": DiskFull,
    "XMinioAdminBucketQuotaExceeded": DiskFull,
}
_DENIED_CODES: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "ExpiredToken", "InvalidToken",
     "XAdminUserNotFound"}
)  # fmt: skip
"""Some of them come with 400 or 404."""
_ELSEWHERE_CODES: Final = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
)
"""The bucket is in another region than the one that was asked and signed for."""
_BY_STATUS: Final[Mapping[int, type[StorageError]]] = {412: ConditionFailed, 501: Unsupported, 507: DiskFull}
_REGION: Final = "x-amz-bucket-region"
READABLE_CLASSES: Final = frozenset(
    {"STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY", "GLACIER_IR"}
)
"""Those whose objects can be read at once."""


class Busy(Unavailable):
    """Surely not done, or a read, and likely to succeed soon: the client repeats it."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Case-insensitive."""
    body: bytes

    @property
    def good(self) -> bool:
        return self.status < 300

    @property
    def code(self) -> str:
        """Of the error document; empty if there is none, as in answers to HEAD."""
        return documents.error_of(self.body)[0]

    @property
    def etag(self) -> str:
        return documents.etag(self.headers.get("etag", ""))


def meaning(answer: Answer, subject: str, *, mutation: bool) -> StorageError:
    """The error that an answer which is no success stands for; `subject` names what was tried."""
    code, message = documents.error_of(answer.body)
    said = f"{subject}: {answer.status} {code or 'without a code'}" + (f": {message}" if message else "")
    kind = _KINDS.get(code)
    if kind is not None:
        return kind(said)
    if answer.status in (429, 503) or code in _BUSY_CODES:
        return Busy(said)
    if answer.status >= 500 and answer.status not in _BY_STATUS:
        return Uncertain(said) if mutation else Busy(said)
    if 300 <= answer.status < 400 or code in _ELSEWHERE_CODES or (answer.status == 400 and _REGION in answer.headers):
        return Unavailable(f"{said}; {_where(answer)}")
    if code == "RequestTimeTooSkewed":
        theirs = answer.headers.get("date") or documents.detail(answer.body, "ServerTime") or "not told"
        return Denied(f"{said}; set the clock of this host: the time of the service is {theirs[:50]}")
    if answer.status in (401, 403) or code in _DENIED_CODES:
        return Denied(f"{said}; check the key pair of this backend and what it is allowed to do")
    return _BY_STATUS.get(answer.status, Unavailable)(said)


def _where(answer: Answer) -> str:
    """What to do about an answer that points elsewhere. It is never followed: whoever wrote it would choose the host
    that our signed requests go to.
    """
    region = answer.headers.get(_REGION) or documents.detail(answer.body, "Region")
    host = documents.detail(answer.body, "Endpoint") or answer.headers.get("location", "")
    named = [f"{name} {value[:100]!r}" for name, value in (("region", region), ("endpoint", host)) if value]
    told = f" (the service names {' and '.join(named)})" if named else ""
    return f"it is not followed; the endpoint or the region of this backend is wrong for the bucket{told}"


def hidden_error(answer: Answer, subject: str, *, mutation: bool) -> StorageError | None:
    """The error in the body of an answer that began with 200 before its outcome was known; None if there is none.

    Without a code that says otherwise, nobody knows what became of the request.
    """
    code, message = documents.error_of(answer.body)
    if not code:
        return None
    kind = _KINDS.get(code) or (Busy if code in _BUSY_CODES else None)
    said = f"{subject}: 200 {code}: {message}"
    if kind is not None:
        return kind(said)
    return Uncertain(said) if mutation else Busy(said)


def describe(answer: Answer, key: str, size: int | None = None) -> Stored:
    """The generation that the headers of HEAD or GET speak of; `size` where they do not have that of the object."""
    length = int(answer.headers.get("content-length", "0")) if size is None else size
    return Stored(key, length, answer.etag, moment(answer, "last-modified"), metadata.from_headers(answer.headers))


def moment(answer: Answer, header: str) -> float:
    """Seconds since the epoch that a date header names; 0 if it is missing or no date."""
    try:
        return parsedate_to_datetime(answer.headers[header]).timestamp()
    except (KeyError, ValueError):
        return 0.0


def md5_of(headers: Mapping[str, str]) -> str | None:
    """The MD5 of the object's bytes, if its ETag is that and not something of the encryption or of parts."""
    value = documents.etag(headers.get("etag", ""))
    other = (
        headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
        or "x-amz-server-side-encryption-customer-algorithm" in headers
    )
    return value if len(value) == 32 and not other and _is_hex(value) else None


def storage_class(answer: Answer) -> str | None:
    """The object's class, where it is another than the usual one and one that can be written and read at once."""
    found = answer.headers.get("x-amz-storage-class")
    return found if found in READABLE_CLASSES else None


def _is_hex(value: str) -> bool:
    return not value.strip("0123456789abcdef")
