"""Writes the pages of docs/reference that the code already knows: settings and environment variables.

Run it as `python -m tools.reference_pages` after a change of a setting; a test compares what it would write with what
is there, so the pages are never older than the code.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from deltaglider_proxy.config import schema
from deltaglider_proxy.config.environment import VARIABLES

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
_MADE = "Made from the code by `python -m tools.reference_pages`; edits are lost."
_LONGEST_DEFAULT = 60
_AS_GIVEN_IN_ENVIRONMENT = "EnvReference"
_ANYTHING = "JsonValue"

Node: TypeAlias = Mapping[str, "Value"]
Value: TypeAlias = "str | int | float | bool | list[Value] | Node | None"


def pages() -> dict[str, str]:
    """Text by file name."""
    return {"configuration.md": configuration(), "environment.md": environment()}


def environment() -> str:
    lines = [
        "# Environment variables",
        "",
        _MADE,
        "",
        "They override the configuration file; flags override them. `deltaglider_proxy --show-env` prints them all.",
    ]
    for category, variables in groupby(VARIABLES, key=lambda variable: variable.category):
        lines += ["", f"## {category}", "", "| variable | default | what it does |", "|---|---|---|"]
        lines += [
            f"| `{each.name}` | {_code(each.default)} | {_cell(each.description)} |"
            for each in sorted(variables, key=lambda each: each.name)
        ]
    return "\n".join(lines) + "\n"


def configuration() -> str:
    document: Node = json.loads(schema.text())
    definitions = _node(document["$defs"])
    lines = [
        "# Configuration reference",
        "",
        _MADE,
        "",
        "The file is YAML, in the sections below. `deltaglider_proxy config lint FILE` checks it;",
        "`deltaglider_proxy config schema` prints all of this as a JSON Schema.",
        "A value may be taken from the environment: `${env:NAME}`, or `${env:NAME:-otherwise}`.",
        "See also [Environment variables](environment.md).",
    ]
    for name in _reachable("Sectioned", definitions):
        heading = "The file" if name == "Sectioned" else f"`{name}`"
        lines += ["", f"## {heading}", "", "| field | type | default | what it does |", "|---|---|---|---|"]
        node = _node(definitions[name])
        for field, value in _node(node.get("properties", {})).items():
            about = _node(value)
            default = _code(json.dumps(about["default"])) if about.get("default") is not None else ""
            lines.append(f"| `{field}` | {_type(about)} | {default} | {_cell(str(about.get('description', '')))} |")
    return "\n".join(lines) + "\n"


def _reachable(first: str, definitions: Node) -> list[str]:
    """Objects that the file is made of, each after the first that names it."""
    found = [first]
    for name in found:
        for other in _references(definitions[name]):
            if other not in found and "properties" in _node(definitions[other]):
                found.append(other)
    return found


def _references(value: Value) -> Iterator[str]:
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference.rpartition("/")[2]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)


def _type(node: Node) -> str:
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name == _ANYTHING:
            return "any"
        return "" if name == _AS_GIVEN_IN_ENVIRONMENT else f"[{name}](#{name.lower()})"
    if "const" in node:
        return _code(str(node["const"]))
    for choice in ("anyOf", "oneOf"):
        if isinstance(node.get(choice), list):
            return " or ".join(dict.fromkeys(filter(None, (_type(each) for each in _nodes(node[choice])))))
    if "enum" in node:
        values = node["enum"]
        return ", ".join(_code(str(each)) for each in values) if isinstance(values, list) else ""
    kind = node.get("type")
    if kind == "array":
        return f"list of {_type(_node(node.get('items', {}))) or 'any'}"
    if kind == "object" and isinstance(node.get("additionalProperties"), Mapping):
        return f"map to {_type(_node(node['additionalProperties'])) or 'any'}"
    return "" if kind == "null" else str(kind or "any")


def _node(value: Value) -> Node:
    if not isinstance(value, Mapping):
        raise TypeError(f"the schema has {value!r} where an object belongs; see config/schema.py")
    return value


def _nodes(value: Value) -> Iterator[Node]:
    if isinstance(value, list):
        yield from (_node(each) for each in value)


def _code(text: str | None) -> str:
    if not text:
        return ""
    return f"`{_escaped(text)}`" if len(text) <= _LONGEST_DEFAULT else "see there"


def _cell(text: str) -> str:
    return _escaped(re.sub(r"\s+", " ", text))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
