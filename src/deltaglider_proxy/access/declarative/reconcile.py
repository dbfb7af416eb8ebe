"""Makes the database what a document asks for: by name, in one transaction, and nothing where nothing differs.

A user who keeps the name keeps the row, so identities and history survive another key. Users that providers have made
are only removed where the next sign-in would make them again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from deltaglider_proxy.access.declarative.desired import (
    Desired,
    DesiredGroup,
    DesiredProvider,
    DesiredRule,
    DesiredUser,
)
from deltaglider_proxy.access.sso.mapping import groups_for
from deltaglider_proxy.control.model import (
    AuthProvider,
    AuthSource,
    Group,
    MappingRule,
    MembershipSource,
    Permission,
    User,
)
from deltaglider_proxy.control.repositories.users import NewKey
from deltaglider_proxy.control.unit import Unit

W = TypeVar("W")
P = TypeVar("P")


class CannotReconcile(Exception):
    """Says why; nothing was changed."""


@dataclass(slots=True)
class Names:
    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.created or self.updated or self.deleted)

    def text(self) -> str:
        return f"(+{len(self.created)}/~{len(self.updated)}/-{len(self.deleted)})"


@dataclass(slots=True)
class Plan:
    users: Names = field(default_factory=Names)
    groups: Names = field(default_factory=Names)
    providers: Names = field(default_factory=Names)
    rules: int | None = None
    """How many mapping rules take the place of those that are there; None: they stay."""
    culled: list[str] = field(default_factory=list)
    """Users of `users.deleted` that a provider makes again at their next sign-in."""

    def __bool__(self) -> bool:
        return bool(self.users or self.groups or self.providers or self.rules is not None)

    def text(self) -> str:
        rules = "keep" if self.rules is None else "clear" if not self.rules else f"replace({self.rules})"
        return (
            f"users{self.users.text()} groups{self.groups.text()} providers{self.providers.text()} "
            f"mapping_rules={rules}"
        )

    @property
    def removes(self) -> list[str]:
        """What nobody can make again."""
        return [
            *(name for name in self.users.deleted if name not in self.culled),
            *self.groups.deleted,
            *self.providers.deleted,
        ]


@dataclass(frozen=True, slots=True)
class _Present:
    users: dict[str, User]
    groups: dict[str, Group]
    providers: dict[str, AuthProvider]
    rules: Sequence[MappingRule]

    @classmethod
    def of(cls, unit: Unit) -> "_Present":
        return cls(
            {user.name: user for user in unit.users.list()},
            {group.name: group for group in unit.groups.list()},
            {provider.name: provider for provider in unit.providers.list()},
            unit.rules.list(),
        )

    def group_names(self, user: User) -> frozenset[str]:
        names = {group.id: group.name for group in self.groups.values()}
        return frozenset(names[number] for number in user.group_ids)


def plan(unit: Unit, desired: Desired) -> Plan:
    """What would change. Raises CannotReconcile."""
    present = _Present.of(unit)
    found = Plan()
    _plan_users(unit, desired, present, found)
    groups = {group.name: group for group in desired.groups}
    providers = {provider.name: provider for provider in desired.providers}
    _by_name(groups, present.groups, _same_group, found.groups)
    _by_name(providers, present.providers, _same_provider, found.providers)
    for provider in desired.providers:
        if provider.name in found.providers.created and not provider.client_secret:
            raise CannotReconcile(f"auth_providers: {provider.name!r} is new and needs a client_secret")
    if {*desired.rules} != {*_rules_by_name(present)} or len(desired.rules) != len(present.rules):
        found.rules = len(desired.rules)
    return found


def _by_name(wanted: Mapping[str, W], present: Mapping[str, P], same: Callable[[W, P], bool], names: Names) -> None:
    for name, item in wanted.items():
        if name not in present:
            names.created.append(name)
        elif not same(item, present[name]):
            names.updated.append(name)
    names.deleted.extend(name for name in present if name not in wanted)


def _plan_users(unit: Unit, desired: Desired, present: _Present, found: Plan) -> None:
    wanted = {user.name: user for user in desired.users}
    owners = {key.access_key_id: user.name for user in present.users.values() for key in user.keys}
    for name, user in wanted.items():
        owner = owners.get(user.access_key_id)
        if owner is not None and owner != name:
            raise CannotReconcile(f"iam_users: the key {user.access_key_id!r} of {name!r} belongs to {owner!r}")
        before = present.users.get(name)
        if before is None:
            if not user.secret:
                raise CannotReconcile(f"iam_users: {name!r} is new and needs a secret_access_key")
            found.users.created.append(name)
        elif not _same_user(user, before, present):
            if user.access_key_id not in {key.access_key_id for key in before.keys} and not user.secret:
                raise CannotReconcile(f"iam_users: the key of {name!r} is new and needs a secret_access_key")
            found.users.updated.append(name)
    for name, user_now in present.users.items():
        if name in wanted:
            continue
        if user_now.auth_source is AuthSource.LOCAL:
            found.users.deleted.append(name)
        elif _made_again(unit, user_now, present):
            found.users.deleted.append(name)
            found.culled.append(name)


def _made_again(unit: Unit, user: User, present: _Present) -> bool:
    """Whether the next sign-in through a provider would make the user as they are."""
    if not user.enabled or user.permissions:
        return False
    enabled = {provider.id for provider in present.providers.values() if provider.enabled}
    given: set[int] = set()
    identities = unit.identities.of_user(user.id)
    for identity in identities:
        if identity.provider_id not in enabled:
            return False
        given.update(
            groups_for(
                present.rules,
                identity.provider_id,
                identity.raw_claims,
                email=identity.email,
                email_verified=identity.email_verified,
            )
        )
    return bool(identities) and given == set(user.group_ids)


def _canonical(permissions: Sequence[Permission]) -> list[str]:
    """Rules mean the same in any order."""
    return sorted(
        repr(
            (
                permission.effect,
                sorted(permission.actions),
                sorted(permission.resources),
                sorted((name, sorted(keys.items())) for name, keys in permission.conditions.items()),
            )
        )
        for permission in permissions
    )


def _same_user(wanted: DesiredUser, now: User, present: _Present) -> bool:
    key = next((key for key in now.keys if key.access_key_id == wanted.access_key_id), None)
    return (
        len(now.keys) == 1
        and key is not None
        and (not wanted.secret or key.secret.reveal() == wanted.secret)
        and wanted.enabled == now.enabled
        and wanted.groups == present.group_names(now)
        and _canonical(wanted.permissions) == _canonical(now.permissions)
    )


def _same_group(wanted: DesiredGroup, now: Group) -> bool:
    return wanted.description == now.description and _canonical(wanted.permissions) == _canonical(now.permissions)


def _same_provider(wanted: DesiredProvider, now: AuthProvider) -> bool:
    secret = now.client_secret.reveal() if now.client_secret is not None else None
    return (
        (wanted.provider_type, wanted.enabled, wanted.priority, wanted.display_name, wanted.client_id)
        == (now.provider_type, now.enabled, now.priority, now.display_name, now.client_id)
        and (wanted.issuer_url, wanted.scopes, dict(wanted.extra_config))
        == (now.issuer_url, now.scopes, dict(now.extra_config))
        and (not wanted.client_secret or wanted.client_secret == secret)
    )


def _rules_by_name(present: _Present) -> Iterator[DesiredRule]:
    groups = {group.id: group.name for group in present.groups.values()}
    providers = {provider.id: provider.name for provider in present.providers.values()}
    for rule in present.rules:
        provider = providers[rule.provider_id] if rule.provider_id is not None else None
        yield DesiredRule(
            provider, rule.priority, rule.match_type, rule.match_field, rule.match_value, groups[rule.group_id]
        )


def reconcile(unit: Unit, desired: Desired) -> Plan:
    """Do it, inside the caller's transaction. Raises CannotReconcile, and then the caller must undo the transaction."""
    found = plan(unit, desired)
    if not found:
        return found
    present = _Present.of(unit)
    if found.rules is not None:
        unit.rules.clear()
    for name in found.users.deleted:
        unit.users.delete(present.users[name].id)
    for name in found.providers.deleted:
        unit.providers.delete(present.providers[name].id)
    for name in found.groups.deleted:
        unit.groups.delete(present.groups[name].id)
    _write_groups(unit, desired, found, present)
    _write_providers(unit, desired, found, present)
    _write_users(unit, desired, found, present)
    if found.rules is not None:
        _write_rules(unit, desired)
    return found


def _write_groups(unit: Unit, desired: Desired, found: Plan, present: _Present) -> None:
    for group in desired.groups:
        if group.name in found.groups.created:
            unit.groups.create(group.name, group.description, group.permissions)
        elif group.name in found.groups.updated:
            number = present.groups[group.name].id
            unit.groups.update(number, description=group.description, rules=group.permissions)


def _write_providers(unit: Unit, desired: Desired, found: Plan, present: _Present) -> None:
    for provider in desired.providers:
        values = {
            "provider_type": provider.provider_type,
            "enabled": provider.enabled,
            "priority": provider.priority,
            "display_name": provider.display_name,
            "client_id": provider.client_id,
            "issuer_url": provider.issuer_url,
            "scopes": provider.scopes,
            "extra_config": dict(provider.extra_config),
        }
        if provider.name in found.providers.created:
            made = unit.providers.create(provider.name, provider.provider_type)
            unit.providers.update(made.id, values, provider.client_secret)
        elif provider.name in found.providers.updated:
            unit.providers.update(present.providers[provider.name].id, values, provider.client_secret)


def _write_users(unit: Unit, desired: Desired, found: Plan, present: _Present) -> None:
    groups = {group.name: group.id for group in unit.groups.list()}
    for user in desired.users:
        if user.name in found.users.created:
            key = NewKey(user.access_key_id, user.secret)
            made = unit.users.create(user.name, key, enabled=user.enabled, rules=user.permissions)
            number = made.id
        elif user.name in found.users.updated:
            before = present.users[user.name]
            number = before.id
            unit.users.update(number, enabled=user.enabled, rules=user.permissions)
            known = next((key for key in before.keys if key.access_key_id == user.access_key_id), None)
            secret = user.secret or (known.secret.reveal() if known is not None else "")
            if known is None or len(before.keys) > 1 or known.secret.reveal() != secret:
                unit.end_access_of(before)
                unit.users.replace_keys(number, [NewKey(user.access_key_id, secret)])
        else:
            continue
        wanted = {groups[name] for name in user.groups}
        for group_id in set(unit.users.get(number).group_ids) - wanted:
            unit.groups.remove_member(group_id, number)
        unit.users.set_groups(number, wanted, MembershipSource.MANUAL)


def _write_rules(unit: Unit, desired: Desired) -> None:
    groups = {group.name: group.id for group in unit.groups.list()}
    providers = {provider.name: provider.id for provider in unit.providers.list()}
    for rule in desired.rules:
        unit.rules.create(
            providers[rule.provider] if rule.provider is not None else None,
            rule.priority,
            rule.match_type,
            rule.match_field,
            rule.match_value,
            groups[rule.group],
        )
