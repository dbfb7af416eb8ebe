"""Encryption of what a backend stores: at most one mode for writing, and a former key for reading."""

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.model import Model
from deltaglider_proxy.config.secret import Secret

_KEY = re.compile(r"[0-9a-fA-F]{64}")
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")

HexKey = Annotated[Secret, Field(json_schema_extra={"pattern": f"^{_KEY.pattern}$"})]


class _Legacy(Model):
    legacy_key: HexKey | None = None
    """A former key, 64 hex digits; used only to decrypt."""
    legacy_key_id: str | None = None
    """Id of the former key; derived from it by default."""


class Unencrypted(_Legacy):
    mode: Literal["none"] = "none"
    """Store plain."""


class ProxyAes(_Legacy):
    mode: Literal["aes256-gcm-proxy"]
    """Encrypt in the proxy; the backend never sees plain bytes."""
    key: HexKey | None = None
    """64 hex digits."""
    key_id: str | None = None
    """1 to 64 letters, digits, `_`, `.` or `-`; derived from the key by default."""


class SseKms(_Legacy):
    mode: Literal["sse-kms"]
    """Have the S3 backend encrypt with a key of its key service."""
    kms_key_id: str | None = None
    """Id or ARN of the key; required, here or in the environment."""
    bucket_key_enabled: bool = True
    """Let the backend use bucket keys, which saves requests to the key service."""


class SseS3(_Legacy):
    mode: Literal["sse-s3"]
    """Have the S3 backend encrypt with its own key."""


def _tag(value: object) -> object:
    return value.get("mode", "none") if isinstance(value, dict) else getattr(value, "mode", "none")


Encryption = Annotated[
    Annotated[Unencrypted, Tag("none")]
    | Annotated[ProxyAes, Tag("aes256-gcm-proxy")]
    | Annotated[SseKms, Tag("sse-kms")]
    | Annotated[SseS3, Tag("sse-s3")],
    Discriminator(_tag),
]


def derived_key_id(name: str, key: str) -> str:
    """Id of the key of the backend `name`, when none is configured."""
    return hashlib.sha256(name.encode() + b"\0" + key.encode()).hexdigest()[:16]


def check(encryption: Encryption, keys: Keys, *, filesystem: bool, complete: bool) -> Iterator[Finding]:
    """`complete`: the environment has been applied, so what is missing now stays missing."""
    if isinstance(encryption, ProxyAes):
        yield from _check_key((*keys, "key"), encryption.key)
        if encryption.key_id is not None and not _KEY_ID.fullmatch(encryption.key_id):
            yield error((*keys, "key_id"), "is no key id", "use 1-64 of A-Z a-z 0-9 _ . -", value=encryption.key_id)
        if not encryption.key:
            report = error if complete else warning
            yield report((*keys, "key"), "this mode needs a key", "set it here or in the environment")
    if isinstance(encryption, SseKms) and not encryption.kms_key_id:
        report = error if complete else warning
        yield report((*keys, "kms_key_id"), "this mode needs a key id", "set it here or in the environment")
    if isinstance(encryption, SseKms | SseS3) and filesystem:
        yield error((*keys, "mode"), "a filesystem backend has no encryption of its own", "use aes256-gcm-proxy")
    yield from _check_key((*keys, "legacy_key"), encryption.legacy_key)


def key_ids(name: str, encryption: Encryption) -> Iterator[tuple[str, Secret]]:
    """Every key that a backend uses, with its id."""
    if isinstance(encryption, ProxyAes) and encryption.key:
        yield encryption.key_id or derived_key_id(name, encryption.key.reveal()), encryption.key
    if encryption.legacy_key:
        legacy = encryption.legacy_key
        yield encryption.legacy_key_id or derived_key_id(f"{name}::legacy", legacy.reveal()), legacy


def _check_key(keys: Keys, key: Secret | None) -> Iterator[Finding]:
    if key and not _KEY.fullmatch(key.reveal()):
        yield error(keys, "must be 64 hex digits", "generate one with `openssl rand -hex 32`")
