"""How often an address may fail to authenticate before nobody listens to it: guessing must not be worth the while.

The counts are shared by all workers of a host. A window begins with the first failure and does not slide; a success
ends it, and so does the end of a lock-out, which attempts during it do not prolong.
"""

from dataclasses import dataclass
from pathlib import Path

import structlog

from deltaglider_proxy.access.host_table import HostTable, Values

_log = structlog.get_logger("deltaglider_proxy.access")

_ROWS = 1 << 14
_NOTHING = (0.0, 0.0, 0.0)
_FREE_FAILURES = 10
"""Failures of a window that are answered at once."""
_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    attempts: int = 100
    """The failure that locks; 0: none does."""
    window: float = 300.0
    """Seconds in which they are counted together."""
    lockout: float = 600.0
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Of somebody who has just failed."""

    failures: int
    locked: bool

    @property
    def delay(self) -> float:
        """Seconds that the answer should be held back."""
        over = self.failures - _FREE_FAILURES
        return min(_FIRST_DELAY * 2 ** min(over - 1, 8), _LONGEST_DELAY) if over > 0 else 0.0


class FailureLimit:
    """Times are those of the monotonic clock, which all processes of a host share. Names are whoever is counted."""

    def __init__(self, path: Path, limits: Limits, rows: int = _ROWS) -> None:
        self._limits = limits
        self._table = HostTable(path, rows, 3) if limits.attempts else None

    def locked_for(self, name: bytes, monotonic: float) -> float | None:
        """Seconds until the end of a lock-out; 0: there is none; None: nor is there anything that a success would end.
        Takes no lock: it is asked for every request.
        """
        if self._table is None or (place := self._table.find(name)) is None:
            return None
        _, _, until = self._table.read(place)
        return until - monotonic if self._is_locked(until, monotonic) else 0.0

    def failed(self, name: bytes, monotonic: float) -> Standing:
        """Count a failure. Who finds no room, among so many that fail, takes that of whoever failed least, unless that
        one is locked.
        """
        table = self._table
        if table is None:
            return Standing(0, locked=False)
        with table:
            place = table.find(name)
            if place is None:
                place = table.claim(name, lambda row: self._is_over(row, monotonic))
            if place is None:
                place = table.displace(name, lambda row: None if self._is_locked(row[2], monotonic) else row[0])
            if place is None:
                _log.warning("too many addresses are locked out: the failure of another is not counted")
                return Standing(self._limits.attempts, locked=False)
            row = table.read(place)
            failures, since, until = (0.0, monotonic, 0.0) if self._is_over(row, monotonic) else row
            if not until:
                failures += 1
                until = monotonic + self._limits.lockout if failures >= self._limits.attempts else 0.0
                table.write(place, failures, since, until)
        return Standing(int(failures), locked=until > 0)

    def succeeded(self, name: bytes) -> None:
        table = self._table
        if table is None or (place := table.find(name)) is None or table.read(place) == _NOTHING:
            return
        with table:
            if (place := table.find(name)) is not None:
                table.write(place, *_NOTHING)

    def _is_locked(self, until: float, monotonic: float) -> bool:
        return 0 < until - monotonic <= self._limits.lockout

    def _is_over(self, row: Values, monotonic: float) -> bool:
        """Whether the row says nothing any more. Times far in the future are from before a boot."""
        failures, since, until = row
        if until:
            return not self._is_locked(until, monotonic)
        return not failures or abs(monotonic - since) >= self._limits.window

    def close(self) -> None:
        if self._table is not None:
            self._table.close()
