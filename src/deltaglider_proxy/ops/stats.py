"""How much is stored, and how much less than what clients sent. Read from counters, never by a scan.

The endpoint is open, so its cost is bounded: the totals of all buckets are computed once per ten seconds, by one
request, while the others wait for it.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from deltaglider_proxy.telemetry.clock import Clock

TTL = 10.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Totals:
    objects: int = 0
    logical_bytes: int = 0
    """What clients sent."""
    stored_bytes: int = 0
    """What it takes, references included."""

    @property
    def savings_percentage(self) -> float:
        """0 to 99.99; never 100, because nothing is stored for free."""
        if self.logical_bytes <= 0:
            return 0.0
        return min(max(100.0 * (1 - self.stored_bytes / self.logical_bytes), 0.0), 99.99)


class StatsUnavailable(Exception):
    """The counters cannot be read; the reason is for the log, not for the client."""


class StatsSource(Protocol):
    async def __call__(self, bucket: str | None) -> Totals:
        """Totals of one bucket (zeros if unknown) or, for None, of all. Raises StatsUnavailable."""
        ...


class Stats:
    """The source behind its cache. A failed computation is not kept."""

    def __init__(self, source: StatsSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Totals] | None = None

    async def totals(self, bucket: str | None) -> Totals:
        """Raises StatsUnavailable. One bucket is always read afresh."""
        if bucket is not None:
            return await self._source(bucket)
        if (fresh := self._fresh()) is not None:
            return fresh
        async with self._lock:
            if (fresh := self._fresh()) is not None:
                return fresh
            totals = await self._source(None)
            self._kept = (self._clock.monotonic(), totals)
            return totals

    def _fresh(self) -> Totals | None:
        if self._kept is None:
            return None
        computed, totals = self._kept
        return totals if self._clock.monotonic() - computed < TTL else None
