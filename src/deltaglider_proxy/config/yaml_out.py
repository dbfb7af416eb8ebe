"""Plain values as YAML that our own reader reads back to the same values, and everybody else's too.

Block style, one value per line. A text is quoted where it could be taken for something else; a `$` that would begin a
reference is escaped, and a reference is written as it was.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from deltaglider_proxy.config.expand import Reference, Template, escape
from deltaglider_proxy.config.findings import Keys
from deltaglider_proxy.config.yaml_text import resolve

_SAFE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@%+=,~ -]*(?<! )")
_OTHERS = re.compile(r"(?i)y|n|yes|no|on|off|~|null|true|false|[0-9:_.-]+|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|0[xob].*|\..*")
"""What readers of older YAML would not take for text."""
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

Plain = object


def dump(tree: Mapping[str, Plain], references: Mapping[Keys, str] | None = None) -> str:
    """`references` are the texts of values that are a reference as a whole. An empty tree is `{}`."""
    if not tree:
        return "{}\n"
    return "\n".join(_mapping(tree, (), 0, references or {})) + "\n"


def _mapping(tree: Mapping[str, Plain], keys: Keys, depth: int, references: Mapping[Keys, str]) -> Iterator[str]:
    for key, value in tree.items():
        place = (*keys, key)
        yield from _item(f"{'  ' * depth}{_text(key)}:", value, place, depth, references)


def _item(start: str, value: Plain, place: Keys, depth: int, references: Mapping[Keys, str]) -> Iterator[str]:
    if place in references:
        yield f"{start} {_reference(references[place])}"
    elif isinstance(value, Mapping):
        if value:
            yield start
            yield from _mapping(value, place, depth + 1, references)
        else:
            yield f"{start} {{}}"
    elif isinstance(value, list | tuple):
        if value:
            yield start
            yield from _sequence(value, place, depth + 1, references)
        else:
            yield f"{start} []"
    else:
        yield f"{start} {_scalar(value)}"


def _sequence(
    items: list[Plain] | tuple[Plain, ...], keys: Keys, depth: int, references: Mapping[Keys, str]
) -> Iterator[str]:
    indent = "  " * depth
    for index, item in enumerate(items):
        place = (*keys, index)
        if isinstance(item, Mapping) and item and place not in references:
            lines = list(_mapping(item, place, depth + 1, references))
            yield f"{indent}- {lines[0].strip()}"
            yield from lines[1:]
        else:
            yield from _item(f"{indent}-", item, place, depth, references)


def _scalar(value: Plain) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if math.isfinite(value):
                return repr(value)
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        case str():
            return _text(value)
        case _:
            raise TypeError(f"{type(value).__name__} is no plain value")


def _text(text: str) -> str:
    plain = _SAFE.fullmatch(text) and not _OTHERS.fullmatch(text) and resolve(text) == text
    return text if plain else escape(_quoted(text))


def _quoted(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped)


def template(parts: Sequence[str | Reference], quote: str) -> Template:
    """How a value with references is written again, in the quotes that it stood in."""
    source = ""
    for index, part in enumerate(parts):
        if isinstance(part, Reference):
            source += part.text
            continue
        inner = part
        if quote == "'":
            inner = part.replace("'", "''")
        elif quote:
            inner = _quoted(part)[1:-1]
        # A dollar sign before a reference would escape it; and no line of a file begins with this part.
        before = "$" if index + 1 < len(parts) else "."
        source += escape(f".{inner}{before}")[1:-1]
    text = "".join(part.text if isinstance(part, Reference) else part for part in parts)
    return Template(text, f"{quote}{source}{quote}", whole=len(parts) == 1)


def _reference(text: str) -> str:
    """A default may hold anything but `}`; quoted, the reader's own escapes would apply to it."""
    if isinstance(text, Template):
        return text.source
    return text if re.fullmatch(r"\$\{env:\w+(:-[A-Za-z0-9_./@:-]*)?\}", text) else f"'{text}'"
