"""YAML 1.2 core schema to plain values with the place of each, built on the events of ruamel.yaml's parser.

Own construction instead of a loader, because the operator's text must not be reinterpreted: `on`, dates and `1:30` are
strings, duplicate keys are errors (all of them, with their places), and nothing can be constructed but plain values.
Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from deltaglider_proxy.config.findings import Finding, Keys, Severity

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Positions = dict[Keys, tuple[int, int]]

_MAX_NODES = 200_000
"""After expansion of aliases; stops a small text from becoming a huge configuration."""
_MAX_DEPTH = 64

_BOOLEANS = {text: text.lower() == "true" for text in ("true", "True", "TRUE", "false", "False", "FALSE")}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STRING_TAG = "tag:yaml.org,2002:str"
_MAX_DIGITS = 400


@dataclass(slots=True)
class YamlText:
    """What a text holds; `value` is usable only when `findings` is empty."""

    value: Plain = None
    positions: Positions = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    quotes: dict[str, str] = field(default_factory=dict)
    """Which texts stand in quotes, and in which; a text that stands in several places has those of the last."""


class _Refused(Exception):
    def __init__(self, mark: StreamMark, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message
        self.remedy = remedy


def parse(text: str) -> YamlText:
    """Never raises for a bad text; see `YamlText.findings`."""
    result = YamlText()
    try:
        result.value = _Builder(result, iter(YAML(typ="safe", pure=True).parse(text))).document()
    except _Refused as refused:
        result.findings.append(_finding(refused.mark, (), refused.message, refused.remedy))
    except MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        # The parser quotes what it stumbled over, which may be part of a secret.
        problem = re.sub(r"'[^']{2,}'", "a word", str(failure.problem or failure.context or "not YAML"))
        result.findings.append(_finding(mark, (), f"not valid YAML: {problem}", _remedy(problem)))
    except YAMLError as failure:
        result.findings.append(_finding(None, (), f"not valid YAML: {type(failure).__name__}", None))
    return result


def _remedy(problem: str) -> str | None:
    if "cannot start any token" in problem or "mapping values" in problem:
        return "put the value in quotes"
    return None


def _finding(mark: StreamMark | None, keys: Keys, message: str, remedy: str | None) -> Finding:
    if mark is None:
        return Finding(Severity.ERROR, keys, message, remedy)
    return Finding(Severity.ERROR, keys, message, remedy, line=mark.line + 1, column=mark.column + 1)


class _Builder:
    def __init__(self, result: YamlText, events: Iterator[Event]) -> None:
        self._result = result
        self._events = events
        self._anchors: dict[str, tuple[Plain, int]] = {}
        self._nodes = 0

    def document(self) -> Plain:
        next(self._events)
        first = next(self._events)
        if isinstance(first, StreamEndEvent):
            return None
        value = self._node(next(self._events), (), 0)
        next(self._events)
        after = next(self._events)
        if isinstance(after, DocumentStartEvent):
            raise _Refused(after.start_mark, "the file holds more than one document", "keep one, without `---` lines")
        return value

    def _node(self, event: Event, keys: Keys, depth: int) -> Plain:
        if depth > _MAX_DEPTH:
            raise _Refused(event.start_mark, f"nested more than {_MAX_DEPTH} levels deep")
        if isinstance(event, AliasEvent):
            return self._alias(event)
        assert isinstance(event, NodeEvent)
        before = self._nodes
        self._count(event, 1)
        value: Plain
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
        else:
            self._refuse_tag(event)
            value = self._mapping(keys, depth) if isinstance(event, MappingStartEvent) else self._sequence(keys, depth)
        if event.anchor:
            self._anchors[event.anchor] = value, self._nodes - before
        return value

    def _count(self, event: Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > _MAX_NODES:
            raise _Refused(event.start_mark, f"more than {_MAX_NODES} values once aliases are expanded")

    def _alias(self, event: AliasEvent) -> Plain:
        if event.anchor not in self._anchors:
            raise _Refused(
                event.start_mark, "this alias has no complete anchor before it", "quote the value if it is text"
            )
        value, nodes = self._anchors[event.anchor]
        self._count(event, nodes)
        return value

    def _mapping(self, keys: Keys, depth: int) -> dict[str, Plain]:
        mapping: dict[str, Plain] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event)
            inner = (*keys, key)
            if key in mapping:
                line, _ = self._result.positions[inner]
                message = f"this key stands here a second time; the first is in line {line}"
                self._result.findings.append(_finding(event.start_mark, inner, message, "remove one of them"))
            else:
                self._result.positions[inner] = event.start_mark.line + 1, event.start_mark.column + 1
            mapping[key] = self._node(next(self._events), inner, depth + 1)
        return mapping

    def _key(self, event: Event) -> str:
        if not isinstance(event, ScalarEvent):
            raise _Refused(event.start_mark, "a key must be plain text")
        if event.value == "<<" and event.style is None:
            raise _Refused(event.start_mark, "merge keys (`<<`) are not supported", "write the keys out")
        self._refuse_tag(event)
        return self._text(event)

    def _sequence(self, keys: Keys, depth: int) -> list[Plain]:
        items: list[Plain] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            inner = (*keys, len(items))
            self._result.positions[inner] = event.start_mark.line + 1, event.start_mark.column + 1
            items.append(self._node(event, inner, depth + 1))
        return items

    def _scalar(self, event: ScalarEvent) -> Plain:
        text = self._text(event)
        if event.style is not None:
            self._result.quotes[text] = "'" if event.style == "'" else '"'
        if event.ctag is not None and str(event.ctag) == _STRING_TAG:
            return text
        self._refuse_tag(event)
        return text if event.style is not None else resolve(text)

    def _text(self, event: ScalarEvent) -> str:
        text = str(event.value)
        if _SURROGATE.search(text):
            message = "half of a surrogate pair is no character, and could not be written anywhere"
            raise _Refused(event.start_mark, message, "write the character itself, or \\U and eight digits")
        return text

    def _refuse_tag(self, event: NodeEvent) -> None:
        if getattr(event, "ctag", None) is not None:
            raise _Refused(event.start_mark, "tags (`!`) are not supported", "put the value in quotes")


def resolve(text: str) -> Plain:
    """The value of an unquoted scalar."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text, 8) if text.startswith("0o") else int(text, 16) if text.startswith("0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text
