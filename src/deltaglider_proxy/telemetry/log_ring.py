"""The last log lines of the whole server, in a file that all its workers write to and read.

Whoever looks at a running server reaches one worker and wants to see what all of them say, in order. A line has a
number and the place that follows from it, so lines are exact in count and old ones fall out by being overwritten; one
that is too long for its place loses its middle. Writers take turns for a batch, in threads that no request waits for.
"""

import fcntl
import json
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from deltaglider_proxy.telemetry.log_lines import LEVEL_NAMES, Field, LogEntry

DEFAULT_SIZE: Final = 2000
MAX_RESULTS: Final = 2000
PLACE: Final = 2048
"""Bytes of a line in the file."""

_HEAD: Final = struct.Struct("<QQ")
"""How many lines there have been, and for how many there is room."""
_LINE: Final = struct.Struct("<QI")
"""Number of the line, counted from one, and length of what follows."""
_CUT: Final = "[…]"
_LEAST: Final = 32
"""Characters of a text that is not worth being cut."""


@dataclass(frozen=True, slots=True)
class LogQuery:
    level: int = 0
    """Least level."""
    target: str = ""
    """Part of the target, in its case."""
    text: str = ""
    """Part of message or fields, in any case."""

    def matches(self, entry: LogEntry) -> bool:
        if entry.level < self.level or self.target not in entry.target:
            return False
        if not self.text:
            return True
        wanted = self.text.casefold()
        return wanted in entry.message.casefold() or wanted in _searchable(entry).casefold()


def query_level(name: str) -> int:
    """Least level for its name in any case; an unknown name filters nothing."""
    wanted = "WARN" if name.upper() == "WARNING" else name.upper()
    return next((level for level, known in LEVEL_NAMES if known == wanted), 0)


@dataclass(frozen=True, slots=True)
class Kept:
    number: int
    """Larger for later lines; never used twice while the server runs."""
    entry: LogEntry


class Keeper(Protocol):
    def keep(self, entries: Sequence[LogEntry]) -> None:
        """Raises OSError."""
        ...


class Unshared:
    """Lines of a process that has no file yet."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []

    def keep(self, entries: Sequence[LogEntry]) -> None:
        self.entries.extend(entries)


class LogRing:
    """Keeps the last lines of at least the level `floor`. Make one in each process, after any fork: the lock of a file
    belongs to whoever opened it.
    """

    def __init__(self, path: Path, floor: int = 20) -> None:
        """Raises FileNotFoundError if it was not created."""
        self._path = path
        self._floor = floor
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._size = _HEAD.unpack(os.pread(self._fd, _HEAD.size, 0))[1]

    @staticmethod
    def create(path: Path, size: int = DEFAULT_SIZE) -> None:
        """An empty ring in place of the one before; call it when no worker runs."""
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, _HEAD.pack(0, size if size > 0 else DEFAULT_SIZE), 0)
        finally:
            os.close(descriptor)

    def keep(self, entries: Sequence[LogEntry]) -> None:
        wanted = [entry for entry in entries if entry.level >= self._floor]
        if not wanted:
            return
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            count = self.count
            for entry in wanted:
                count += 1
                data = _bytes_of(entry)
                os.pwrite(self._fd, _LINE.pack(count, len(data)) + data, self._place(count))
            os.pwrite(self._fd, _HEAD.pack(count, self._size), 0)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    @property
    def count(self) -> int:
        """How many lines there have been."""
        return int(_HEAD.unpack(os.pread(self._fd, _HEAD.size, 0))[0])

    def since(self, count: int) -> tuple[list[Kept], int, int]:
        """Lines after the first `count`, oldest first; how many of those are gone; and the count of now."""
        with self._reading() as descriptor:
            last = int(_HEAD.unpack(os.pread(descriptor, _HEAD.size, 0))[0])
            first = max(min(count, last), last - self._size, 0)
            kept = [found for n in range(first + 1, last + 1) if (found := self._line(descriptor, n)) is not None]
        return kept, first - min(count, last), last

    def search(self, query: LogQuery, limit: int = 200, before: int | None = None) -> list[Kept]:
        """Newest first, of those with a number below `before`; `limit` is held between 1 and 2000."""
        kept, _, _ = self.since(0)
        limit = min(max(limit, 1), MAX_RESULTS)
        found: list[Kept] = []
        for each in reversed(kept):
            if (before is None or each.number < before) and query.matches(each.entry):
                found.append(each)
                if len(found) == limit:
                    break
        return found

    def close(self) -> None:
        os.close(self._fd)

    @contextmanager
    def _reading(self) -> Iterator[int]:
        """A file of its own, because the lock of the one for writing would keep out other processes only."""
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield descriptor
        finally:
            os.close(descriptor)

    def _line(self, descriptor: int, number: int) -> Kept | None:
        """None for a line that a process did not live to write."""
        data = os.pread(descriptor, PLACE, self._place(number))
        if len(data) < _LINE.size:
            return None
        found, length = _LINE.unpack_from(data)
        if found != number or len(data) < _LINE.size + length:
            return None
        try:
            time, level, target, message, fields, exception = orjson.loads(data[_LINE.size : _LINE.size + length])
        except orjson.JSONDecodeError:
            return None
        return Kept(number, LogEntry(time, level, target, message, fields, exception))

    def _place(self, number: int) -> int:
        return int(_HEAD.size + (number - 1) % self._size * PLACE)


def _bytes_of(entry: LogEntry) -> bytes:
    """What fits into a place: each round what is longest loses its middle."""
    room = PLACE - _LINE.size
    data = _encoded(entry)
    while len(data) > room:
        entry = _shorter(entry)
        data = _encoded(entry)
    return data


def _encoded(entry: LogEntry) -> bytes:
    parts: list[Any] = [entry.time, entry.level, entry.target, entry.message, dict(entry.fields), entry.exception]
    try:
        return orjson.dumps(parts)
    except orjson.JSONEncodeError:
        # Half a surrogate, or an integer of more than 64 bits.
        return json.dumps(parts, ensure_ascii=False).encode("utf-8", "replace")


def _shorter(entry: LogEntry) -> LogEntry:
    texts = {"message": entry.message, "target": entry.target, "exception": entry.exception}
    fields: dict[str, Field] = dict(entry.fields)
    text = max(texts, key=lambda name: len(texts[name]))
    name = max(fields, key=lambda name: len(name) + len(json.dumps(fields[name])), default=None)
    value = json.dumps(fields[name]) if name is not None else ""
    if name is None or len(texts[text]) >= len(name) + len(value):
        texts[text] = _halved(texts[text])
        return replace(entry, message=texts["message"], target=texts["target"], exception=texts["exception"])
    shown = fields.pop(name)
    if len(value) > _LEAST:
        fields[name] = _halved(shown if isinstance(shown, str) else value)
    return replace(entry, fields=fields)


def _halved(text: str) -> str:
    """The beginning says what it is, the end of a traceback what happened."""
    keep = len(text) // 4
    return f"{text[:keep]}{_CUT}{text[-keep:]}" if len(text) > _LEAST else ""


def _searchable(entry: LogEntry) -> str:
    return json.dumps(entry.fields, ensure_ascii=False) if entry.fields else ""
