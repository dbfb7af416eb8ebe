"""From a log record to one line of text or JSON. Nothing that a client sent can end a line or begin one.

Secrets are kept out by construction: a field whose name promises a secret is blanked whatever it holds, and only plain
values are shown at all, so that logging an object cannot print what is inside it.
"""

import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePath

import orjson

from deltaglider_proxy.telemetry.log_filter import TRACE

Field = str | int | float | bool | None | list["Field"] | dict[str, "Field"]

LEVEL_NAMES = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARN"), (20, "INFO"), (10, "DEBUG"), (TRACE, "TRACE"))

REDACTED = "[redacted]"
_SECRET_NAME = re.compile(
    r"authorization|cookie|passw|secret|token|signature|credential|private|customer_key|session|api_key|bearer"
)
_SECRET_IN_TEXT = re.compile(
    r"(?i)((?:authorization|cookie|x-amz-security-token|x-amz-signature|customer-key|secret\w{0,40}|password)"
    r"['\"]?\s*[:=]\s*)(?:b?'[^']*'|b?\"[^\"]*\"|[^\n]*)"
)
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class LogEntry:
    time: float
    """Seconds since the epoch."""
    level: int
    target: str
    message: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    exception: str = ""
    """Traceback, several lines."""

    @property
    def level_name(self) -> str:
        return level_name(self.level)

    @property
    def timestamp(self) -> str:
        """RFC 3339, UTC."""
        return datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def level_name(level: int) -> str:
    for number, name in LEVEL_NAMES:
        if level >= number:
            return name
    return "TRACE"


def entry_of(record: logging.LogRecord) -> LogEntry:
    """`record.fields`, where there is one, are the fields of a structured event."""
    fields = getattr(record, "fields", None)
    own = getattr(record, "structured", False)
    message = record.getMessage()
    exception = ""
    if record.exc_info and record.exc_info[0] is not None:
        exception = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    return LogEntry(
        record.created,
        record.levelno,
        record.name,
        # Messages of libraries are prose with values in it; at debug level botocore prints whole header maps.
        message if own else _SECRET_IN_TEXT.sub(r"\1" + REDACTED, message),
        {name: _plain(name, value, _DEPTH) for name, value in fields.items()} if isinstance(fields, dict) else {},
        _SECRET_IN_TEXT.sub(r"\1" + REDACTED, exception) if exception else "",
    )


@lru_cache(1024)
def _promises_secret(name: str) -> bool:
    return _SECRET_NAME.search(name.lower().replace("-", "_")) is not None


def _plain(name: str, value: object, depth: int) -> Field:
    if _promises_secret(name) and value not in (None, ""):
        return REDACTED
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return str(value)
        case PurePath() | BaseException():
            return str(value)
        case Mapping() if depth:
            return {str(key): _plain(str(key), inner, depth - 1) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset() if depth:
            return [_plain(name, inner, depth - 1) for inner in value]
        case _:
            return f"<{type(value).__name__}>"


def json_line(entry: LogEntry) -> bytes:
    """One object with the fields as keys beside `ts`, `level`, `target`, `message` and perhaps `exception`."""
    line: dict[str, Field] = {
        "ts": entry.timestamp,
        "level": entry.level_name,
        "target": entry.target,
        "message": entry.message,
    }
    if entry.exception:
        line["exception"] = entry.exception
    for name, value in entry.fields.items():
        line[f"{name}_" if name in line else name] = value
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # Lone surrogates and integers above 64 bits.
        return json.dumps(line).encode() + b"\n"


_COLOURS = {"CRITICAL": 35, "ERROR": 31, "WARN": 33, "INFO": 32, "DEBUG": 34, "TRACE": 90}


def text_line(entry: LogEntry) -> bytes:
    """Time, level, target, message, then `name=value`; a traceback follows on lines of its own, marked as such."""
    return _text(entry, f"{entry.level_name:<5}")


def colour_line(entry: LogEntry) -> bytes:
    """`text_line` for a terminal."""
    return _text(entry, f"\x1b[{_COLOURS[entry.level_name]}m{entry.level_name:<5}\x1b[0m")


def _text(entry: LogEntry, level: str) -> bytes:
    parts = [entry.timestamp, level, escape(entry.target), escape(entry.message)]
    parts += [f"{escape(name)}={_value(value)}" for name, value in entry.fields.items()]
    line = " ".join(parts)
    if entry.exception:
        line += "".join(f"\n    | {escape(part)}" for part in entry.exception.split("\n"))
    return line.encode() + b"\n"


def escape(text: str) -> str:
    """The text without anything that could end a line or steer a terminal."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


_BARE = re.compile(r"[!#-&(-<>-\[\]-~]+")
"""ASCII without space, quotes, `=` and backslash."""


def _value(value: Field) -> str:
    match value:
        case str():
            if _BARE.fullmatch(value):
                return value
            return json.dumps(value, ensure_ascii=not value.isprintable())
        case int() | float() if not isinstance(value, bool):
            return str(value)
        case _:
            return json.dumps(value)


Renderer = Callable[[LogEntry], bytes]
