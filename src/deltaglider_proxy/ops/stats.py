"""How much is stored, and how much less than what clients sent.

The endpoint is open, so its cost is bounded: the totals of all buckets are computed once per ten seconds, by one
request of the host, while the others wait for it. Workers leave them to one another in a file.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import orjson

from deltaglider_proxy.telemetry.clock import BootTime, Clock
from deltaglider_proxy.telemetry.host_lock import held
from deltaglider_proxy.telemetry.tasks import Background

TTL = 10.0
"""Seconds."""
_LOOK = 0.02
"""Seconds between two looks whether another worker is done."""


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

    def __init__(self, source: StatsSource, clock: Clock, directory: Path | None = None) -> None:
        """`directory` is one that all workers of the host share; None: there is one worker."""
        self._source = source
        self._clock = clock
        self._directory = directory
        self._lock = asyncio.Lock()
        self._one = asyncio.Lock()
        self._background = Background()
        self._coming: dict[str, asyncio.Future[Totals]] = {}
        """What those wait for who ask for a bucket before the next look at it begins."""
        self._kept: tuple[BootTime, Totals] | None = None

    async def totals(self, bucket: str | None) -> Totals:
        """Raises StatsUnavailable. One bucket is always read afresh, and one at a time: strangers may ask."""
        if bucket is not None:
            return await self._of(bucket)
        if (fresh := self._fresh()) is not None:
            return fresh
        async with self._lock:
            if (fresh := self._fresh()) is not None:
                return fresh
            async with self._alone:
                self._kept = self._left() or self._kept
                if (fresh := self._fresh()) is not None:
                    return fresh
                totals = await self._source(None)
                self._kept = (self._clock.since_boot(), totals)
                self._leave(*self._kept)
                return totals

    @property
    def _alone(self) -> AbstractAsyncContextManager[None]:
        """While no other worker computes."""
        return held(self._directory / "stats.lock", _LOOK) if self._directory is not None else nullcontext()

    async def _of(self, bucket: str) -> Totals:
        coming = self._coming.get(bucket)
        if coming is None:
            coming = self._coming[bucket] = asyncio.get_running_loop().create_future()
            self._background.start("stats of a bucket", self._look(bucket, coming))
        return await asyncio.shield(coming)

    async def _look(self, bucket: str, coming: asyncio.Future[Totals]) -> None:
        async with self._one:
            del self._coming[bucket]  # whoever asks from now on may have changed something: the next look is theirs
            try:
                coming.set_result(await self._source(bucket))
            except Exception as error:  # noqa: BLE001 - whoever asked gets it
                coming.set_exception(error)
                coming.exception()  # seen, also if nobody waits any more
            finally:
                coming.cancel()

    def _fresh(self) -> Totals | None:
        if self._kept is None:
            return None
        computed, totals = self._kept
        now = self._clock.since_boot()
        return totals if now.boot == computed.boot and 0 <= now.seconds - computed.seconds < TTL else None

    def _left(self) -> tuple[BootTime, Totals] | None:
        if self._directory is None:
            return None
        try:
            found = orjson.loads((self._directory / "stats.json").read_bytes())
        except FileNotFoundError:
            return None
        return BootTime(**found["computed"]), Totals(**found["totals"])

    def _leave(self, computed: BootTime, totals: Totals) -> None:
        if self._directory is None:
            return
        draft = self._directory / "stats.draft"
        draft.write_bytes(orjson.dumps({"computed": asdict(computed), "totals": asdict(totals)}))
        draft.replace(self._directory / "stats.json")
