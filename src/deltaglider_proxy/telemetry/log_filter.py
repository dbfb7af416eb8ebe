"""Which log lines are wanted: the comma list of levels and `target=level` that operators of Rust services know.

A filter is a value: parsing, precedence of its sources and matching are pure; `telemetry.logs` applies it. Targets map
to Python loggers, `::` and `.` alike, so a filter written for the Rust names keeps its meaning.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

ROOT = "deltaglider_proxy"
ACCESS = "deltaglider_proxy.access"

TRACE = 5
OFF = 100
"""Above every level that is ever logged."""
ERROR = 40

DEFAULT_FILTER = "deltaglider_proxy=debug,tower_http=debug"
VERBOSE_FILTER = "deltaglider_proxy=trace,tower_http=trace"

ALIASES: Mapping[str, tuple[str, ...]] = {
    "tower_http": (ACCESS,),
    "hyper": ("granian", "_granian"),
    "axum": ("granian", "_granian"),
    "aws_sdk_s3": ("botocore",),
    "aws_smithy_runtime": ("botocore",),
    "s3s": ("deltaglider_proxy.s3",),
}
"""Loggers that stand for a crate; whatever the target names below the crate is theirs as well."""

_LEVELS = {
    "off": OFF,
    "critical": 50,
    "error": ERROR,
    "warn": 30,
    "warning": 30,
    "info": 20,
    "debug": 10,
    "trace": TRACE,
    "0": OFF,
    "1": ERROR,
    "2": 30,
    "3": 20,
    "4": 10,
    "5": TRACE,
}
_TARGET = re.compile(r"[A-Za-z0-9_:.-]+")


class FilterError(ValueError):
    """The text is no filter. Names the directive and what would be one."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    text: str
    """As the operator wrote it."""
    targets: Mapping[str, int]
    """Least level by logger name."""
    everything: int | None
    """Least level of loggers that no target names; None if the filter gives none."""

    def level_for(self, logger: str) -> int:
        """Least level that `logger` may write. The longest target wins, on boundaries between components.

        What the filter does not mention is silent, except errors of libraries: a crash must stay visible.
        """
        name = logger
        while name:
            if name in self.targets:
                return self.targets[name]
            name = name.rpartition(".")[0]
        if self.everything is not None:
            return self.everything
        return OFF if logger == ROOT or logger.startswith(ROOT + ".") else ERROR

    def unknown_targets(self, loggers: Iterable[str]) -> tuple[str, ...]:
        """Targets that neither are, nor contain, nor lie below one of `loggers`: most likely a misspelling."""
        known = set(loggers)
        return tuple(
            target
            for target in self.targets
            if not any(_within(name, target) or _within(target, name) for name in known)
        )


def parse(text: str) -> LogFilter:
    """Raises FilterError. The empty text means errors only."""
    directives = [part.strip() for part in text.split(",") if part.strip()]
    targets: dict[str, int] = {}
    everything = None if directives else ERROR
    for directive in directives:
        target, separator, level = (piece.strip() for piece in directive.partition("="))
        if not separator and target.lower() in _LEVELS:
            everything = _LEVELS[target.lower()]
            continue
        if not _TARGET.fullmatch(target):
            raise FilterError(_explain(text, directive))
        if level and level.lower() not in _LEVELS:
            raise FilterError(_explain(text, directive))
        for logger in loggers_of(target):
            targets[logger] = _LEVELS[level.lower()] if level else TRACE
    return LogFilter(text, targets, everything)


def loggers_of(target: str) -> tuple[str, ...]:
    """Python loggers that a target of a filter stands for."""
    name = target.replace("::", ".")
    return ALIASES.get(name.partition(".")[0], (name,))


class Source(StrEnum):
    RUST_LOG = "RUST_LOG"
    DGP_LOG_LEVEL = "DGP_LOG_LEVEL"
    FILE = "log_level in the configuration file"
    VERBOSE = "--verbose"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Resolution:
    filter: LogFilter
    source: Source
    warnings: tuple[str, ...]
    """One for each source that was given but is no filter."""


def resolve(rust_log: str | None, dgp_log_level: str | None, file: str | None, *, verbose: bool) -> Resolution:
    """The first usable source in order of precedence; None is a source that was not given.

    A default of the configuration file must be passed as None, or it would hide `--verbose`.
    """
    candidates = (
        (Source.RUST_LOG, rust_log),
        (Source.DGP_LOG_LEVEL, dgp_log_level),
        (Source.FILE, file),
        (Source.VERBOSE, VERBOSE_FILTER if verbose else None),
    )
    warnings: list[str] = []
    for source, text in candidates:
        if text is None:
            continue
        try:
            return Resolution(parse(text), source, tuple(warnings))
        except FilterError as error:
            warnings.append(f"{source} is ignored: {error}")
    return Resolution(parse(DEFAULT_FILTER), Source.DEFAULT, tuple(warnings))


def _within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(parent + ".")


def _explain(text: str, directive: str) -> str:
    remedy = "use LEVEL, TARGET or TARGET=LEVEL, with a level of off, error, warn, info, debug, trace"
    if "[" in directive or "{" in directive:
        remedy = "filters on spans and fields are not supported; " + remedy
    return f"log filter {text!r}: {directive!r} is not a directive; {remedy}"
