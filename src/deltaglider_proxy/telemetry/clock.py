"""The only place that reads a clock, so that every rule about time can be tested with another one."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BootTime:
    """Seconds since this boot of this host, suspend included; comparable only where `boot` is equal."""

    boot: str
    seconds: float


class Clock(Protocol):
    def now(self) -> float:
        """Wall clock, seconds since the epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; comparable within this process only."""
        ...

    def since_boot(self) -> BootTime:
        """A clock that survives a restart of the process, not of the host."""
        ...


class SystemClock:
    """The host's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def since_boot(self) -> BootTime:
        boot = Path("/proc/sys/kernel/random/boot_id")
        identity = boot.read_text("ascii").strip() if boot.exists() else "unknown"
        return BootTime(identity, time.clock_gettime(time.CLOCK_BOOTTIME))


@dataclass(slots=True)
class ManualClock:
    """A clock that only moves when told to."""

    wall: float = 1_700_000_000.0
    ticks: float = 1000.0
    boot: str = field(default="boot-1")

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def since_boot(self) -> BootTime:
        return BootTime(self.boot, self.ticks)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.ticks += seconds
