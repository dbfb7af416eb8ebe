"""`reference/configuration.md`, from the JSON Schema of the configuration file."""

import json

from deltaglider_proxy.config import schema
from tools.reference.markdown import cell, code, default, page, table
from tools.reference.schemas import Node, default_of, node, reachable, type_of

_ROOT = "Sectioned"
_HEAD = ("field", "type", "default", "what it does")
_START = """\
The file is YAML, in the sections below. `deltaglider_proxy config lint FILE` checks it;
`deltaglider_proxy config schema` prints all of this as a JSON Schema.
A value may be taken from the environment: `${env:NAME}`, or `${env:NAME:-otherwise}`.
See also [Environment variables](environment.md)."""


def configuration() -> str:
    document: Node = json.loads(schema.text())
    definitions = node(document["$defs"])
    blocks = [_START]
    for name in reachable(_ROOT, definitions):
        rows = []
        for field, value in node(node(definitions[name]).get("properties", {})).items():
            about = node(value)
            rows.append(
                (code(field), type_of(about), default(default_of(about)), cell(str(about.get("description", ""))))
            )
        blocks += [f"## {'The file' if name == _ROOT else code(name)}", table(_HEAD, rows)]
    return page("Configuration reference", *blocks)
