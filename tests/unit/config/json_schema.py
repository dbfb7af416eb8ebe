"""As much of JSON Schema as our schema uses; a keyword it does not know is an error, so nothing passes unseen."""

import re
from typing import Any

ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "default", "writeOnly", "format"}


def is_valid(schema: dict[str, Any], value: object, root: dict[str, Any] | None = None) -> bool:
    root = schema if root is None else root
    return all(_holds(keyword, schema, value, root) for keyword in schema if keyword not in ANNOTATIONS)


def _holds(keyword: str, schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    given = schema[keyword]
    match keyword:
        case "$ref":
            return is_valid(root["$defs"][given.removeprefix("#/$defs/")], value, root)
        case "anyOf":
            return any(is_valid(item, value, root) for item in given)
        case "type":
            return _has_type(given, value)
        case "enum":
            return value in given
        case "const":
            return type(value) is type(given) and bool(value == given)
        case "pattern":
            return not isinstance(value, str) or re.search(given, value) is not None
        case "minimum":
            return not isinstance(value, int | float) or value >= given
        case "maximum":
            return not isinstance(value, int | float) or value <= given
        case "required":
            return not isinstance(value, dict) or all(key in value for key in given)
        case "properties":
            return not isinstance(value, dict) or all(
                is_valid(given[key], item, root) for key, item in value.items() if key in given
            )
        case "additionalProperties":
            if not isinstance(value, dict):
                return True
            extra = [item for key, item in value.items() if key not in schema.get("properties", {})]
            return not extra if given is False else given is True or all(is_valid(given, item, root) for item in extra)
        case "items":
            return not isinstance(value, list) or all(is_valid(given, item, root) for item in value)
        case _:
            raise AssertionError(f"unknown keyword {keyword}")


def _has_type(name: str, value: object) -> bool:
    match name:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case _:
            raise AssertionError(f"unknown type {name}")
