"""The last log lines in memory, for whoever looks at a running server. Old lines fall out; a search sees all of it."""

import json
import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice

from deltaglider_proxy.telemetry.log_lines import LEVEL_NAMES, LogEntry

DEFAULT_SIZE = 2000
MAX_RESULTS = 2000


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


class LogRing:
    """Keeps the last `size` entries of at least `floor`. Any thread may call."""

    def __init__(self, size: int = DEFAULT_SIZE, floor: int = 20) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=size if size > 0 else DEFAULT_SIZE)
        self._floor = floor
        self._lock = threading.Lock()
        self._count = 0

    def add(self, entry: LogEntry) -> None:
        if entry.level < self._floor:
            return
        with self._lock:
            self._entries.append(entry)
            self._count += 1

    @property
    def count(self) -> int:
        """How many entries there have been."""
        return self._count

    def since(self, count: int) -> tuple[list[LogEntry], int, int]:
        """Entries after the first `count`, oldest first; how many of those are gone; and the count of now."""
        with self._lock:
            new = self._count - count
            kept = list(self._entries)[-new:] if new > 0 else []
            return kept, max(0, new - len(kept)), self._count

    def search(self, query: LogQuery, limit: int = 200) -> list[LogEntry]:
        """Newest first; `limit` is held between 1 and 2000."""
        with self._lock:
            entries = list(self._entries)
        matching = (entry for entry in reversed(entries) if query.matches(entry))
        return list(islice(matching, min(max(limit, 1), MAX_RESULTS)))


def _searchable(entry: LogEntry) -> str:
    return json.dumps(entry.fields, ensure_ascii=False) if entry.fields else ""
