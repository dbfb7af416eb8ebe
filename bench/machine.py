"""What a measurement was made on; numbers without it mean nothing."""

import os
import platform
from pathlib import Path

_MODEL = "model name"


def describe(place: Path) -> dict[str, str]:
    """`place` is the folder that everything was stored in."""
    return {
        "cpu": f"{_cpu()} x {os.cpu_count()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": _file_system(place),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(_MODEL):
            return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(place: Path) -> str:
    best = ("", "unknown")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, point, kind, *_ = line.split()
        if place.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, f"{kind} on {device}")
    return best[1]
