"""Sign-in providers, and who joins which group through them."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, Field

from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.schemas.iam import Input, Number
from deltaglider_proxy.admin.schemas.times import sql_time
from deltaglider_proxy.config.linear_regex import NotARegex, compile_regex
from deltaglider_proxy.control.model import AuthProvider, ExternalIdentity, MappingRule, MatchType

MASK = "****"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


class ProviderView(BaseModel):
    id: int
    name: str = Field(examples=["okta"])
    provider_type: str = Field(examples=["oidc"])
    enabled: bool
    priority: int
    display_name: str | None = None
    client_id: str | None = None
    client_secret: str | None = Field(default=None, description=f"Always {MASK}")
    issuer_url: str | None = Field(default=None, examples=["https://example.okta.com"])
    scopes: str
    extra_config: Mapping[str, object] | None = None
    created_at: str
    updated_at: str


class NewProvider(Input):
    name: str = Field(pattern=_NAME, examples=["okta"])
    provider_type: str = "oidc"
    enabled: bool = True
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    display_name: str | None = Field(default=None, max_length=128)
    client_id: str | None = Field(default=None, max_length=512, examples=["0oa1b2c3"])
    client_secret: str | None = Field(default=None, max_length=2048)
    issuer_url: str | None = Field(default=None, max_length=2048, examples=["https://example.okta.com"])
    scopes: str = Field(default="openid email profile", max_length=512)
    extra_config: Mapping[str, object] | None = None


class ProviderChange(Input):
    name: str | None = Field(default=None, pattern=_NAME)
    provider_type: str | None = None
    enabled: bool | None = None
    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    display_name: str | None = Field(default=None, max_length=128)
    client_id: str | None = Field(default=None, max_length=512)
    client_secret: str | None = Field(default=None, max_length=2048, description=f"Absent or {MASK}: it stays")
    issuer_url: str | None = Field(default=None, max_length=2048)
    scopes: str | None = Field(default=None, max_length=512)
    extra_config: Mapping[str, object] | None = None


class ProviderTest(BaseModel):
    success: bool
    issuer: str | None = None
    authorization_endpoint: str | None = None
    error: str | None = None


class MappingView(BaseModel):
    id: int
    provider_id: int | None
    priority: int
    match_type: MatchType
    match_field: str
    match_value: str
    group_id: int
    created_at: str


class NewMapping(Input):
    provider_id: Number | None = None
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)
    match_type: MatchType
    match_field: str = Field(default="email", min_length=1, max_length=128)
    match_value: str = Field(min_length=1, max_length=512, examples=["example.com"])
    group_id: Number


class MappingChange(Input):
    provider_id: Number | None = None
    priority: int | None = Field(default=None, ge=-1_000_000, le=1_000_000)
    match_type: MatchType | None = None
    match_field: str | None = Field(default=None, min_length=1, max_length=128)
    match_value: str | None = Field(default=None, min_length=1, max_length=512)
    group_id: Number | None = None


class PreviewRequest(Input):
    email: str | None = Field(default=None, max_length=320, examples=["ana@example.com"])
    claims: Mapping[str, object] | None = None
    provider_id: Number | None = None


class PreviewAnswer(BaseModel):
    group_ids: list[int]
    group_names: list[str]


class IdentityView(BaseModel):
    id: int
    user_id: int
    provider_id: int
    external_sub: str
    email: str | None = None
    display_name: str | None = None
    last_login: str | None = None
    raw_claims: Mapping[str, object] | None = None
    created_at: str
    email_verified: bool


class SyncAnswer(BaseModel):
    users_updated: int
    memberships_changed: int


def check_provider(provider_type: str | None, issuer_url: str | None) -> None:
    """Raises ApiError(400)."""
    if provider_type is not None and provider_type != "oidc":
        detail = f"provider_type: {provider_type!r} is not supported; use oidc"
        raise ApiError(400, "invalid_request", detail, field="provider_type")
    if issuer_url is not None and not re.fullmatch(r"https://[^\s/?#@]+(/[^\s?#]*)?", issuer_url):
        raise ApiError(400, "invalid_request", "issuer_url: must be an https URL", field="issuer_url")


def check_match(match_type: MatchType, value: str) -> None:
    """Raises ApiError(400)."""
    if match_type is MatchType.EMAIL_REGEX:
        try:
            compile_regex(value)
        except NotARegex as error:
            detail = f"match_value: is no regular expression: {error}"
            raise ApiError(400, "invalid_request", detail, field="match_value") from error
    if match_type is MatchType.EMAIL_DOMAIN and ("@" in value or "*" in value):
        raise ApiError(400, "invalid_request", "match_value: a domain, without @ and *", field="match_value")


def provider_view(provider: AuthProvider) -> ProviderView:
    return ProviderView(
        id=provider.id,
        name=provider.name,
        provider_type=provider.provider_type,
        enabled=provider.enabled,
        priority=provider.priority,
        display_name=provider.display_name,
        client_id=provider.client_id,
        client_secret=MASK if provider.client_secret is not None else None,
        issuer_url=provider.issuer_url,
        scopes=provider.scopes,
        extra_config=provider.extra_config or None,
        created_at=sql_time(provider.created_at),
        updated_at=sql_time(provider.updated_at),
    )


def mapping_view(rule: MappingRule) -> MappingView:
    return MappingView(
        id=rule.id,
        provider_id=rule.provider_id,
        priority=rule.priority,
        match_type=rule.match_type,
        match_field=rule.match_field,
        match_value=rule.match_value,
        group_id=rule.group_id,
        created_at=sql_time(rule.created_at),
    )


def identity_view(identity: ExternalIdentity) -> IdentityView:
    return IdentityView(
        id=identity.id,
        user_id=identity.user_id,
        provider_id=identity.provider_id,
        external_sub=identity.external_sub,
        email=identity.email,
        display_name=identity.display_name,
        last_login=sql_time(identity.last_login) if identity.last_login is not None else None,
        raw_claims=identity.raw_claims,
        created_at=sql_time(identity.created_at),
        email_verified=identity.email_verified,
    )
