"""Brings a document into a database: what is there already stays as it is, what is missing is made, nothing is removed.

Groups and providers are the same if their names are, users if they share a key. The numbers of the document are
translated into those of the database; what refers to something that was left out is left out too, and said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deltaglider_proxy.access.backup.document import Document, KeyEntry, UserEntry, permissions_of
from deltaglider_proxy.control.model import ExternalIdentity, MappingRule, MembershipSource
from deltaglider_proxy.control.repositories.users import MOST_KEYS, NewKey
from deltaglider_proxy.control.unit import Unit

_RESERVED = "$"


@dataclass(slots=True)
class Merged:
    """What came of it."""

    users_created: int = 0
    users_skipped: int = 0
    groups_created: int = 0
    groups_skipped: int = 0
    providers_created: int = 0
    providers_skipped: int = 0
    mapping_rules_created: int = 0
    mapping_rules_skipped: int = 0
    memberships_created: int = 0
    external_identities_created: int = 0
    external_identities_skipped: int = 0
    items: list[str] = field(default_factory=list)
    """As in `create user ana`, in the order of the document."""
    warnings: list[str] = field(default_factory=list)


def merge(unit: Unit, document: Document, client_secrets: Mapping[str, str] | None = None) -> Merged:
    """`client_secrets`, by name, are for providers that the document has without one."""
    return _Merge(unit, document, client_secrets or {}).run()


class _Merge:
    def __init__(self, unit: Unit, document: Document, client_secrets: Mapping[str, str]) -> None:
        self._unit = unit
        self._document = document
        self._client_secrets = client_secrets
        self._done = Merged()
        self._groups: dict[int, int] = {}
        self._providers: dict[int, int] = {}
        self._users: dict[int, int] = {}

    def run(self) -> Merged:
        self._merge_groups()
        self._merge_providers()
        self._merge_users()
        self._merge_memberships()
        self._merge_rules()
        self._merge_identities()
        return self._done

    def _note(self, verb: str, kind: str, name: str) -> None:
        self._done.items.append(f"{verb} {kind} {name}")

    def _merge_groups(self) -> None:
        for entry in self._document.groups:
            if entry.name.startswith(_RESERVED):
                self._leave_out("group", entry.name, "its name is reserved")
                self._done.groups_skipped += 1
                continue
            known = self._unit.groups.find(entry.name)
            if known is None:
                known = self._unit.groups.create(entry.name, entry.description, permissions_of(entry), entry.created_at)
                self._done.groups_created += 1
                self._note("create", "group", entry.name)
            else:
                self._done.groups_skipped += 1
                self._note("keep", "group", entry.name)
            self._groups[entry.id] = known.id

    def _merge_providers(self) -> None:
        for entry in self._document.auth_providers:
            known = self._unit.providers.find(entry.name)
            if known is None:
                known = self._unit.providers.create(
                    entry.name,
                    entry.provider_type,
                    enabled=entry.enabled,
                    priority=entry.priority,
                    display_name=entry.display_name,
                    client_id=entry.client_id,
                    client_secret=entry.client_secret or self._client_secrets.get(entry.name),
                    issuer_url=entry.issuer_url,
                    scopes=entry.scopes,
                    extra_config=entry.extra_config,
                    created_at=entry.created_at,
                    updated_at=entry.updated_at,
                )
                self._done.providers_created += 1
                self._note("create", "provider", entry.name)
            else:
                self._done.providers_skipped += 1
                self._note("keep", "provider", entry.name)
            self._providers[entry.id] = known.id

    def _merge_users(self) -> None:
        numbers = numbers_of(self._document)
        for entry, number in zip(self._document.users, numbers, strict=True):
            found = self._user(entry)
            if found is not None:
                self._users[number] = found

    def _user(self, entry: UserEntry) -> int | None:
        """The number here; None if the user was left out."""
        keys = entry.keys
        for key in keys:
            if (known := self._unit.users.with_key(key.access_key_id)) is not None:
                self._done.users_skipped += 1
                self._note("keep", "user", known.name)
                return known.id
        reason = self._obstacle(entry)
        if reason is not None:
            self._done.users_skipped += 1
            self._leave_out("user", entry.name, reason)
            return None
        first, *others = [_new_key(key) for key in keys]
        made = self._unit.users.create(
            entry.name,
            first,
            enabled=entry.enabled,
            auth_source=entry.auth_source,
            rules=permissions_of(entry),
            created_at=entry.created_at,
        )
        for other in others[: MOST_KEYS - 1]:
            self._unit.users.add_key(made.id, other)
        self._done.users_created += 1
        self._note("create", "user", entry.name)
        return made.id

    def _obstacle(self, entry: UserEntry) -> str | None:
        if entry.name.startswith(_RESERVED):
            return "its name is reserved"
        if self._unit.users.find(entry.name) is not None:
            return "there is one of this name with other keys"
        return None

    def _leave_out(self, kind: str, name: str, reason: str) -> None:
        self._done.warnings.append(f"{kind} {name}: left out, because {reason}")
        self._note("skip", kind, name)

    def _merge_memberships(self) -> None:
        """Both sides of the document tell who belongs to a group."""
        numbers = numbers_of(self._document)
        wanted = {
            (group_id, number)
            for entry, number in zip(self._document.users, numbers, strict=True)
            for group_id in entry.group_ids
        }
        wanted |= {(entry.id, number) for entry in self._document.groups for number in entry.member_ids}
        mapped = {(entry.id, number) for entry in self._document.groups for number in entry.mapped_member_ids}
        present = {(group.id, number) for group in self._unit.groups.list() for number in group.member_ids}
        dangling = 0
        for group_number, user_number in sorted(wanted):
            group_id, user_id = self._groups.get(group_number), self._users.get(user_number)
            if group_id is None or user_id is None:
                dangling += 1
            elif (group_id, user_id) not in present:
                by_rule = (group_number, user_number) in mapped
                source = MembershipSource.MAPPING if by_rule else MembershipSource.MANUAL
                self._unit.groups.add_member(group_id, user_id, source)
                present.add((group_id, user_id))
                self._done.memberships_created += 1
        if dangling:
            self._done.warnings.append(f"{dangling} memberships of users or groups that are not there were left out")

    def _merge_rules(self) -> None:
        present = {_rule_key(rule) for rule in self._unit.rules.list()}
        dangling = 0
        for entry in self._document.mapping_rules:
            group_id = self._groups.get(entry.group_id)
            provider_id = self._providers.get(entry.provider_id) if entry.provider_id is not None else None
            if group_id is None or (provider_id is None) != (entry.provider_id is None):
                dangling += 1
                self._done.mapping_rules_skipped += 1
                continue
            key = (provider_id, entry.priority, entry.match_type, entry.match_field, entry.match_value, group_id)
            if key in present:
                self._done.mapping_rules_skipped += 1
                continue
            self._unit.rules.create(
                provider_id,
                entry.priority,
                entry.match_type,
                entry.match_field,
                entry.match_value,
                group_id,
                entry.created_at,
            )
            present.add(key)
            self._done.mapping_rules_created += 1
        if dangling:
            self._done.warnings.append(
                f"{dangling} mapping rules of groups or providers that are not there were left out"
            )

    def _merge_identities(self) -> None:
        dangling = 0
        for entry in self._document.external_identities:
            user_id, provider_id = self._users.get(entry.user_id), self._providers.get(entry.provider_id)
            if user_id is None or provider_id is None:
                dangling += 1
            elif self._unit.identities.find(provider_id, entry.external_sub) is None:
                self._unit.identities.restore(
                    ExternalIdentity(
                        0,
                        user_id,
                        provider_id,
                        entry.external_sub,
                        entry.email,
                        entry.display_name,
                        entry.last_login,
                        entry.raw_claims,
                        entry.created_at or entry.last_login or 0.0,
                        entry.email_verified,
                    )
                )
                self._done.external_identities_created += 1
                continue
            self._done.external_identities_skipped += 1
        if dangling:
            self._done.warnings.append(
                f"{dangling} external identities of users or providers that are not there were left out"
            )


def _new_key(key: KeyEntry) -> NewKey:
    return NewKey(key.access_key_id, key.secret_access_key, key.expires_at, key.enabled, key.created_at)


def _rule_key(rule: MappingRule) -> tuple[object, ...]:
    return (rule.provider_id, rule.priority, rule.match_type, rule.match_field, rule.match_value, rule.group_id)


def numbers_of(document: Document) -> list[int]:
    """What other parts call each user. Older documents do not say: then members of groups are numbered as they come."""
    members = sorted({number for group in document.groups for number in group.member_ids})
    listed = members if len(members) == len(document.users) else []
    return [
        entry.id if entry.id is not None else listed[index] if listed else index + 1
        for index, entry in enumerate(document.users)
    ]
