"""What is wrong, doubtful or remarkable about a configuration, each with its place and a remedy.

Findings are values, so that one set of rules serves `lint`, the start of the server and, later, the admin API.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum, StrEnum

from typing_extensions import override

Keys = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dotted(keys: Keys) -> str:
    """`storage.backends[0].path`; a key that is no plain word is quoted."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _PLAIN_KEY.fullmatch(key) else f'"{key}"')
    return text


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    keys: Keys
    """Empty when the finding is about the file or the environment as a whole."""
    message: str
    """Never holds the value of a secret."""
    remedy: str | None = None
    value: str | None = None
    """What was found, as text; None for secrets and for whole mappings."""
    line: int | None = None
    """From 1."""
    column: int | None = None
    """From 1."""
    drop: Keys | None = None
    """If set, a start goes on without this part of the configuration; a lint still rejects an error."""

    @property
    def path(self) -> str:
        return dotted(self.keys)

    def dropping(self, keys: Keys) -> "Finding":
        """The same finding, after which the default is used instead of what stands at `keys`."""
        return replace(self, drop=keys)

    @override
    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}: " if self.line is not None else ""
        path = f"{self.path}: " if self.keys else ""
        value = f" (found {self.value})" if self.value is not None else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        kind = "(info) " if self.severity is Severity.INFO else ""
        return f"{kind}{place}{path}{self.message}{value}{remedy}"


def error(keys: Keys, message: str, remedy: str | None = None, *, value: object = None) -> Finding:
    return Finding(Severity.ERROR, keys, message, remedy, _shown(value))


def dropped(keys: Keys, message: str, remedy: str | None = None, *, drop: Keys, value: object = None) -> Finding:
    """An error that a start survives by leaving out `drop`."""
    return Finding(Severity.ERROR, keys, message, remedy, _shown(value), drop=drop)


def warning(keys: Keys, message: str, remedy: str | None = None, *, value: object = None) -> Finding:
    return Finding(Severity.WARNING, keys, message, remedy, _shown(value))


def info(keys: Keys, message: str, remedy: str | None = None) -> Finding:
    return Finding(Severity.INFO, keys, message, remedy)


def _shown(value: object) -> str | None:
    return None if value is None else repr(value)


def closest(text: str, choices: Iterable[str]) -> str | None:
    """A remedy that names the choice that was most likely meant, in whatever case; None if none is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(text.lower(), by_lower, 1)
    return f"did you mean `{by_lower[close[0]]}`?" if close else None


class ErrorKind(Enum):
    """Which step failed; the value is the exit code of `config lint`."""

    IO = 3
    PARSE = 4
    VALIDATION = 6


class ConfigError(Exception):
    """The configuration cannot be used. `findings` holds every error found in the step that failed."""

    def __init__(self, kind: ErrorKind, source: str, findings: Iterable[Finding]) -> None:
        self.kind = kind
        self.source = source
        """The file, or where else the text came from."""
        self.findings = tuple(findings)
        super().__init__("\n".join(f"{source}: {finding}" for finding in self.findings))
