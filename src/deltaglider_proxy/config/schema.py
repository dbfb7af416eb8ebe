"""JSON Schema of the configuration file, for editors and CI; made from the models, so that it cannot lag behind.

It describes files as they are written: the flat shape and shorthands are allowed, and a reference to the environment
may stand for every scalar. Source: https://json-schema.org/draft/2020-12
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from deltaglider_proxy.config.address import ListenAddress
from deltaglider_proxy.config.duration import format_duration
from deltaglider_proxy.config.model import Model
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.shape import flat_keys

DIALECT = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIER = "urn:deltaglider-proxy:configuration:v1"

Schema = dict[str, Any]

_REFERENCE: Schema = {
    "type": "string",
    "description": "A value from the environment.",
    "pattern": r"\$\{env:[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
}
_CONSTRAINTS = frozenset({"pattern", "enum", "const"})
_ANNOTATIONS = ("description", "default", "writeOnly")


class _AsWritten(GenerateJsonSchema):
    """Gives defaults in the form in which a file would hold them."""

    @override
    def encode_default(self, dft: Any) -> Any:
        match dft:
            case ListenAddress():
                return str(dft)
            case timedelta():
                return format_duration(dft)
            case Secret():
                return dft.reveal()
            case _:
                return super().encode_default(dft)


def schema() -> Schema:
    """One document for a whole file."""
    root = Settings.model_json_schema(schema_generator=_AsWritten)
    definitions: Schema = root.pop("$defs")
    for model in _models(Settings, set()):
        if model.shorthands is not None:
            shorthand = model.shorthands.model_json_schema()
            definitions[model.__name__]["properties"] |= shorthand["properties"]
    properties: Schema = {"defaults": root["properties"]["defaults"]}
    for key, (section, name) in flat_keys().items():
        reference = str(root["properties"][section]["$ref"])
        properties[key] = definitions[reference.rpartition("/")[2]]["properties"][name]
    definitions = {name: _open(definition) for name, definition in definitions.items()}
    definitions["EnvReference"] = dict(_REFERENCE)
    definitions["Sectioned"] = _open(root)
    definitions["Flat"] = _open({"type": "object", "additionalProperties": False, "properties": properties})
    definitions["Sectioned"]["description"] = "The file in sections; the usual shape."
    definitions["Flat"]["description"] = "All keys at the root; the shape of older files."
    return {
        "$schema": DIALECT,
        "$id": IDENTIFIER,
        "title": "deltaglider_proxy configuration",
        "anyOf": [{"$ref": "#/$defs/Sectioned"}, {"$ref": "#/$defs/Flat"}],
        "$defs": definitions,
    }


def section_schema(section: str) -> Schema:
    """What may stand below one section."""
    whole = schema()
    return {
        "$schema": DIALECT,
        "$id": f"{IDENTIFIER}:{section}",
        "title": f"deltaglider_proxy configuration: {section}",
        **whole["$defs"]["Sectioned"]["properties"][section],
        "$defs": whole["$defs"],
    }


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _models(model: type[BaseModel], seen: set[object]) -> Iterator[type[Model]]:
    for field in model.model_fields.values():
        yield from _models_in(field.annotation, seen)
    if issubclass(model, Model):
        yield model


def _models_in(annotation: object, seen: set[object]) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.add(annotation)
            yield from _models(annotation, seen)
        return
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner, seen)


def _open(node: Any) -> Any:
    """The same schema in which every scalar may also be a reference; without the titles that repeat names."""
    if isinstance(node, list):
        return [_open(item) for item in node]
    if not isinstance(node, dict):
        return node
    opened: Schema = {}
    for key, value in node.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "patternProperties"):
            opened[key] = {name: _open(item) for name, item in value.items()}
        elif key == "oneOf":
            # With a reference in place of the tag, more than one alternative fits.
            opened["anyOf"] = _open(value)
        elif key in ("default", "enum", "const", "required"):
            opened[key] = value
        elif key != "discriminator":
            opened[key] = _open(value)
    scalar = opened.get("type") in ("integer", "number", "boolean")
    if not scalar and not (opened.get("type", "string") == "string" and _CONSTRAINTS & opened.keys()):
        return opened
    outer = {key: opened.pop(key) for key in _ANNOTATIONS if key in opened}
    return {**outer, "anyOf": [opened, {"$ref": "#/$defs/EnvReference"}]}
