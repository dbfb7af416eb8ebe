"""What a run has found, and what it has counted, from many threads."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    """It was answered that nothing was done."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must never be."""

    kind: str
    name: str
    what: str
    round: int
    fault: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request that ended, by the monotonic clock of this host."""

    began: float
    ended: float
    what: str
    outcome: Outcome
    why: str


@dataclass
class Findings:
    round: int = 0
    fault: str = ""
    calm: bool = True
    """Nothing is wrong at the moment: every request must succeed."""
    found: list[Finding] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)
    """What is allowed but may be worth a look."""
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=20_000))
    reads: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, name: str, what: str) -> None:
        with self._lock:
            self.found.append(Finding(kind, name, what[:600], self.round, self.fault))

    def remark(self, text: str) -> None:
        with self._lock:
            self.remarks[f"{self.fault}: {text}"] += 1

    def called(self, began: float, what: str, outcome: Outcome, why: str) -> None:
        with self._lock:
            self.calls.append(Call(began, time.monotonic(), what, outcome, why))

    def read(self) -> None:
        with self._lock:
            self.reads += 1
