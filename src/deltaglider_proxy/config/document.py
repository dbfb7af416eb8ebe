"""A configuration file as plain values: decoded, references resolved, parsed as YAML or TOML, places remembered."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from deltaglider_proxy.config import yaml_out, yaml_text
from deltaglider_proxy.config.expand import Expansion, Reference, Template, expand, pieces
from deltaglider_proxy.config.findings import ConfigError, ErrorKind, Finding, Keys, Severity
from deltaglider_proxy.config.yaml_text import Positions, YamlText

_BARE_IN_TOML = re.compile("(=[ \t]*)(\ue000[0-9]+\ue001)(?=[ \t]*(?:#|\r?\n|\\Z))")
"""A reference in place of a number or a boolean."""
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


class Format(Enum):
    YAML = "yaml"
    TOML = "toml"

    @classmethod
    def of(cls, path: Path) -> "Format":
        """By extension, in any case; everything that is not TOML is YAML."""
        return cls.TOML if path.suffix.lower() == ".toml" else cls.YAML


@dataclass(frozen=True, slots=True)
class Document:
    data: Mapping[str, object]
    positions: Positions
    references: Mapping[Keys, Reference]
    """Values that are one `${env:…}` as a whole."""
    templates: Mapping[Keys, Template]
    """Values with at least one, to be written again."""

    def place(self, keys: Keys) -> tuple[int, int] | None:
        """Line and column of the value, or of the nearest part around it whose place is known."""
        for length in range(len(keys), 0, -1):
            if (position := self.positions.get(keys[:length])) is not None:
                return position
        return None


EMPTY = Document({}, {}, {}, {})


def read(path: Path, environ: Mapping[str, str]) -> Document:
    """Raises ConfigError of kind IO or PARSE."""
    try:
        content = path.read_bytes()
    except OSError as failure:
        message = f"failed to read: {failure.strerror or failure}"
        raise ConfigError(ErrorKind.IO, str(path), [Finding(Severity.ERROR, (), message)]) from failure
    return parse(content, str(path), Format.of(path), environ)


def parse(content: bytes, source: str, form: Format, environ: Mapping[str, str]) -> Document:
    """Raises ConfigError of kind PARSE with every error of the text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = content.count(b"\n", 0, failure.start) + 1
        finding = Finding(Severity.ERROR, (), "is not UTF-8", "save the file as UTF-8", line=line, column=1)
        raise ConfigError(ErrorKind.PARSE, source, [finding]) from None
    expansion = expand(text, environ)
    if expansion.problems:
        findings = [
            Finding(Severity.ERROR, (), problem.message, problem.remedy, line=problem.line, column=problem.column)
            for problem in expansion.problems
        ]
        raise ConfigError(ErrorKind.PARSE, source, findings)
    data, positions = _mapping(_plain(expansion.text, form), source)
    references: dict[Keys, Reference] = {}
    templates: dict[Keys, Template] = {}
    if expansion.references:
        for keys, parts, quote in unresolved(expansion, form, source)[1]:
            templates[keys] = yaml_out.template(parts, quote)
            if len(parts) == 1 and isinstance(parts[0], Reference):
                references[keys] = parts[0]
    return Document(data, positions, references, templates)


Found = tuple[Keys, list[str | Reference], str]
"""The place of a value with references, its parts, and the quotes around it."""


def unresolved(expansion: Expansion, form: Format, source: str) -> tuple[dict[str, object], list[Found]]:
    """What a text holds, with marks in place of references, and where these are. Raises ConfigError of kind PARSE."""
    marked, bare = expansion.marked, set[str]()
    if form is Format.TOML:
        bare = {match[2] for match in _BARE_IN_TOML.finditer(marked)}
        marked = _BARE_IN_TOML.sub(r'\1"\2"', marked)
    parsed = _plain(marked, form)
    data, _ = _mapping(parsed, source)
    found: list[Found] = []
    for keys, text in _texts(data, ()):
        parts = pieces(text, expansion.references)
        if any(isinstance(part, Reference) for part in parts):
            quote = parsed.quotes.get(text, '"' if form is Format.TOML and text not in bare else "")
            found.append((keys, parts, quote))
    return data, found


def _mapping(parsed: YamlText, source: str) -> tuple[dict[str, object], Positions]:
    findings = parsed.findings
    if not findings and not isinstance(parsed.value, dict | None):
        findings = [Finding(Severity.ERROR, (), "the file must hold a mapping", "begin with a key such as `storage:`")]
    if findings:
        raise ConfigError(ErrorKind.PARSE, source, findings)
    return {**parsed.value} if isinstance(parsed.value, dict) else {}, parsed.positions


def _plain(text: str, form: Format) -> YamlText:
    if form is Format.YAML:
        return yaml_text.parse(text)
    try:
        return YamlText(tomllib.loads(text))
    except tomllib.TOMLDecodeError as failure:
        message = str(failure)
        place = _TOML_PLACE.search(message)
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        problem = f"not valid TOML: {_TOML_PLACE.sub('', message)}"
        return YamlText(findings=[Finding(Severity.ERROR, (), problem, line=line, column=column)])


def _texts(value: object, keys: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*keys, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*keys, index))
    elif isinstance(value, str):
        yield keys, value
