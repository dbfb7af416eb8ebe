"""Work that one worker of a host does now and then: forget idle uploads, collect garbage."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.metrics import Metrics, SweepPhase, Swept

_log = structlog.get_logger("deltaglider_proxy.housekeeping")


class Housekeeping:
    def __init__(
        self,
        engine: Callable[[], Engine],
        metrics: Metrics,
        clock: Clock,
        run_dir: Path,
        sweep_interval: float,
        gc_interval: float,
    ) -> None:
        """`engine` is the one of now. Intervals in seconds; collection needs two looks with the grace between them, so
        it looks often enough. `run_dir` keeps when it was last done: a server that starts anew each night collects too.
        """
        self._last = run_dir / "last-collection"
        self._current = engine
        self._clock = clock
        self._metrics = metrics
        self._sweep_interval = sweep_interval
        self._gc_interval = gc_interval
        self._phase = SweepPhase.STARTUP

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._sweep()
            if self.collection_is_due():
                await self._collect()
            await asyncio.sleep(min(self._sweep_interval, self._gc_interval))

    def collection_is_due(self) -> bool:
        """If so, the next one is an interval away. The first is, too."""
        now = self._clock.now()
        last = self._last_collection()
        if last is not None and 0 <= now - last < self._gc_interval:
            return False
        try:
            self._last.write_text(str(now), "ascii")
        except OSError as failure:
            _log.error("when garbage was collected cannot be kept", reason=failure.strerror)
        return last is not None

    def _last_collection(self) -> float | None:
        """Seconds since the epoch; -1 if it cannot be read; None before the first."""
        try:
            return float(self._last.read_text("ascii"))
        except FileNotFoundError:
            return None
        except ValueError:
            return -1.0

    async def _sweep(self) -> None:
        clock = self._clock
        began = clock.monotonic()
        expired = 0
        for bucket, _ in await self._buckets():
            try:
                expired += await self._current().collector.expire_uploads(bucket)
            except errors.EngineError:
                _log.exception("idle uploads could not be swept", bucket=bucket)
        self._metrics.sweep_done(self._phase, clock.monotonic() - began, Swept(open_uploads=expired))
        self._phase = SweepPhase.PERIODIC

    async def _collect(self) -> None:
        for bucket, _ in await self._buckets():
            try:
                report = await self._current().collect(bucket)
                self._metrics.collected(report.removed)
                _log.info("collected garbage", bucket=bucket, removed=report.removed, condemned=report.condemned)
            except errors.EngineError:
                self._metrics.collected(None)
                _log.exception("garbage could not be collected", bucket=bucket)

    async def _buckets(self) -> list[tuple[str, float]]:
        try:
            return list(await self._current().list_buckets())
        except errors.EngineError:
            _log.exception("buckets cannot be listed")
            return []
