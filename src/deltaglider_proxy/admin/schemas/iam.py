"""Users, groups, and their rules."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from deltaglider_proxy.access.policy.validate import as_json, parse_permissions
from deltaglider_proxy.admin.schemas.times import sql_time
from deltaglider_proxy.control.model import AuthSource, Group, Permission, User

MOST = 1 << 62
"""What every database can count to."""
_NAME = r"[A-Za-z0-9_.@+=-][A-Za-z0-9_.@+= -]{0,63}"
_KEY_ID = r"[A-Za-z0-9_.-]{3,128}"
_SECRET = r"[\x21-\x7e]{8,128}"  # noqa: S105 - the form of one
_RULES = [{"effect": "Allow", "actions": ["read", "list"], "resources": ["releases/*"]}]

Number = Annotated[int, Field(ge=1, le=MOST, examples=[1])]
"""Of a user, a group, a provider or a rule, in a body."""


class Input(BaseModel):
    """What is sent: unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Rule(BaseModel):
    """One rule. A Deny that matches wins over every Allow."""

    id: int = Field(description="Number of the rule in its owner's list")
    effect: str = Field(examples=["Allow"])
    actions: list[str] = Field(examples=[["read", "list"]])
    resources: list[str] = Field(examples=[["releases/*"]])
    conditions: Mapping[str, Mapping[str, list[str]]] | None = Field(
        default=None, examples=[{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}]
    )


class KeyView(BaseModel):
    access_key_id: str
    enabled: bool
    created_at: str
    expires_at: str | None = None


class UserView(BaseModel):
    id: int
    name: str = Field(examples=["ci"])
    access_key_id: str = Field(description="The oldest key", examples=["AK7Q2M1ZC0V8N4B6X9SD"])
    secret_access_key: str | None = Field(default=None, description="Only in the answer that makes it")
    enabled: bool
    created_at: str = Field(examples=["2026-01-31 12:00:00"])
    permissions: list[Rule]
    group_ids: list[int]
    auth_source: AuthSource
    access_keys: list[KeyView]


class GroupView(BaseModel):
    id: int
    name: str
    description: str
    permissions: list[Rule]
    member_ids: list[int]
    created_at: str


class NewUser(Input):
    name: str = Field(pattern=f"^{_NAME}$", examples=["ci"])
    access_key_id: str | None = Field(default=None, pattern=f"^{_KEY_ID}$", description="Made up if absent")
    secret_access_key: str | None = Field(default=None, pattern=f"^{_SECRET}$", description="Made up if absent")
    enabled: bool = True
    permissions: list[dict[str, object]] = Field(default=[], examples=[_RULES])


class UserChange(Input):
    name: str | None = Field(default=None, pattern=f"^{_NAME}$")
    enabled: bool | None = None
    permissions: list[dict[str, object]] | None = Field(default=None, examples=[_RULES])


class NewKeys(Input):
    access_key_id: str | None = Field(default=None, pattern=f"^{_KEY_ID}$")
    secret_access_key: str | None = Field(default=None, pattern=f"^{_SECRET}$")


class AddedKey(NewKeys):
    expires_at: float | None = Field(
        default=None, ge=0, le=1e11, description="Seconds since the epoch", examples=[1_900_000_000]
    )


class KeyChange(Input):
    enabled: bool


class CloneUser(Input):
    name: str | None = Field(default=None, pattern=f"^{_NAME}$")
    copy_group_memberships: bool = True


class NewGroup(Input):
    name: str = Field(pattern=f"^{_NAME}$", examples=["operators"])
    description: str = Field(default="", max_length=1024)
    permissions: list[dict[str, object]] = Field(default=[], examples=[_RULES])
    member_ids: list[Number] = []


class GroupChange(Input):
    name: str | None = Field(default=None, pattern=f"^{_NAME}$")
    description: str | None = Field(default=None, max_length=1024)
    permissions: list[dict[str, object]] | None = Field(default=None, examples=[_RULES])


class CloneGroup(Input):
    name: str | None = Field(default=None, pattern=f"^{_NAME}$")
    copy_members: bool = False


class Member(Input):
    user_id: Number


class CannedPolicy(BaseModel):
    name: str
    description: str
    permissions: list[Rule]


def rules_of(given: list[dict[str, object]]) -> tuple[Permission, ...]:
    """Raises InvalidPermissions."""
    return parse_permissions(given)


def shown(permissions: tuple[Permission, ...]) -> list[Rule]:
    return [Rule.model_validate(as_json(permission, number)) for number, permission in enumerate(permissions, start=1)]


def user_view(user: User, secret: str | None = None, key_id: str | None = None) -> UserView:
    """`secret` belongs to `key_id`, which was just made."""
    return UserView(
        id=user.id,
        name=user.name,
        access_key_id=key_id or user.keys[0].access_key_id,
        secret_access_key=secret,
        enabled=user.enabled,
        created_at=sql_time(user.created_at),
        permissions=shown(user.permissions),
        group_ids=list(user.group_ids),
        auth_source=user.auth_source,
        access_keys=[
            KeyView(
                access_key_id=key.access_key_id,
                enabled=key.enabled,
                created_at=sql_time(key.created_at),
                expires_at=sql_time(key.expires_at) if key.expires_at is not None else None,
            )
            for key in user.keys
        ],
    )


def group_view(group: Group) -> GroupView:
    return GroupView(
        id=group.id,
        name=group.name,
        description=group.description,
        permissions=shown(group.permissions),
        member_ids=list(group.member_ids),
        created_at=sql_time(group.created_at),
    )
