"""What the database holds, as the section `access` would ask for it."""

from typing import Any

from deltaglider_proxy.access.policy.validate import as_json
from deltaglider_proxy.control.model import Permission
from deltaglider_proxy.control.unit import Unit


def export(unit: Unit, *, secrets: bool) -> dict[str, Any]:
    """Applying it changes nothing. Without `secrets` they are left out, which keeps them."""
    groups = {group.id: group.name for group in unit.groups.list()}
    providers = {provider.id: provider.name for provider in unit.providers.list()}
    access: dict[str, Any] = {"iam_mode": "declarative"}
    access["iam_users"] = [
        _without_none(
            {
                "name": user.name,
                "access_key_id": user.keys[0].access_key_id,
                "secret_access_key": user.keys[0].secret.reveal() if secrets else "",
                "enabled": None if user.enabled else False,
                "groups": [groups[number] for number in user.group_ids] or None,
                "permissions": _rules(user.permissions),
            }
        )
        for user in unit.users.list()
    ]
    access["iam_groups"] = [
        _without_none(
            {
                "name": group.name,
                "description": group.description or None,
                "permissions": _rules(group.permissions),
            }
        )
        for group in unit.groups.list()
    ]
    access["auth_providers"] = [
        _without_none(
            {
                "name": provider.name,
                "provider_type": provider.provider_type,
                "enabled": None if provider.enabled else False,
                "priority": provider.priority or None,
                "display_name": provider.display_name,
                "client_id": provider.client_id,
                "client_secret": provider.client_secret.reveal() if secrets and provider.client_secret else None,
                "issuer_url": provider.issuer_url,
                "scopes": provider.scopes,
                "extra_config": dict(provider.extra_config) or None,
            }
        )
        for provider in unit.providers.list()
    ]
    access["group_mapping_rules"] = [
        _without_none(
            {
                "provider": providers[rule.provider_id] if rule.provider_id is not None else None,
                "priority": rule.priority or None,
                "match_type": str(rule.match_type),
                "match_field": rule.match_field,
                "match_value": rule.match_value,
                "group": groups[rule.group_id],
            }
        )
        for rule in unit.rules.list()
    ]
    return {"access": {name: value for name, value in access.items() if value}}


def _rules(permissions: tuple[Permission, ...]) -> list[dict[str, object]] | None:
    return [
        {name: value for name, value in as_json(permission, 0).items() if name != "id"} for permission in permissions
    ] or None


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
