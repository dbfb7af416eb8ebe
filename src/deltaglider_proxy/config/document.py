"""A configuration file as plain values: decoded, references resolved, parsed as YAML or TOML, places remembered."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from deltaglider_proxy.config import yaml_text
from deltaglider_proxy.config.expand import Expansion, Reference, expand
from deltaglider_proxy.config.findings import ConfigError, ErrorKind, Finding, Keys, Severity
from deltaglider_proxy.config.yaml_text import Positions

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

    def place(self, keys: Keys) -> tuple[int, int] | None:
        """Line and column of the value, or of the nearest part around it whose place is known."""
        for length in range(len(keys), 0, -1):
            if (position := self.positions.get(keys[:length])) is not None:
                return position
        return None


EMPTY = Document({}, {}, {})


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
    data, positions, errors = _plain(expansion.text, form)
    if not errors and data is None:
        data = {}
    if not errors and not isinstance(data, dict):
        errors = [Finding(Severity.ERROR, (), "the file must hold a mapping", "begin with a key such as `storage:`")]
    if errors:
        raise ConfigError(ErrorKind.PARSE, source, errors)
    assert isinstance(data, dict)
    return Document(data, positions, _references(expansion, form))


def plain_values(text: str, form: Format) -> tuple[dict[str, object], list[Finding]]:
    """What a text holds, references not resolved; with errors it means nothing."""
    data, _, errors = _plain(text, form)
    if not errors and not isinstance(data, dict | None):
        errors = [Finding(Severity.ERROR, (), "the file must hold a mapping", "begin with a key such as `storage:`")]
    return (data if isinstance(data, dict) else {}), errors


def _plain(text: str, form: Format) -> tuple[object, Positions, list[Finding]]:
    if form is Format.YAML:
        result = yaml_text.parse(text)
        return result.value, result.positions, result.findings
    try:
        return tomllib.loads(text), {}, []
    except tomllib.TOMLDecodeError as failure:
        message = str(failure)
        place = _TOML_PLACE.search(message)
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        problem = f"not valid TOML: {_TOML_PLACE.sub('', message)}"
        return None, {}, [Finding(Severity.ERROR, (), problem, line=line, column=column)]


def _references(expansion: Expansion, form: Format) -> dict[Keys, Reference]:
    if not expansion.references:
        return {}
    marked, _, errors = _plain(expansion.marked, form)
    found: dict[Keys, Reference] = {}
    if not errors:
        _collect(marked, (), expansion.references, found)
    return found


def _collect(value: object, keys: Keys, references: Mapping[str, Reference], found: dict[Keys, Reference]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _collect(item, (*keys, key), references, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, (*keys, index), references, found)
    elif isinstance(value, str) and value in references:
        found[keys] = references[value]
