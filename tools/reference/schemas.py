"""Reading JSON Schemas: what objects are made of which, and types in a few words."""

import json
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from tools.reference.markdown import code

Node: TypeAlias = Mapping[str, "Value"]
Value: TypeAlias = "str | int | float | bool | list[Value] | Node | None"

_AS_GIVEN_IN_ENVIRONMENT = "EnvReference"
_ANYTHING = "JsonValue"


def node(value: Value) -> Node:
    if not isinstance(value, Mapping):
        raise TypeError(f"the schema has {value!r} where an object belongs")
    return value


def nodes(value: Value) -> Iterator[Node]:
    if isinstance(value, list):
        yield from (node(each) for each in value)


def reachable(first: str, definitions: Node) -> list[str]:
    """Objects that `first` is made of, each after the one that names it first."""
    found = [first]
    for name in found:
        for other in references(definitions[name]):
            if other not in found and "properties" in node(definitions[other]):
                found.append(other)
    return found


def references(value: Value) -> Iterator[str]:
    """Names of definitions that are referred to anywhere in it."""
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference.rpartition("/")[2]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def with_enums_in_place(value: Value, definitions: Node) -> Value:
    """The same with each reference to an enumeration replaced by what it lists."""
    if isinstance(value, list):
        return [with_enums_in_place(each, definitions) for each in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        target = node(definitions[reference.rpartition("/")[2]])
        return target if "enum" in target else value
    return {name: with_enums_in_place(each, definitions) for name, each in value.items()}


def type_of(about: Node) -> str:
    reference = about.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name == _ANYTHING:
            return "any"
        return "" if name == _AS_GIVEN_IN_ENVIRONMENT else f"[{name}](#{name.lower()})"
    if "const" in about:
        return code(str(about["const"]))
    for choice in ("anyOf", "oneOf"):
        if isinstance(about.get(choice), list):
            return " or ".join(dict.fromkeys(filter(None, (type_of(each) for each in nodes(about[choice])))))
    if "enum" in about:
        values = about["enum"]
        return ", ".join(code(str(each)) for each in values) if isinstance(values, list) else ""
    kind = about.get("type")
    if kind == "array":
        return f"list of {type_of(node(about.get('items', {}))) or 'any'}"
    if kind == "object" and isinstance(about.get("additionalProperties"), Mapping):
        return f"map to {type_of(node(about['additionalProperties'])) or 'any'}"
    return "" if kind == "null" else str(kind or "any")


def default_of(about: Node) -> str:
    """As JSON; empty where there is none."""
    return json.dumps(about["default"]) if about.get("default") is not None else ""
