"""What the section `access` of a configuration asks for, checked as a whole before anything is written."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from deltaglider_proxy.access.policy.validate import InvalidPermissions, parse_permissions
from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.access import Permission as ConfiguredPermission
from deltaglider_proxy.config.linear_regex import NotARegex, compile_regex
from deltaglider_proxy.control.model import MatchType, Permission

NAME = re.compile(r"[A-Za-z0-9_.@+=-][A-Za-z0-9_.@+= -]{0,63}")
KEY_ID = re.compile(r"[A-Za-z0-9_.-]{3,128}")


class InvalidIam(ValueError):
    """Everything that is wrong, by path."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True, slots=True)
class DesiredUser:
    name: str
    access_key_id: str
    secret: str = field(repr=False)
    """Empty: that of a user who exists stays."""
    enabled: bool
    groups: frozenset[str]
    permissions: tuple[Permission, ...]


@dataclass(frozen=True, slots=True)
class DesiredGroup:
    name: str
    description: str
    permissions: tuple[Permission, ...]


@dataclass(frozen=True, slots=True)
class DesiredProvider:
    name: str
    provider_type: str
    enabled: bool
    priority: int
    display_name: str | None
    client_id: str | None
    client_secret: str | None = field(repr=False)
    issuer_url: str | None
    scopes: str
    extra_config: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DesiredRule:
    provider: str | None
    priority: int
    match_type: MatchType
    match_field: str
    match_value: str
    group: str


@dataclass(frozen=True, slots=True)
class Desired:
    users: tuple[DesiredUser, ...]
    groups: tuple[DesiredGroup, ...]
    providers: tuple[DesiredProvider, ...]
    rules: tuple[DesiredRule, ...]

    @property
    def empty(self) -> bool:
        return not (self.users or self.groups or self.providers or self.rules)


def desired_of(access: Access) -> Desired:
    """Raises InvalidIam."""
    problems = [*_names(access), *_references(access)]
    groups = tuple(
        DesiredGroup(group.name, group.description, _rules(group.permissions, f"iam_groups[{index}]", problems))
        for index, group in enumerate(access.iam_groups)
    )
    users = tuple(
        DesiredUser(
            user.name,
            user.access_key_id,
            user.secret_access_key.reveal(),
            user.enabled,
            frozenset(user.groups),
            _rules(user.permissions, f"iam_users[{index}]", problems),
        )
        for index, user in enumerate(access.iam_users)
    )
    providers = tuple(
        DesiredProvider(
            provider.name,
            provider.provider_type,
            provider.enabled,
            provider.priority,
            provider.display_name,
            provider.client_id,
            provider.client_secret.reveal() if provider.client_secret is not None else None,
            provider.issuer_url,
            provider.scopes,
            provider.extra_config or {},
        )
        for provider in access.auth_providers
    )
    rules = tuple(_mapping_rules(access, problems))
    if problems:
        raise InvalidIam(problems)
    return Desired(users, groups, providers, rules)


def _names(access: Access) -> Iterator[str]:
    for index, user in enumerate(access.iam_users):
        if not NAME.fullmatch(user.name):
            yield f"iam_users[{index}].name: {user.name!r}: use 1-64 letters, digits, spaces and _.@+=-"
        if not KEY_ID.fullmatch(user.access_key_id):
            yield f"iam_users[{index}].access_key_id: {user.access_key_id!r}: use 3-128 letters, digits and _.-"
    for index, group in enumerate(access.iam_groups):
        if not NAME.fullmatch(group.name):
            yield f"iam_groups[{index}].name: {group.name!r}: use 1-64 letters, digits, spaces and _.@+=-"
    for index, provider in enumerate(access.auth_providers):
        if provider.provider_type != "oidc":
            yield f"auth_providers[{index}].provider_type: {provider.provider_type!r}: use oidc"
        if provider.issuer_url is not None and not provider.issuer_url.startswith("https://"):
            yield f"auth_providers[{index}].issuer_url: must be an https URL"
    for listed, names in (
        ("iam_users", [user.name for user in access.iam_users]),
        ("iam_users", [user.access_key_id for user in access.iam_users]),
        ("iam_groups", [group.name for group in access.iam_groups]),
        ("auth_providers", [provider.name for provider in access.auth_providers]),
    ):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{listed}: {name!r} stands there more than once"


def _references(access: Access) -> Iterator[str]:
    groups = {group.name for group in access.iam_groups}
    providers = {provider.name for provider in access.auth_providers}
    for index, user in enumerate(access.iam_users):
        for name in user.groups:
            if name not in groups:
                yield f"iam_users[{index}].groups: {name!r} is not in iam_groups"
    for index, rule in enumerate(access.group_mapping_rules):
        if rule.group not in groups:
            yield f"group_mapping_rules[{index}].group: {rule.group!r} is not in iam_groups"
        if rule.provider is not None and rule.provider not in providers:
            yield f"group_mapping_rules[{index}].provider: {rule.provider!r} is not in auth_providers"


def _mapping_rules(access: Access, problems: list[str]) -> Iterator[DesiredRule]:
    for index, rule in enumerate(access.group_mapping_rules):
        place = f"group_mapping_rules[{index}]"
        try:
            match_type = MatchType(rule.match_type)
        except ValueError:
            problems.append(f"{place}.match_type: {rule.match_type!r}: use {', '.join(MatchType)}")
            continue
        if match_type is MatchType.EMAIL_REGEX:
            try:
                compile_regex(rule.match_value)
            except NotARegex as error:
                problems.append(f"{place}.match_value: is no regular expression: {error}")
        yield DesiredRule(rule.provider, rule.priority, match_type, rule.match_field, rule.match_value, rule.group)


def _rules(given: Iterable[ConfiguredPermission], place: str, problems: list[str]) -> tuple[Permission, ...]:
    raw = [
        {
            "effect": permission.effect,
            "actions": list(permission.actions),
            "resources": list(permission.resources),
            **({"conditions": permission.conditions} if permission.conditions else {}),
        }
        for permission in given
    ]
    try:
        return parse_permissions(raw, f"{place}.permissions")
    except InvalidPermissions as error:
        problems.extend(map(str, error.problems))
        return ()
