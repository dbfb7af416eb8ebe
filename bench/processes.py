"""What processes use, read from /proc: CPU time and anonymous memory of a process and everything below it."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.05
_ANONYMOUS = re.compile(rb"^RssAnon:\s+(\d+) kB", re.MULTILINE)


def tree(pid: int) -> list[int]:
    """The process and its descendants that are alive."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree. Children that ended count from when their parent waited for them."""
    ticks = 0
    for process in tree(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks * _TICK


def anonymous_bytes(pid: int) -> int:
    """RssAnon of the tree: what it holds beyond the page cache."""
    total = 0
    for process in tree(pid):
        try:
            match = _ANONYMOUS.search(Path(f"/proc/{process}/status").read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(match[1]) * 1024 if match else 0
    return total


@dataclass
class Spent:
    """Filled in when the block of `spending` ends."""

    seconds: float = 0.0
    cpu: float = 0.0


@contextmanager
def spending(pid: int) -> Iterator[Spent]:
    spent = Spent()
    before, began = cpu_seconds(pid), time.perf_counter()
    yield spent
    spent.seconds = time.perf_counter() - began
    spent.cpu = cpu_seconds(pid) - before


@dataclass
class Peak:
    bytes: int = 0


@contextmanager
def peak_memory(pid: int) -> Iterator[Peak]:
    """The highest sum of RssAnon seen while the block ran."""
    peak = Peak()
    done = threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            peak.bytes = max(peak.bytes, anonymous_bytes(pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()
