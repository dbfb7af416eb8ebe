"""A program: the server, or one of its commands, by a clock that the harness moves while it runs.

The file that `SOAK_CLOCK` names holds two doubles, in seconds: by how much the wall clock is ahead, and by how much the
clocks are that only count. The product reads no clock but this one, so nothing of the system has to be replaced;
libfaketime does the same to the wall clock, but is a package that few machines have.
"""

import mmap
import os
import struct
import sys
import time
from pathlib import Path

from deltaglider_proxy.cli.main import run
from deltaglider_proxy.telemetry.clock import BootTime, SystemClock

_FORM = struct.Struct("=dd")


class MovedClock:
    """One file in memory, seen by the harness and all workers at once."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FORM.size)

    @classmethod
    def create(cls, path: Path) -> "MovedClock":
        path.write_bytes(_FORM.pack(0.0, 0.0))
        return cls(path)

    @property
    def wall(self) -> float:
        return float(_FORM.unpack_from(self._map)[0])

    @property
    def passed(self) -> float:
        return float(_FORM.unpack_from(self._map)[1])

    def set(self, *, wall: float | None = None, passed: float | None = None) -> None:
        _FORM.pack_into(self._map, 0, self.wall if wall is None else wall, self.passed if passed is None else passed)


def _move(clock: MovedClock) -> None:
    since_boot = SystemClock.since_boot

    def boot_time(self: SystemClock) -> BootTime:
        found = since_boot(self)
        return BootTime(found.boot, found.seconds + clock.passed)

    def now(_: SystemClock) -> float:
        return time.time() + clock.wall

    def monotonic(_: SystemClock) -> float:
        return time.monotonic() + clock.passed

    for name, method in (("now", now), ("monotonic", monotonic), ("since_boot", boot_time)):
        setattr(SystemClock, name, method)


if __name__ == "__main__":
    _move(MovedClock(Path(os.environ["SOAK_CLOCK"])))
    sys.exit(run(sys.argv[1:]))
