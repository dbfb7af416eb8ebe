"""`access`: who may sign requests, and users, groups and sign-in providers when the file is their source."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, JsonValue

from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.model import Many, Model
from deltaglider_proxy.config.secret import Secret

ACTIONS = ("read", "write", "delete", "list", "admin", "*")
TEMPLATES = ("${iam:username}", "${iam:access_key_id}")
MAX_PERMISSIONS = 100
_TEMPLATE = re.compile(r"\$\{[^}]*\}?")
_BAD_RESOURCE = re.compile(r"[\s\x00-\x1f\x7f]|\*.")


def _effect(text: str) -> str:
    if text.lower() not in ("allow", "deny"):
        raise ValueError("must be Allow or Deny")
    return text.capitalize()


class Permission(Model):
    id: int = 0
    """Number of the rule, for the API; has no effect."""
    effect: Annotated[str, AfterValidator(_effect)] = "Allow"
    """Allow or Deny, in any case; a Deny wins."""
    actions: Many[str]
    """Any of read, write, delete, list, admin, `*`."""
    resources: Many[str]
    """`bucket/prefix*`; `*` only at the end; `${iam:username}` and `${iam:access_key_id}` are filled in."""
    conditions: Mapping[str, JsonValue] | None = None
    """Conditions in the form of IAM policies."""


class User(Model):
    name: str
    """Unique; does not begin with `$`."""
    access_key_id: str
    """Unique."""
    secret_access_key: Secret = Secret("")
    """Empty only for a user that exists already."""
    enabled: bool = True
    """Whether the user may sign requests."""
    groups: Many[str] = ()
    """Names from iam_groups."""
    permissions: Many[Permission] = ()
    """Rules of this user alone."""


class Group(Model):
    name: str
    """Unique."""
    description: str = ""
    """Free text."""
    permissions: Many[Permission] = ()
    """Rules of every member."""


class AuthProvider(Model):
    name: str
    """Unique."""
    provider_type: str
    """Kind of the provider, such as oidc."""
    enabled: bool = True
    """Whether people may sign in with it."""
    priority: int = 0
    """Order on the sign-in page, highest first."""
    display_name: str | None = None
    """Label on the sign-in page."""
    client_id: str | None = None
    """Issued by the provider."""
    client_secret: Secret | None = None
    """Issued by the provider; required for a new one."""
    issuer_url: str | None = None
    """Where the provider's metadata is found."""
    scopes: str = "openid email profile"
    """Asked for at sign-in, separated by spaces."""
    extra_config: Mapping[str, JsonValue] | None = None
    """Settings of the provider type."""


class GroupMappingRule(Model):
    provider: str | None = None
    """Name of a provider; all if absent."""
    priority: int = 0
    """Order of evaluation, highest first."""
    match_type: str
    """How match_value is compared."""
    match_field: str = "email"
    """Claim that is compared."""
    match_value: str
    """What the claim is compared with."""
    group: str
    """Name from iam_groups that a match joins."""


class Access(Model):
    iam_mode: Literal["gui", "declarative"] = "gui"
    """Whether users and groups are kept by the admin API or by this file."""
    authentication: str | None = None
    """`none` opens the proxy to everyone; only without a key pair."""
    access_key_id: str | None = None
    """Key id of the pair that signs every request."""
    secret_access_key: Secret | None = None
    """Secret of the pair that signs every request."""
    iam_users: Many[User] = ()
    """Users; applied in declarative mode only."""
    iam_groups: Many[Group] = ()
    """Groups; applied in declarative mode only."""
    auth_providers: Many[AuthProvider] = ()
    """Sign-in providers; applied in declarative mode only."""
    group_mapping_rules: Many[GroupMappingRule] = ()
    """Who joins which group at sign-in; applied in declarative mode only."""


def check(access: Access) -> Iterator[Finding]:
    keys: Keys = ("access",)
    if bool(access.access_key_id) != bool(access.secret_access_key):
        missing = "secret_access_key" if access.access_key_id else "access_key_id"
        yield warning((*keys, missing), "half a key pair counts as none", "set it here or in the environment")
    if access.authentication is not None and access.authentication.strip().lower() != "none":
        message = "the only mode is `none`; signatures are required by setting a key pair"
        yield error((*keys, "authentication"), message, "remove it, or write none", value=access.authentication)
    if access.iam_mode == "declarative":
        yield from _check_declarative(access, keys)


def _check_declarative(access: Access, keys: Keys) -> Iterator[Finding]:
    yield from _unique((*keys, "iam_users"), "name", (user.name for user in access.iam_users))
    yield from _unique((*keys, "iam_users"), "access_key_id", (user.access_key_id for user in access.iam_users))
    yield from _unique((*keys, "iam_groups"), "name", (group.name for group in access.iam_groups))
    yield from _unique((*keys, "auth_providers"), "name", (provider.name for provider in access.auth_providers))
    groups = {group.name for group in access.iam_groups}
    for index, user in enumerate(access.iam_users):
        place: Keys = (*keys, "iam_users", index)
        if user.name.startswith("$"):
            yield error((*place, "name"), "names that begin with `$` are reserved", value=user.name)
        for number, name in enumerate(user.groups):
            if name not in groups:
                yield error((*place, "groups", number), "is not in iam_groups", "define the group", value=name)
        yield from _check_permissions(user.permissions, (*place, "permissions"))
    for index, group in enumerate(access.iam_groups):
        yield from _check_permissions(group.permissions, (*keys, "iam_groups", index, "permissions"))
    for index, rule in enumerate(access.group_mapping_rules):
        if rule.group not in groups:
            place = (*keys, "group_mapping_rules", index, "group")
            yield error(place, "is not in iam_groups", "define the group", value=rule.group)


def _unique(keys: Keys, field: str, values: Iterable[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        place = (*keys, index, field)
        if not value:
            yield error(place, "must not be empty")
        elif value in seen:
            yield error(place, "is used by an earlier entry", "make it unique", value=value)
        seen.add(value)


def _check_permissions(permissions: tuple[Permission, ...], keys: Keys) -> Iterator[Finding]:
    if len(permissions) > MAX_PERMISSIONS:
        yield error(keys, f"holds more than {MAX_PERMISSIONS} rules", "move some into a group")
    for index, permission in enumerate(permissions):
        for field, values in (("actions", permission.actions), ("resources", permission.resources)):
            if not values:
                yield error((*keys, index, field), "must not be empty")
        for number, action in enumerate(permission.actions):
            if action not in ACTIONS:
                yield error((*keys, index, "actions", number), f"use one of {', '.join(ACTIONS)}", value=action)
        for number, resource in enumerate(permission.resources):
            yield from _check_resource(resource, (*keys, index, "resources", number))


def _check_resource(resource: str, keys: Keys) -> Iterator[Finding]:
    templates: list[str] = _TEMPLATE.findall(resource)
    if any(template not in TEMPLATES for template in templates):
        yield warning(keys, "holds a template that is never filled in", f"use {' or '.join(TEMPLATES)}", value=resource)
    elif not resource or _BAD_RESOURCE.search(resource):
        yield error(keys, "is no resource", "no spaces, and `*` only at the end", value=resource)
