"""The configuration as canonical text, in one of three tiers that differ in what becomes of secrets."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from deltaglider_proxy.config import yaml_out
from deltaglider_proxy.config.expand import Template
from deltaglider_proxy.config.findings import Keys
from deltaglider_proxy.config.plain import Tree, plain
from deltaglider_proxy.config.secret import MASK, Secret
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.typing_errors import at

_DROPPED = object()
_KEPT = object()


class Tier(Enum):
    PERSISTED = "persisted"
    """The file of this server: everything."""
    CANONICAL = "canonical"
    """A file to be moved elsewhere: key pairs, but neither passwords nor keys of data."""
    EXPORT = "export"
    """To be looked at: no secrets."""


def render(settings: Settings, references: Mapping[Keys, str], tier: Tier, section: str | None = None) -> str:
    """Deterministic. References to the environment stand as they were written, in every tier: they are no secrets."""
    tree = redacted(plain(settings, references), references, tier)
    if section is not None:
        tree = {section: tree[section]} if section in tree else {}
    return yaml_out.dump(tree, {keys: text for keys, text in references.items() if at(tree, keys) is text})


def redacted(tree: Tree, references: Mapping[Keys, str], tier: Tier) -> Tree:
    """Without secrets that do not belong into the tier."""
    found = _walk(tree, (), references, tier)
    assert isinstance(found, dict)
    return {section: value for section, value in found.items() if value != {}}


def _walk(value: Any, keys: Keys, references: Mapping[Keys, str], tier: Tier) -> Any:
    reference = references.get(keys)
    if isinstance(value, Secret) and not _is_whole(reference):
        # Beside a reference there may be a part of the secret itself.
        shown = _secret(keys, tier)
        if shown is not _KEPT:
            return shown
        return value.reveal() if reference is None else reference
    if reference is not None:
        return reference
    if isinstance(value, dict):
        kept = {key: _walk(item, (*keys, key), references, tier) for key, item in value.items()}
        shown = {key: item for key, item in kept.items() if item is not _DROPPED}
        return _without_half_pairs(shown, keys, references, tier)
    if isinstance(value, list):
        items = [_walk(item, (*keys, index), references, tier) for index, item in enumerate(value)]
        return [item for item in items if item is not _DROPPED]
    return value


def _is_whole(reference: str | None) -> bool:
    return reference is not None and (not isinstance(reference, Template) or reference.whole)


def _secret(keys: Keys, tier: Tier) -> object:
    """What stands for the secret at `keys`; `_KEPT` for itself."""
    name = keys[-1]
    if tier is Tier.PERSISTED:
        return _KEPT
    if "iam_users" in keys:
        return ""
    if name == "secret_access_key":
        return _KEPT if tier is Tier.CANONICAL else _DROPPED
    if "event_delivery" in keys:
        return _KEPT if tier is Tier.CANONICAL else MASK
    return _DROPPED


def _without_half_pairs(tree: Tree, keys: Keys, references: Mapping[Keys, str], tier: Tier) -> Tree:
    """A key id without its secret would be taken for half a pair."""
    paired = keys == ("access",) or keys[:2] in (("storage", "backend"), ("storage", "backends"))
    if tier is not Tier.EXPORT or not paired or "access_key_id" not in tree or "secret_access_key" in tree:
        return tree
    if (*keys, "access_key_id") in references:
        return tree
    return {key: value for key, value in tree.items() if key != "access_key_id"}
