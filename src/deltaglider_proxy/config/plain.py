"""Settings as the plain values that a file would hold: only what differs from the defaults, in the order of the models.

Secrets stay `Secret` objects, so that whoever writes them out has to decide what becomes of each.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from deltaglider_proxy.config.address import ListenAddress
from deltaglider_proxy.config.duration import format_duration
from deltaglider_proxy.config.findings import Keys
from deltaglider_proxy.config.settings import Settings

Tree = dict[str, Any]

_ALWAYS = frozenset({"type", "mode", "name", "path", "region", "force_path_style"})
"""Written also where they are the default: they say what the rest means. Path style and region only beside a type."""
_BESIDE_TYPE = frozenset({"path", "region", "force_path_style"})


def plain(settings: Settings, keep: Iterable[Keys] = ()) -> Tree:
    """A default configuration is `{}`. What stands at a place of `keep` is there also where it is the default."""
    return _model(settings, (), {keys[:length] for keys in keep for length in range(1, len(keys) + 1)})


def _model(model: BaseModel, keys: Keys, keep: set[Keys]) -> Tree:
    tree: Tree = {}
    typed = "type" in type(model).model_fields
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        default = field.default if field.default is not PydanticUndefined else None
        kept = name in _ALWAYS and (typed or name not in _BESIDE_TYPE)
        if value is None or (value == default and not kept and (*keys, name) not in keep):
            continue
        shown = _value(value, (*keys, name), keep)
        if shown or not isinstance(value, BaseModel):
            tree[name] = shown
    return tree


def _value(value: object, keys: Keys, keep: set[Keys]) -> object:
    match value:
        case BaseModel():
            return _model(value, keys, keep)
        case ListenAddress():
            return str(value)
        case timedelta():
            return format_duration(value)
        case Mapping():
            return {str(key): _value(item, (*keys, str(key)), keep) for key, item in sorted(value.items())}
        case tuple() | list():
            return [_value(item, (*keys, index), keep) for index, item in enumerate(value)]
        case _:
            return value
