"""Numbers of one worker in a file that every other worker can read at any time, without a lock.

Beside an array of doubles lies a list of names, one JSON line per series in the order of allocation, so that the place
of a series follows from the lines before it. prometheus_client's own files were not used: they choose their directory
through the environment while the library is imported, and allow one set of metrics per process. A double is written by
one aligned store, so a reader sees the old or the new value.
"""

import json
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CAPACITY = 1 << 15
"""Doubles in a file. Far above what the bounded labels allow, so a file never grows under a running request."""

_DOUBLE = 8


@dataclass(frozen=True, slots=True)
class Series:
    family: str
    labels: tuple[str, ...]
    width: int
    """Number of doubles."""


class SeriesFile:
    """The writing side; one per worker. Values that a predecessor left in the files are kept."""

    def __init__(self, values: Path, names: Path) -> None:
        self._names = os.open(names, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        descriptor = os.open(values, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # A mapped hole that cannot be filled kills the process; reserving the room now is an ordinary error.
            os.posix_fallocate(descriptor, 0, CAPACITY * _DOUBLE)
            self.view = memoryview(mmap.mmap(descriptor, CAPACITY * _DOUBLE)).cast("d")
        finally:
            os.close(descriptor)
        self._offsets: dict[tuple[str, tuple[str, ...]], int] = {}
        self._used = 0
        known = list(_read_names(names))
        for series in known:
            self._place(series)
        # A line that a crash cut short would swallow the next one.
        os.truncate(self._names, sum(len(_line(series)) for series in known))

    def offset(self, family: str, labels: tuple[str, ...], width: int) -> int:
        """Where in `view` the series begins; new ones begin at zero. Raises OverflowError when the file is full."""
        known = self._offsets.get((family, labels))
        if known is not None:
            return known
        if self._used + width > CAPACITY:
            raise OverflowError(f"no room for metric {family}{labels}: its labels are not bounded")
        series = Series(family, labels, width)
        os.write(self._names, _line(series))
        return self._place(series)

    def _place(self, series: Series) -> int:
        offset = self._used
        self._offsets[series.family, series.labels] = offset
        self._used += series.width
        return offset

    def close(self) -> None:
        os.close(self._names)


def read_series(values: Path, names: Path) -> list[tuple[Series, list[float]]]:
    """What a worker, dead or alive, has written so far; nothing if it is only just starting."""
    try:
        listed = list(_read_names(names))
        size = values.stat().st_size
    except FileNotFoundError:
        return []
    if size < CAPACITY * _DOUBLE:
        return []
    found: list[tuple[Series, list[float]]] = []
    with (
        values.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as raw,
        raw.cast("d") as numbers,
    ):
        offset = 0
        for series in listed:
            # Through the mapping, because a read() may copy byte by byte and tear a number.
            found.append((series, [float(numbers[offset + place]) for place in range(series.width)]))
            offset += series.width
    return found


def _line(series: Series) -> bytes:
    return json.dumps([series.family, series.labels, series.width]).encode() + b"\n"


def _read_names(names: Path) -> Iterator[Series]:
    *complete, _partial = names.read_bytes().split(b"\n")
    for line in complete:
        family, labels, width = json.loads(line)
        yield Series(family, tuple(labels), width)
