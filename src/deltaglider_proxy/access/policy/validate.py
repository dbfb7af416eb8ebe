"""From what somebody sends to permissions: everything that is wrong is told at once, with its place."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from deltaglider_proxy.access.policy.conditions import BadCondition, compile_condition
from deltaglider_proxy.access.policy.resources import problem_of, unknown_template
from deltaglider_proxy.access.policy.rules import ACTIONS, EVERY_ACTION
from deltaglider_proxy.control.model import Conditions, Effect, Permission

MOST_PERMISSIONS = 100
"""Of one user or group."""

_NO_TEXTS = "must be a text or a list of texts, without NUL and lone surrogates"
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
"""What no database takes."""
_MOST_BITS = 64
"""Of a number; Python refuses to write out very long ones."""

_FIELDS = frozenset({"id", "effect", "actions", "resources", "conditions"})
_KNOWN_ACTIONS = (*ACTIONS, EVERY_ACTION)


@dataclass(frozen=True, slots=True)
class Problem:
    path: str
    """As in `permissions[2].resources[0]`."""
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class InvalidPermissions(ValueError):
    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


def parse_permissions(given: object, path: str = "permissions") -> tuple[Permission, ...]:
    """From a JSON-like list. Raises InvalidPermissions."""
    problems: list[Problem] = []
    found: list[Permission] = []
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise InvalidPermissions([Problem(path, "must be a list of rules")])
    if len(given) > MOST_PERMISSIONS:
        problems.append(Problem(path, f"holds {len(given)} rules, and {MOST_PERMISSIONS} are the most; use a group"))
    for index, item in enumerate(given[:MOST_PERMISSIONS]):
        place = f"{path}[{index}]"
        if not isinstance(item, Mapping):
            problems.append(Problem(place, "must be a mapping with effect, actions and resources"))
            continue
        parsed = _permission(item, place, problems)
        if parsed is not None:
            found.append(parsed)
    if problems:
        raise InvalidPermissions(problems)
    return tuple(found)


def _below(path: str, name: object) -> str:
    """The place of a field. Whatever it is called, the answer that names it can be sent."""
    return f"{path}.{_UNSTORABLE.sub('?', name) if isinstance(name, str) else type(name).__name__}"


def _permission(item: Mapping[object, object], place: str, problems: list[Problem]) -> Permission | None:
    before = len(problems)
    fields = ", ".join(sorted(_FIELDS))
    unknown = sorted(_below(place, name) for name in item if name not in _FIELDS)
    problems.extend(Problem(path, f"is no field of a rule; use {fields}") for path in unknown)
    effect = _effect(item.get("effect", Effect.ALLOW), f"{place}.effect", problems)
    actions = _texts(item.get("actions"), f"{place}.actions", problems)
    for index, action in enumerate(actions):
        if action not in _KNOWN_ACTIONS:
            problems.append(Problem(f"{place}.actions[{index}]", f"{action!r}: use {', '.join(_KNOWN_ACTIONS)}"))
    resources = _texts(item.get("resources"), f"{place}.resources", problems)
    for index, resource in enumerate(resources):
        if (problem := problem_of(resource)) is not None:
            problems.append(Problem(f"{place}.resources[{index}]", f"{resource!r} {problem}"))
    conditions = _conditions(item.get("conditions"), f"{place}.conditions", problems)
    if len(problems) > before or effect is None:
        return None
    return Permission(effect, actions, resources, conditions)


def _effect(given: object, path: str, problems: list[Problem]) -> Effect | None:
    if isinstance(given, str):
        for effect in Effect:
            if given.lower() == effect.lower():
                return effect
    shown = f"{given!r}: " if isinstance(given, str) else ""
    problems.append(Problem(path, f"{shown}use Allow or Deny"))
    return None


def _texts(given: object, path: str, problems: list[Problem]) -> tuple[str, ...]:
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, Sequence) or not all(isinstance(text, str) for text in listed) or not listed:
        problems.append(Problem(path, "must be a list of at least one text"))
        return ()
    return tuple(listed)


def _conditions(given: object, path: str, problems: list[Problem]) -> Conditions:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problems.append(Problem(path, "must be a mapping of operators"))
        return {}
    found: dict[str, Mapping[str, tuple[str, ...]]] = {}
    for name, keys in given.items():
        if not isinstance(name, str) or not isinstance(keys, Mapping) or not keys:
            problems.append(Problem(_below(path, name), "must be a mapping of condition keys"))
            continue
        found[name] = dict(_condition_keys(name, keys, _below(path, name), problems))
    return found


def _condition_keys(
    name: str, keys: Mapping[object, object], path: str, problems: list[Problem]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key, given in keys.items():
        place = _below(path, key)
        values = [given] if isinstance(given, str | bool | int | float) else given
        if not isinstance(key, str) or not isinstance(values, Sequence) or isinstance(values, bytes):
            problems.append(Problem(place, _NO_TEXTS))
            continue
        texts = tuple(text for value in values if (text := _text_of(value)) is not None)
        if len(texts) < len(values):
            problems.append(Problem(place, _NO_TEXTS))
            continue
        try:
            compile_condition(name, key, texts)
        except BadCondition as error:
            problems.append(Problem(place, str(error)))
        unknown = {value: problem for value in texts if (problem := unknown_template(value)) is not None}
        problems.extend(Problem(place, f"{value!r} {problem}") for value, problem in unknown.items())
        yield key, texts


def _text_of(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return None if _UNSTORABLE.search(value) else value
    if isinstance(value, float) or (isinstance(value, int) and value.bit_length() < _MOST_BITS):
        return str(value)
    return None


def as_json(permission: Permission, number: int) -> dict[str, object]:
    """What `parse_permissions` reads again."""
    shown: dict[str, object] = {
        "id": number,
        "effect": str(permission.effect),
        "actions": list(permission.actions),
        "resources": list(permission.resources),
    }
    if permission.conditions:
        shown["conditions"] = {
            name: {key: list(values) for key, values in keys.items()} for name, keys in permission.conditions.items()
        }
    return shown
