"""`iam.json` of a backup, and the body of restores that hold nothing else: version 2, and the older version 1.

Version 1 has users and groups only. Numbers mean something within one document. What a reader does not know, it leaves
alone, so that documents of later releases can be read; `access_keys`, `auth_source` and `mapped_member_ids` are fields
that other readers do without.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from deltaglider_proxy.access.declarative.desired import KEY_ID, NAME
from deltaglider_proxy.access.policy.validate import InvalidPermissions, as_json, parse_permissions
from deltaglider_proxy.control.model import AuthSource, MatchType, Permission
from deltaglider_proxy.control.unit import Unit

VERSION: Final = 2


class InvalidDocument(ValueError):
    """Everything that is wrong, by path; never a value."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems[0])


def _seconds(value: object) -> object:
    """`2026-01-31 12:00:00`, with or without `T` and `Z`, in UTC; or a number."""
    if isinstance(value, str):
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    return value


def _written(at: float | None) -> str | None:
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _object(value: object) -> object:
    """An object, or one that was written as text."""
    return orjson.loads(value) if isinstance(value, str) and value else value or {}


Time = Annotated[
    Annotated[float, Field(ge=0, le=253402300799)] | None, BeforeValidator(_seconds), PlainSerializer(_written)
]
Claims = Annotated[Mapping[str, object], BeforeValidator(_object)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class KeyEntry(_Entry):
    access_key_id: str = Field(pattern=f"^{KEY_ID.pattern}$")
    secret_access_key: str = Field(repr=False, min_length=1)
    enabled: bool = True
    created_at: Time = None
    expires_at: Time = None


class UserEntry(_Entry):
    id: int | None = None
    name: str = Field(min_length=1, max_length=64)
    access_key_id: str = Field(pattern=f"^{KEY_ID.pattern}$")
    secret_access_key: str = Field(repr=False, min_length=1)
    enabled: bool = True
    permissions: list[dict[str, Any]] = []
    group_ids: list[int] = []
    auth_source: AuthSource = AuthSource.LOCAL
    created_at: Time = None
    access_keys: list[KeyEntry] = []
    """All keys, the first one of them included; empty where there is only that."""

    @property
    def keys(self) -> list[KeyEntry]:
        return self.access_keys or [
            KeyEntry(access_key_id=self.access_key_id, secret_access_key=self.secret_access_key)
        ]


class GroupEntry(_Entry):
    id: int
    name: str = Field(min_length=1, max_length=64)
    description: str = ""
    permissions: list[dict[str, Any]] = []
    member_ids: list[int] = []
    mapped_member_ids: list[int] = []
    """Those of the members that mapping rules made so."""
    created_at: Time = None


class ProviderEntry(_Entry):
    id: int
    name: str = Field(min_length=1, max_length=64)
    provider_type: str = "oidc"
    enabled: bool = True
    priority: int = 0
    display_name: str | None = None
    client_id: str | None = None
    client_secret: str | None = Field(default=None, repr=False)
    issuer_url: str | None = None
    scopes: str = "openid email profile"
    extra_config: Claims = {}
    created_at: Time = None
    updated_at: Time = None


class RuleEntry(_Entry):
    id: int | None = None
    provider_id: int | None = None
    priority: int = 0
    match_type: MatchType
    match_field: str = "email"
    match_value: str
    group_id: int
    created_at: Time = None


class IdentityEntry(_Entry):
    id: int | None = None
    user_id: int
    provider_id: int
    external_sub: str = Field(min_length=1)
    email: str | None = None
    display_name: str | None = None
    last_login: Time = None
    raw_claims: Claims = {}
    created_at: Time = None
    email_verified: bool = False


class Document(_Entry):
    version: Literal[1, 2] = VERSION
    users: list[UserEntry] = []
    groups: list[GroupEntry] = []
    auth_providers: list[ProviderEntry] = []
    mapping_rules: list[RuleEntry] = []
    external_identities: list[IdentityEntry] = []


def parse(body: bytes) -> Document:
    """Raises InvalidDocument."""
    try:
        found = Document.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise InvalidDocument([f"is no JSON: {error}"]) from None
    except ValidationError as error:
        raise InvalidDocument([f"{_path(item['loc'])}: {item['msg']}" for item in error.errors()]) from None
    if problems := [*_bad_rules(found), *_bad_names(found)]:
        raise InvalidDocument(problems)
    return found


def _path(parts: tuple[int | str, ...]) -> str:
    return ".".join(map(str, parts)) or "document"


def _bad_rules(document: Document) -> list[str]:
    problems: list[str] = []
    for place, entry in _named(document):
        try:
            permissions_of(entry, f"{place}.permissions")
        except InvalidPermissions as error:
            problems += map(str, error.problems)
    return problems


def _bad_names(document: Document) -> list[str]:
    """Reserved ones are left out later; what could never be a name is a mistake."""
    return [
        f"{place}.name: use letters, digits, spaces and _ . @ + = -"
        for place, entry in _named(document)
        if not entry.name.startswith("$") and not NAME.fullmatch(entry.name)
    ]


def _named(document: Document) -> Iterator[tuple[str, UserEntry | GroupEntry]]:
    for index, user in enumerate(document.users):
        yield f"users[{index}]", user
    for index, group in enumerate(document.groups):
        yield f"groups[{index}]", group


def permissions_of(entry: UserEntry | GroupEntry, path: str = "permissions") -> tuple[Permission, ...]:
    """Raises InvalidPermissions."""
    return parse_permissions(entry.permissions, path)


def export(unit: Unit) -> Document:
    """All there is, secrets in clear."""
    mapped = unit.groups.given_by_rules()
    return Document(
        users=[
            UserEntry(
                id=user.id,
                name=user.name,
                access_key_id=user.keys[0].access_key_id,
                secret_access_key=user.keys[0].secret.reveal(),
                enabled=user.enabled,
                permissions=_rules(user.permissions),
                group_ids=list(user.group_ids),
                auth_source=user.auth_source,
                created_at=user.created_at,
                access_keys=[
                    KeyEntry(
                        access_key_id=key.access_key_id,
                        secret_access_key=key.secret.reveal(),
                        enabled=key.enabled,
                        created_at=key.created_at,
                        expires_at=key.expires_at,
                    )
                    for key in user.keys
                ],
            )
            for user in unit.users.list()
        ],
        groups=[
            GroupEntry(
                id=group.id,
                name=group.name,
                description=group.description,
                permissions=_rules(group.permissions),
                member_ids=list(group.member_ids),
                mapped_member_ids=[number for number in group.member_ids if (group.id, number) in mapped],
                created_at=group.created_at,
            )
            for group in unit.groups.list()
        ],
        auth_providers=[
            ProviderEntry(
                id=provider.id,
                name=provider.name,
                provider_type=provider.provider_type,
                enabled=provider.enabled,
                priority=provider.priority,
                display_name=provider.display_name,
                client_id=provider.client_id,
                client_secret=provider.client_secret.reveal() if provider.client_secret is not None else None,
                issuer_url=provider.issuer_url,
                scopes=provider.scopes,
                extra_config=provider.extra_config,
                created_at=provider.created_at,
                updated_at=provider.updated_at,
            )
            for provider in unit.providers.list()
        ],
        mapping_rules=[
            RuleEntry(
                id=rule.id,
                provider_id=rule.provider_id,
                priority=rule.priority,
                match_type=rule.match_type,
                match_field=rule.match_field,
                match_value=rule.match_value,
                group_id=rule.group_id,
                created_at=rule.created_at,
            )
            for rule in unit.rules.list()
        ],
        external_identities=[
            IdentityEntry(
                id=identity.id,
                user_id=identity.user_id,
                provider_id=identity.provider_id,
                external_sub=identity.external_sub,
                email=identity.email,
                display_name=identity.display_name,
                last_login=identity.last_login,
                raw_claims=identity.raw_claims,
                created_at=identity.created_at,
                email_verified=identity.email_verified,
            )
            for identity in unit.identities.list()
        ],
    )


def _rules(permissions: tuple[Permission, ...]) -> list[dict[str, Any]]:
    return [as_json(permission, number) for number, permission in enumerate(permissions, start=1)]


def dump(document: Document) -> bytes:
    return orjson.dumps(document.model_dump(), option=orjson.OPT_INDENT_2)
