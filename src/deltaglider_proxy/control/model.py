"""What the control plane holds, as plain values. Times are seconds since the epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

Conditions = Mapping[str, Mapping[str, tuple[str, ...]]]
"""By operator, then by context key, the values of which one must match."""


class Revealable(Protocol):
    """A secret text, opened by whoever says so."""

    def reveal(self) -> str: ...


class Effect(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule of a user or a group. A Deny that matches wins over every Allow."""

    effect: Effect
    actions: tuple[str, ...]
    """Of `read`, `write`, `delete`, `list`, `admin` and `*`."""
    resources: tuple[str, ...]
    """As written, `${iam:…}` included."""
    conditions: Conditions = field(default_factory=dict)


class AuthSource(StrEnum):
    LOCAL = "local"
    EXTERNAL = "external"
    """Made at the first sign-in through a provider."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    access_key_id: str
    secret: Revealable = field(repr=False)
    created_at: float
    enabled: bool = True
    expires_at: float | None = None

    def usable(self, now: float) -> bool:
        return self.enabled and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    keys: tuple[AccessKey, ...]
    """Oldest first; never empty."""
    enabled: bool
    auth_source: AuthSource
    created_at: float
    permissions: tuple[Permission, ...] = ()
    group_ids: tuple[int, ...] = ()


class MembershipSource(StrEnum):
    MANUAL = "manual"
    MAPPING = "mapping"
    """Given by a mapping rule, and taken when no rule gives it any more."""


@dataclass(frozen=True, slots=True)
class Group:
    id: int
    name: str
    description: str
    created_at: float
    permissions: tuple[Permission, ...] = ()
    member_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthProvider:
    id: int
    name: str
    provider_type: str
    enabled: bool
    priority: int
    display_name: str | None
    client_id: str | None
    client_secret: Revealable | None = field(repr=False)
    issuer_url: str | None
    scopes: str
    extra_config: Mapping[str, object]
    created_at: float
    updated_at: float


class MatchType(StrEnum):
    EMAIL_EXACT = "email_exact"
    EMAIL_DOMAIN = "email_domain"
    EMAIL_GLOB = "email_glob"
    EMAIL_REGEX = "email_regex"
    CLAIM_VALUE = "claim_value"


@dataclass(frozen=True, slots=True)
class MappingRule:
    """Who joins a group at sign-in."""

    id: int
    provider_id: int | None
    """None: whoever signs in, through any provider."""
    priority: int
    match_type: MatchType
    match_field: str
    match_value: str
    group_id: int
    created_at: float


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    id: int
    user_id: int
    provider_id: int
    external_sub: str
    email: str | None
    display_name: str | None
    last_login: float | None
    raw_claims: Mapping[str, object]
    created_at: float
    email_verified: bool


class SessionKind(StrEnum):
    ADMIN_GUI = "admin_gui"
    S3_BROWSER_LIFT = "s3_browser_lift"
    """May look at objects with its own keys; never at the admin API."""


class SessionAuth(StrEnum):
    """How somebody signed in."""

    BOOTSTRAP = "bootstrap"
    IAM = "iam"
    IAM_BROWSER = "iam_browser"
    OPEN = "open"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """What the browser of a session signs its S3 requests with."""

    endpoint: str
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: Revealable = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    """Public; unrelated to the token."""
    token_hash: bytes = field(repr=False)
    """SHA-256 of the token; the token itself is nowhere but with its owner."""
    kind: SessionKind
    auth: SessionAuth
    identity: str
    """`bootstrap`, `open`, an access key id, or `provider:user id`: what revoking names."""
    user_id: int | None
    """None: the one administrator of the bootstrap password, or nobody in open mode."""
    ip: str | None
    created_at: float
    last_seen: float
    expires_at: float
    s3: S3Credentials | None = None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """For automation: `Authorization: Bearer`."""

    id: str
    name: str
    token_hash: bytes = field(repr=False)
    scopes: tuple[str, ...]
    created_by: str
    user_id: int | None
    """Whose rights bound it; None: those of the bootstrap administrator."""
    created_at: float
    expires_at: float
    last_used: float | None = None


@dataclass(frozen=True, slots=True)
class ConfigRevision:
    """One applied configuration; `document` is canonical YAML with the secrets it needs to be applied again, sealed."""

    id: int
    applied_at: float
    applied_by: str
    action: str
    document: Revealable = field(repr=False)
    summary: str
