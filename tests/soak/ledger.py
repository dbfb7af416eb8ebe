"""What may be read of each name, given what was asked and what was answered.

A name has versions. One can be seen from when it was begun until another, begun after it had ended, was acknowledged.
What ended without an answer stays possible beside what was there before. Every step is appended to a journal before
it is acted upon, from which the same ledger can be made again; Jepsen-style checkers are the model of this.
"""

import json
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Any

ABSENT = ""
States = frozenset[str]


class End(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    LOST = "lost"
    """No answer, and whoever might have done it is dead."""
    LASTING = "lasting"
    """No answer, and it may still be done at any time."""


@dataclass(slots=True)
class Version:
    """One of `states` came to be, at a moment between two steps of the ledger."""

    name: str
    states: States
    begin: int
    end: float = inf
    how: End = End.OPEN


class Ledger:
    """For many threads. Steps are numbered; `journal` gets one line for each, written before the call returns."""

    def __init__(self, journal: Callable[[str], None] = lambda _: None) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._step = 0
        self.counts: dict[str, int] = defaultdict(int)

    @property
    def now(self) -> int:
        return self._step

    def begin(self, name: str, states: Iterable[str], what: str = "") -> Version:
        with self._lock:
            made = Version(name, frozenset(states), self._write("begin", name, states=sorted(states), what=what))
            if not self._versions[name]:
                self._versions[name].append(Version(name, frozenset({ABSENT}), 0, 0, End.ACKNOWLEDGED))
            self._versions[name].append(made)
            return made

    def acknowledged(self, version: Version, states: States | None = None) -> None:
        """`states`: what the answer has told more exactly."""
        with self._lock:
            version.states = states or version.states
            version.end = self._write("ack", version.name, of=version.begin, states=sorted(version.states))
            version.how = End.ACKNOWLEDGED

    def refused(self, version: Version) -> None:
        """It was answered that nothing was done."""
        with self._lock:
            self._write("refused", version.name, of=version.begin)
            self._versions[version.name].remove(version)

    def lost(self, version: Version, *, lasting: bool) -> None:
        with self._lock:
            step = self._write("lasting" if lasting else "lost", version.name, of=version.begin)
            version.end = inf if lasting else step
            version.how = End.LASTING if lasting else End.LOST

    def allowed(self, name: str, since: int) -> States:
        """What a read may show that began at step `since` and ends now."""
        with self._lock:
            versions = self._versions.get(name)
            if not versions:
                return frozenset({ABSENT})
            done = [v.begin for v in versions if v.how is End.ACKNOWLEDGED and v.end <= since]
            newest = max(done, default=-1)
            return frozenset(state for v in versions if v.end >= newest for state in v.states)

    def settle(self, name: str, state: str) -> None:
        """Nothing is under way any more, and this was read: from now on it is this and nothing else."""
        with self._lock:
            step = self._write("settle", name, states=[state])
            self._versions[name] = [Version(name, frozenset({state}), step, step, End.ACKNOWLEDGED)]

    def names(self, prefix: str = "") -> list[str]:
        with self._lock:
            return sorted(name for name in self._versions if name.startswith(prefix))

    def _write(self, do: str, name: str, **fields: object) -> int:
        self._step += 1
        self.counts[do] += 1
        self._journal(json.dumps({"n": self._step, "do": do, "name": name, **fields}))
        return self._step


class Journal:
    """A file of lines, each of which is with the system before `write` returns: the program may be killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, line: str) -> None:
        os.write(self._fd, line.encode() + b"\n")

    def close(self) -> None:
        os.fsync(self._fd)
        os.close(self._fd)


def replayed(lines: Iterable[str]) -> Ledger:
    """The ledger that wrote these lines. A last line that is cut off counts for nothing; what is open there is lost and
    may still be done.
    """
    ledger = Ledger()
    open_: dict[int, Version] = {}
    for entry in _entries(lines):
        name, do = entry["name"], entry["do"]
        match do:
            case "begin":
                version = ledger.begin(name, entry["states"], entry.get("what", ""))
                open_[entry["n"]] = version
            case "ack":
                ledger.acknowledged(open_.pop(entry["of"]), frozenset(entry["states"]))
            case "refused":
                ledger.refused(open_.pop(entry["of"]))
            case "lost" | "lasting":
                ledger.lost(open_.pop(entry["of"]), lasting=do == "lasting")
            case "settle":
                ledger.settle(name, entry["states"][0])
            case _:
                raise ValueError(f"a journal knows no {do!r}")
    for version in open_.values():
        ledger.lost(version, lasting=True)
    return ledger


def _entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    cut: str | None = None
    for line in lines:
        if cut is not None:
            raise ValueError(f"a journal has a broken line that is not its last: {cut[:80]!r}")
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            cut = line
