"""What Linux says about the processes of the server, summed, so that several of them look like one.

CPU time of dead workers stays in the sum: the kernel adds it to the server process when that collects them.
"""

import os
import resource
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    cpu_seconds: float
    resident_bytes: int
    peak_resident_bytes: int
    virtual_bytes: int
    threads: int
    open_fds: int
    max_fds: int


def read_process(pid: int, proc: Path = Path("/proc")) -> ProcessUsage | None:
    """None if the process is gone or the host has no such files."""
    folder = proc / str(pid)
    try:
        # The name in parentheses may itself contain spaces and parentheses.
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        status = (folder / "status").read_bytes()
        limits = (folder / "limits").read_bytes()
        open_fds = sum(1 for _ in (folder / "fd").iterdir())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    resident = int(fields[21]) * _PAGE
    return ProcessUsage(
        cpu_seconds=sum(int(ticks) for ticks in fields[11:15]) / _TICKS,
        resident_bytes=resident,
        peak_resident_bytes=max(resident, _kilobytes(status, b"VmHWM:")),
        virtual_bytes=int(fields[20]),
        threads=int(fields[17]),
        open_fds=open_fds,
        max_fds=_max_fds(limits),
    )


def total(pids: Iterable[int], proc: Path = Path("/proc")) -> ProcessUsage | None:
    """Sums over the processes that live, the peak as their maximum; None if none could be read."""
    found = [usage for pid in sorted(set(pids)) if (usage := read_process(pid, proc)) is not None]
    if not found:
        return None
    return ProcessUsage(
        cpu_seconds=sum(usage.cpu_seconds for usage in found),
        resident_bytes=sum(usage.resident_bytes for usage in found),
        peak_resident_bytes=max(usage.peak_resident_bytes for usage in found),
        virtual_bytes=sum(usage.virtual_bytes for usage in found),
        threads=sum(usage.threads for usage in found),
        open_fds=sum(usage.open_fds for usage in found),
        max_fds=sum(usage.max_fds for usage in found),
    )


def own_peak_rss() -> int:
    """Bytes; the largest resident memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _kilobytes(status: bytes, name: bytes) -> int:
    for line in status.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def _max_fds(limits: bytes) -> int:
    for line in limits.splitlines():
        if line.startswith(b"Max open files"):
            soft = line.split()[3]
            return 0 if soft == b"unlimited" else int(soft)
    return 0
