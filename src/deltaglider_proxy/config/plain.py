"""Settings as the plain values that a file would hold: only what differs from the defaults, in the order of the models.

Secrets stay `Secret` objects, so that whoever writes them out has to decide what becomes of each.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from deltaglider_proxy.config.address import ListenAddress
from deltaglider_proxy.config.duration import format_duration
from deltaglider_proxy.config.settings import Settings

Tree = dict[str, Any]

_ALWAYS = frozenset({"type", "mode", "name", "path", "region", "force_path_style"})
"""Written also where they are the default: they say what the rest means. Path style and region only beside a type."""
_BESIDE_TYPE = frozenset({"path", "region", "force_path_style"})


def plain(settings: Settings) -> Tree:
    """A default configuration is `{}`."""
    return _model(settings)


def _model(model: BaseModel) -> Tree:
    tree: Tree = {}
    typed = "type" in type(model).model_fields
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        default = field.default if field.default is not PydanticUndefined else None
        kept = name in _ALWAYS and (typed or name not in _BESIDE_TYPE) and value is not None
        if value == default and not kept:
            continue
        shown = _value(value)
        if shown in ({}, []) and isinstance(value, BaseModel):
            continue
        if value is not None:
            tree[name] = shown
    return tree


def _value(value: object) -> object:
    match value:
        case BaseModel():
            return _model(value)
        case ListenAddress():
            return str(value)
        case timedelta():
            return format_duration(value)
        case Mapping():
            return {str(key): _value(item) for key, item in sorted(value.items())}
        case tuple() | list():
            return [_value(item) for item in value]
        case _:
            return value
