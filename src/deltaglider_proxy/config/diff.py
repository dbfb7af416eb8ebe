"""What differs between two configurations, by path. Secrets have fingerprints, which mean nothing elsewhere."""

import hmac
from collections.abc import Iterator, Mapping
from typing import Any

from deltaglider_proxy.config.expand import Template
from deltaglider_proxy.config.findings import Keys, dotted
from deltaglider_proxy.config.plain import Tree, plain
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.typing_errors import at

References = Mapping[Keys, str]
Difference = dict[str, dict[str, dict[str, object]]]
_ABSENT = object()


def diff(
    before: Settings, after: Settings, key: bytes, references: tuple[References, References] = ({}, {})
) -> Difference:
    """By section, then by path, `before` and `after`; None for what is not set. Lists are compared as wholes.

    `references` of both, as written, stand for what the environment holds.
    """
    old = dict(_leaves(_written(before, references[0]), ()))
    new = dict(_leaves(_written(after, references[1]), ()))
    found: Difference = {}
    for place in sorted({*old, *new}, key=str):
        was, now = old.get(place, _ABSENT), new.get(place, _ABSENT)
        if was != now:
            section, path = str(place[0]), dotted(place[1:]) or str(place[0])
            found.setdefault(section, {})[path] = {"before": _shown(was, key), "after": _shown(now, key)}
    return found


def _written(settings: Settings, references: References) -> Tree:
    """Values with their references; a secret beside one is still a secret."""
    tree = plain(settings, references)
    for keys, text in references.items():
        parent, last = at(tree, keys[:-1]), keys[-1]
        whole = not isinstance(text, Template) or text.whole
        if isinstance(at(tree, keys), Secret) and not whole:
            continue
        if isinstance(parent, dict):
            parent[str(last)] = text
        elif isinstance(parent, list) and isinstance(last, int) and last < len(parent):
            parent[last] = text
    return tree


def changed_fields(before: Settings, after: Settings) -> Iterator[Keys]:
    """The first two keys of everything that differs: section and field."""
    for section in type(before).model_fields:
        old, new = getattr(before, section), getattr(after, section)
        if old == new or section == "defaults":
            continue
        for name in type(old).model_fields:
            if getattr(old, name) != getattr(new, name):
                yield section, name


def _leaves(value: Any, keys: Keys) -> Iterator[tuple[Keys, object]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*keys, key))
    else:
        yield keys, value


def _shown(value: object, key: bytes) -> object:
    if value is _ABSENT:
        return None
    if isinstance(value, Secret):
        return "fp:" + hmac.digest(key, value.reveal().encode(), "sha256").hex()[:8] if value else ""
    if isinstance(value, Mapping):
        return {name: _shown(item, key) for name, item in value.items()}
    if isinstance(value, list):
        return [_shown(item, key) for item in value]
    return value


def summary(difference: Difference) -> str:
    """One line for a history."""
    return ", ".join(f"{section}.{path}" for section, paths in difference.items() for path in paths) or "no change"
