"""From plain values to `Settings`, and from pydantic's complaints to findings that an operator can act on."""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from deltaglider_proxy.config.findings import Finding, Keys, closest, error
from deltaglider_proxy.config.model import Model
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.config.settings import Settings

_TYPES: Mapping[str, str] = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "missing": "is required",
}
_DISCRIMINATORS = ("type", "mode")


def build(data: dict[str, object], references: Mapping[Keys, str]) -> Settings | list[Finding]:
    """Settings, or every error of type.

    `references` gives the text of values that came from the environment as a whole: such a value may fill a text field
    even if it looks like a number. `data` is changed accordingly.
    """
    try:
        return Settings.model_validate(data)
    except ValidationError as failure:
        details = failure.errors(include_url=False)
    retry = False
    for detail in details:
        keys = _keys(detail, data)
        if detail["type"] == "string_type" and keys in references:
            retry |= _replace(data, keys, references[keys])
    if retry:
        return build(data, {})
    return [_explain(detail, data) for detail in details]


def at(data: object, keys: Keys) -> object:
    """The value at `keys`; None if there is none."""
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return None
    return data


def _replace(data: dict[str, object], keys: Keys, value: str) -> bool:
    parent = at(data, keys[:-1])
    if isinstance(parent, dict):
        parent[str(keys[-1])] = value
        return True
    if isinstance(parent, list) and isinstance(keys[-1], int):
        parent[keys[-1]] = value
        return True
    return False


def _keys(detail: ErrorDetails, data: object) -> Keys:
    """The way through `data`; pydantic also lists which alternative of a union it was in."""
    keys: list[str | int] = []
    for position, key in enumerate(detail["loc"]):
        last = position == len(detail["loc"]) - 1
        if isinstance(data, dict) and key in data:
            data = data[str(key)]
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        elif not (last and detail["type"] == "missing"):
            continue
        keys.append(key)
    return tuple(keys)


def _explain(detail: ErrorDetails, data: object) -> Finding:
    keys = _keys(detail, data)
    kind = detail["type"]
    value = _showable(keys, data)
    if kind == "extra_forbidden":
        return error(keys, "unknown key", _nearest(keys, data))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _explain_tag(keys, data)
    if kind == "literal_error":
        choices = [str(choice) for item in alternatives(keys, data) for choice in _literals(item)]
        return error(keys, f"must be one of {', '.join(choices)}", closest(str(value), choices), value=value)
    if kind == "greater_than_equal":
        return error(keys, f"must be at least {detail['ctx']['ge']}", value=value)
    if kind == "value_error":
        return error(keys, str(detail["ctx"]["error"]), value=value)
    return error(keys, _TYPES.get(kind, detail["msg"]), _type_remedy(kind, at(data, keys)), value=value)


def _type_remedy(kind: str, value: object) -> str | None:
    if value is None and kind != "missing":
        return "give it a value, or remove the key"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "put the value in quotes"
    if kind == "bool_type" and str(value).lower() in ("yes", "on", "1", "no", "off", "0", "true", "false"):
        return "write true or false, without quotes"
    if kind in ("int_type", "float_type") and isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return "remove the quotes"
    return None


def _explain_tag(keys: Keys, data: object) -> Finding:
    choices: list[str] = []
    name = _DISCRIMINATORS[0]
    for item in alternatives(keys, data, narrow=False):
        for field in _DISCRIMINATORS:
            if isinstance(item, type) and issubclass(item, Model) and field in item.model_fields:
                choices += [str(choice) for choice in _literals(item.model_fields[field].annotation)]
                name = field
    value = at(data, keys)
    if not isinstance(value, dict):
        return error(keys, "must be a mapping", f"write {name}: and the keys that belong to it")
    if value.get(name) is None:
        return error((*keys, name), "is required", f"use one of {', '.join(choices)}")
    remedy = closest(str(value[name]), choices)
    return error((*keys, name), f"must be one of {', '.join(choices)}", remedy, value=value[name])


def _nearest(keys: Keys, data: object) -> str:
    if keys == ("advanced", "encryption_key"):
        return "encryption belongs to its backend, see storage.backend_encryption"
    known: list[str] = []
    for item in alternatives(keys[:-1], data):
        if isinstance(item, type) and issubclass(item, Model):
            known += item.model_fields
            known += item.shorthands.model_fields if item.shorthands is not None else ()
    return closest(str(keys[-1]), known) or f"use one of {', '.join(dict.fromkeys(known))}"


def _showable(keys: Keys, data: object) -> object:
    """The value if it is a scalar and neither is, nor was meant to hold, a secret."""
    value = at(data, keys)
    found = list(alternatives(keys, data))
    if not found or any(_holds_secret(item, set()) for item in found):
        return None
    return value if isinstance(value, bool | int | float | str) else None


def alternatives(keys: Keys, data: object, *, narrow: bool = True) -> Iterator[object]:
    """The types that may stand at `keys`; `narrow` keeps only those that the discriminators in `data` select."""
    found: list[object] = [Settings]
    for key in keys:
        selected = _selected(found, data)
        found = [inner for item in selected for outer in _step(item, key) for inner in _flatten(outer)]
        data = at(data, (key,))
    return iter(_selected(found, data) if narrow else found)


def _selected(found: list[object], data: object) -> list[object]:
    if not isinstance(data, dict):
        return found
    selected = []
    for item in found:
        fields = item.model_fields if isinstance(item, type) and issubclass(item, BaseModel) else {}
        tags = {name: _literals(fields[name].annotation) for name in _DISCRIMINATORS if name in fields}
        if all(not choices or data.get(name) in (None, *choices) for name, choices in tags.items()):
            selected.append(item)
    return selected


def _step(item: object, key: str | int) -> Iterator[object]:
    origin = get_origin(item)
    if isinstance(item, type) and issubclass(item, BaseModel):
        if key in item.model_fields:
            yield item.model_fields[str(key)].annotation
    elif origin is tuple and isinstance(key, int):
        yield get_args(item)[0]
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield get_args(item)[1]


def _flatten(item: object) -> Iterator[object]:
    origin = get_origin(item)
    if origin is Annotated:
        yield from _flatten(get_args(item)[0])
    elif origin is Union or origin is UnionType:
        for inner in get_args(item):
            yield from _flatten(inner)
    elif item is not NoneType:
        yield item


def _literals(item: object) -> tuple[object, ...]:
    return get_args(item) if get_origin(item) is Literal else ()


def _holds_secret(item: object, seen: set[object]) -> bool:
    if item is Secret:
        return True
    if isinstance(item, type) and issubclass(item, BaseModel):
        if item in seen:
            return False
        seen.add(item)
        return any(_holds_secret(field.annotation, seen) for field in item.model_fields.values())
    return any(_holds_secret(inner, seen) for inner in get_args(item) if inner is not Ellipsis)
