"""Permissions as one column of text."""

from collections.abc import Iterable

import orjson

from deltaglider_proxy.control.model import Effect, Permission


def dump(permissions: Iterable[Permission]) -> str:
    return orjson.dumps(
        [
            {
                "effect": permission.effect,
                "actions": permission.actions,
                "resources": permission.resources,
                "conditions": permission.conditions,
            }
            for permission in permissions
        ]
    ).decode()


def load(text: str) -> tuple[Permission, ...]:
    if text == "[]":
        return ()
    return tuple(
        Permission(
            Effect(item["effect"]),
            tuple(item["actions"]),
            tuple(item["resources"]),
            {name: {key: tuple(v) for key, v in keys.items()} for name, keys in item["conditions"].items()},
        )
        for item in orjson.loads(text)
    )
