"""The sorted names of directories, remembered between the pages of a listing.

Entries are strings: a file's name, a directory's name with `/` behind it, so that their order is the order of the keys
below them. What can be no part of a key is left out at once: links, devices, names that are not UTF-8.

A scan is remembered with the directory's time of change as it was before the scan, and used again while that time
stays the same and lies at least 50 ms before the scan began. A younger one could hide a change: the time advances in
ticks of up to 10 ms, so a change right after the scan may leave it as it is.

A listing is exact if the names it uses were true at some moment since it began. So where the time has moved, only a
scan that begins after the listing did will do. While something writes to a directory all the time, each page needs its
own scan, and with very many names that is a second of work for each page. Large directories are therefore scanned at
most once a second: a listing that comes too early is told to wait (`Later`), and all that wait share the scan that
comes then, since it began after each of them. Small directories are scanned as often as it takes.
"""

import os
import threading
from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain
from typing import Final

from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.telemetry.clock import Clock

LARGE: Final = 10_000
"""From this many names on, a directory is scanned at most once a second."""
INTERVAL: Final = 1.0
SETTLED: Final = 0.05

_RUN: Final = 8192
_SAMPLE: Final = 128
_OVERHEAD: Final = 16
"""What a remembered directory counts beside its names."""


class Later(Exception):
    """The listing has to wait `seconds` and begin again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(slots=True)
class _Scan:
    names: list[str]
    changed_ns: int
    began: float
    """Monotonic seconds."""
    settled: bool


class Names:
    """Used by many threads. `capacity` bounds the names that are remembered, about 100 bytes each."""

    def __init__(self, files: Files, clock: Clock, capacity: int) -> None:
        self._files = files
        self._clock = clock
        self._capacity = capacity
        self._scans: OrderedDict[tuple[int, int], _Scan] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        self._scanning: dict[tuple[int, int], threading.Lock] = {}

    def sorted(self, fd: int, since: float) -> list[str]:
        """The entries of a directory as they were at some moment after `since` (monotonic seconds); do not change them.

        Raises Later, OSError.
        """
        status = self._files.stat(fd)
        place = (status.st_dev, status.st_ino)
        known = self._usable(place, status.st_mtime_ns, since)
        if known is not None:
            return known
        large = self._wait_turn(place)
        with self._lock:
            scanning = self._scanning.setdefault(place, threading.Lock())
        if not scanning.acquire(blocking=not large):
            raise Later(SETTLED)  # rather than fill the pool with threads that wait for a long scan
        try:
            known = self._usable(place, self._files.stat(fd).st_mtime_ns, since)
            return known if known is not None else self._scan(fd, place)
        finally:
            scanning.release()

    def _usable(self, place: tuple[int, int], changed_ns: int, since: float) -> list[str] | None:
        with self._lock:
            scan = self._scans.get(place)
            if scan is None:
                return None
            self._scans.move_to_end(place)
        true_now = scan.settled and scan.changed_ns == changed_ns
        return scan.names if true_now or scan.began > since else None

    def _wait_turn(self, place: tuple[int, int]) -> bool:
        """Whether the directory is known to be large; raises Later if it was scanned just now."""
        with self._lock:
            scan = self._scans.get(place)
        if scan is None or len(scan.names) < LARGE:
            return False
        early = scan.began + INTERVAL - self._clock.monotonic()
        if early > 0:
            raise Later(early)
        return True

    def _scan(self, fd: int, place: tuple[int, int]) -> list[str]:
        began, wall = self._clock.monotonic(), self._clock.now()
        changed_ns = self._files.stat(fd).st_mtime_ns
        names = read_names(self._files, fd)
        settled = changed_ns / 1e9 <= wall - SETTLED and self._files.stat(fd).st_mtime_ns == changed_ns
        self._remember(place, _Scan(names, changed_ns, began, settled))
        return names

    def _remember(self, place: tuple[int, int], scan: _Scan) -> None:
        with self._lock:
            self._forget(place)
            self._scans[place] = scan
            self._held += len(scan.names) + _OVERHEAD
            while self._held > self._capacity and self._scans:
                self._forget(next(iter(self._scans)))

    def _forget(self, place: tuple[int, int]) -> None:
        old = self._scans.pop(place, None)
        if old is not None:
            self._held -= len(old.names) + _OVERHEAD
            self._scanning.pop(place, None)


def read_names(files: Files, fd: int) -> list[str]:
    """Scan a directory. A name that is renamed over during the scan may be met twice; it is returned once."""
    with files.scan(fd) as entries:
        return _sorted_gently([name for name in map(visible_name, entries) if name is not None])


def _sorted_gently(names: list[str]) -> list[str]:
    """Sort, without duplicates, in calls of a few milliseconds: one that sorts a million names keeps all other threads
    waiting for a second. Sorted runs are cut at common names, and what lies between two cuts is sorted together.
    """
    runs = [sorted(names[at : at + _RUN]) for at in range(0, len(names), _RUN)]
    sample = sorted(chain.from_iterable(run[::_SAMPLE] for run in runs))
    begins = [0] * len(runs)
    ordered: list[str] = []
    for cut in [*sample[_RUN // _SAMPLE :: _RUN // _SAMPLE], None]:
        ends = [len(run) if cut is None else bisect_left(run, cut) for run in runs]
        parts = (run[begin:end] for run, begin, end in zip(runs, begins, ends, strict=True))
        ordered += sorted(set(chain.from_iterable(parts)))
        begins = ends
    return ordered


def visible_name(entry: os.DirEntry[str]) -> str | None:
    """An entry as `Names` has it; None for what can be no part of a key."""
    name = entry.name
    if not name.isascii() and not _is_text(name):
        return None
    if entry.is_file(follow_symlinks=False):
        return name
    return f"{name}/" if entry.is_dir(follow_symlinks=False) else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
