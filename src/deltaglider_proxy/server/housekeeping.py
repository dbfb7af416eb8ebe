"""Work that one worker of a host does now and then: forget idle uploads, collect garbage."""

import asyncio
from collections.abc import Callable

import structlog

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.metrics import Metrics, SweepPhase, Swept

_log = structlog.get_logger("deltaglider_proxy.housekeeping")


class Housekeeping:
    def __init__(
        self, engine: Callable[[], Engine], metrics: Metrics, clock: Clock, sweep_interval: float, gc_interval: float
    ) -> None:
        """`engine` is the one of now. Intervals in seconds; collection needs two looks with the grace between them, so
        it looks often enough.
        """
        self._current = engine
        self._clock = clock
        self._metrics = metrics
        self._sweep_interval = sweep_interval
        self._gc_interval = gc_interval
        self._phase = SweepPhase.STARTUP

    async def run(self) -> None:
        """Until cancelled."""
        clock = self._clock
        collected = clock.monotonic()
        while True:
            await self._sweep()
            if clock.monotonic() - collected >= self._gc_interval:
                collected = clock.monotonic()
                await self._collect()
            await asyncio.sleep(min(self._sweep_interval, self._gc_interval))

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
