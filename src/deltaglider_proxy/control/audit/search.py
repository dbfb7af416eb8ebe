"""Reading the audit log: newest first, a page at a time, or all of it as text."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

MAX_LIMIT: Final = 500
COLUMNS: Final = (
    "seq",
    "timestamp",
    "action",
    "outcome",
    "user",
    "target",
    "ip",
    "ua",
    "bucket",
    "path",
    "auth_method",
    "session_id",
    "request_id",
    "node",
)
_NUMBER: Final = re.compile(rb'\{"seq":(\d+),')
_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?(?:([Zz])|([ +-])(\d\d:\d\d))", re.ASCII
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula."""

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Query:
    """Everything that is given must hold."""

    user: str | None = None
    action: str | None = None
    bucket: str | None = None
    outcome: str | None = None
    since: str | None = None
    """As `moment` makes it, inclusive; compared as text."""
    until: str | None = None
    """Exclusive."""
    text: str | None = None
    """Part of any field, in its case."""
    before: int | None = None
    """Number of the last entry of the page before."""

    def needles(self) -> list[bytes]:
        """What a line must contain; cheaper to look for than to parse it."""
        wanted = [
            f'"{name}":'.encode() + orjson.dumps(value)
            for name, value in (
                ("user", self.user),
                ("action", self.action),
                ("bucket", self.bucket),
                ("outcome", self.outcome),
            )
            if value is not None
        ]
        if self.text is not None:
            wanted.append(orjson.dumps(self.text)[1:-1])
        return wanted

    def holds(self, entry: Entry) -> bool:
        for name in ("user", "action", "bucket", "outcome"):
            wanted = getattr(self, name)
            if wanted is not None and entry.get(name) != wanted:
                return False
        at = _comparable(str(entry["timestamp"]))
        return not self.too_old(entry) and (self.until is None or at < _comparable(self.until))

    def too_old(self, entry: Entry) -> bool:
        return self.since is not None and _comparable(str(entry["timestamp"])) < _comparable(self.since)


@dataclass(frozen=True, slots=True)
class Page:
    entries: list[Entry]
    next_before: int | None
    """For the next page; None: there is none."""


def moment(text: str) -> str:
    """The same moment in UTC, as records have it. A space counts as the plus that it is in a query string where nobody
    has escaped it. Raises ValueError.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time with an offset: write 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00")
    day, clock, fraction, _, sign, offset = found.groups()
    away = "+00:00" if offset is None else ("-" if sign == "-" else "+") + offset
    try:
        at = datetime.fromisoformat(f"{day}T{clock}{away}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no time that there is: {error}") from error
    # Without zeros at its end a fraction never sorts behind the same one with more digits.
    return at.replace(tzinfo=None).isoformat() + (fraction or "").rstrip("0").rstrip(".") + "Z"


def search(directory: Path, query: Query, limit: int = 100) -> Page:
    """Blocks: call it from a pool. `limit` is held between 1 and 500."""
    wanted = min(max(limit, 1), MAX_LIMIT)
    found: list[Entry] = []
    for entry in matching(directory, query):
        if len(found) == wanted:
            last = found[-1]["seq"]
            assert isinstance(last, int)
            return Page(found, last)
        found.append(entry)
    return Page(found, None)


def matching(directory: Path, query: Query) -> Iterator[Entry]:
    """All of them, newest first."""
    needles = query.needles()
    for path in sorted(directory.glob("*.jsonl"), reverse=True):
        if query.before is not None and int(path.stem) >= query.before:
            continue
        for line in _lines_backwards(path):
            if not all(needle in line for needle in needles):
                continue
            number = _NUMBER.match(line)
            if number is None or (query.before is not None and int(number[1]) >= query.before):
                continue
            entry = orjson.loads(line)
            del entry["chain"]
            if query.too_old(entry):
                return
            if query.holds(entry):
                yield entry


def _comparable(moment: str) -> str:
    """With the Z, a full second would sort behind its own milliseconds."""
    return moment.removesuffix("Z")


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Whole lines; one that is just being written has no end yet. A file has a bounded size, so it is read at once."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    end = data.rfind(b"\n")
    while end > 0:
        start = data.rfind(b"\n", 0, end) + 1
        yield data[start:end]
        end = start - 1


def as_csv(entries: Iterator[Entry]) -> Iterator[bytes]:
    """Safe to open in a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow((*COLUMNS, "details"))
    for entry in entries:
        cells = [str(entry.get(name, "")) for name in COLUMNS]
        details = entry.get("details")
        cells.append(orjson.dumps(details).decode() if details else "")
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def as_json_lines(entries: Iterator[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield orjson.dumps(entry) + b"\n"
