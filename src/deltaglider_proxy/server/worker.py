"""One worker process: builds the layers from the settings, and is the ASGI application that the server loads.

Built when the event loop runs (ASGI lifespan), taken down when it ends; a worker that cannot start ends the server.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from deltaglider_proxy.access.authenticator import Authenticator
from deltaglider_proxy.access.client_address import ClientAddresses
from deltaglider_proxy.access.failure_limit import FailureLimit
from deltaglider_proxy.access.replay import ReplayWindow
from deltaglider_proxy.engine import errors as engine_errors
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.ops.app import PREFIX, OpsApp
from deltaglider_proxy.ops.cache_monitor import CacheSample, watch
from deltaglider_proxy.ops.readiness import Readiness
from deltaglider_proxy.ops.stats import Stats, StatsUnavailable, Totals
from deltaglider_proxy.s3.app import S3App, Serving
from deltaglider_proxy.s3.call import S3Settings
from deltaglider_proxy.s3.observe import Observer
from deltaglider_proxy.server.data_plane import DataPlane
from deltaglider_proxy.server.drain import DrainFlag
from deltaglider_proxy.server.housekeeping import Housekeeping
from deltaglider_proxy.server.memory import bound_allocator
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.exposition import HostState
from deltaglider_proxy.telemetry.logs import Logs
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Crew

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = structlog.get_logger("deltaglider_proxy.server")

_NOBODYS_BUCKET = "dgp-readiness-probe-0000"
"""A name that is asked for and never exists."""


def load(settings: ServerSettings, _target: str = "") -> "Worker":
    """What the HTTP server calls in each of its worker processes."""
    bound_allocator()
    return Worker(settings)


@dataclass(slots=True)
class CacheGauge:
    """The shared reference cache, as it was a moment ago."""

    max_bytes: int
    size_bytes: int = 0
    entries: int = 0


class Worker:
    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._running: _Running | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert self._running is not None
            path: str = scope["path"]
            if path == "/_" or path.startswith(PREFIX):
                await self._running.ops(scope, receive, send)
            else:
                await self._running.s3(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        logs = Logs.start(self._settings.log_filter, self._settings.log_format)
        try:
            self._running = await _Running.start(self._settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must hear that this worker cannot start
            _log.exception("a worker cannot start")
            logs.stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._running.stop()
        logs.stop()
        await send({"type": "lifespan.shutdown.complete"})


class _Running:
    """The parts of a worker, alive. What a change of the configuration replaces is `plane`."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._pool = Pool(settings.pool_threads, "files")
        self._metrics = Metrics(
            settings.run_dir, self._clock, settings.version, settings.storage.type, settings.engine.codec_slots
        )
        self._plane = DataPlane(settings, self._pool, self._clock, self._metrics)
        self._gauge = CacheGauge(settings.engine.cache_bytes)
        self._drain = DrainFlag(settings.run_dir)
        self._replay = ReplayWindow(settings.run_dir / "replay", settings.replay_window)
        self._failures = FailureLimit(settings.run_dir / "failures", settings.failure_limits)
        self.s3 = S3App(
            Serving.of(self._engine(), self._s3_settings(), settings.access),
            Authenticator(settings.clock_skew, self._replay, self._failures),
            ClientAddresses(trust_headers=settings.trust_proxy_headers, proxies=settings.trusted_proxies),
            self._clock,
            self._pool,
            Observer(self._metrics, self._clock),
        )
        self.ops = OpsApp(
            cache=self._gauge,
            peak_rss_bytes=self._metrics.peak_rss_bytes,
            readiness=Readiness(self._list_buckets, self._head_nobodys_bucket, self._clock, settings.ready),
            stats=Stats(self._totals, self._clock),
            metrics=self._scrape,
            lifecycle=self._drain,
        )
        self._housekeeping = Housekeeping(
            self._engine, self._metrics, self._clock, settings.sweep_interval, settings.gc_interval
        )
        self._crew = Crew()

    def _engine(self) -> Engine:
        return self._plane.engine

    def _s3_settings(self) -> S3Settings:
        s3 = self._settings.s3
        return replace(s3, max_concurrent_requests=max(1, s3.max_concurrent_requests // self._settings.workers))

    @classmethod
    async def start(cls, settings: ServerSettings) -> "_Running":
        running = cls(settings)
        leads = running._metrics.first_worker
        if leads:
            await running._plane.make_declared()
            running._crew.start(running._housekeeping.run())
            running._crew.start(watch(running._cache_sample))
        running._plane.start(leads=leads)
        running._crew.start(running._observe_cache())
        running._crew.start(running._follow_server())
        return running

    async def stop(self) -> None:
        await self._crew.close()
        await self._plane.close()
        self._replay.close()
        self._failures.close()
        self._metrics.close()
        self._pool.close()

    async def _follow_server(self) -> None:
        """End with the server process: also when it was killed, or when the signal came before anyone heard it."""
        parent = os.getppid()
        while os.getppid() == parent and not self._drain.ending:  # noqa: ASYNC110 - it is another process that changes this
            await asyncio.sleep(1)
        signal.raise_signal(signal.SIGTERM)

    async def _observe_cache(self) -> None:
        while True:
            used, entries = await self._pool.run(self._engine().cache.usage)
            self._gauge.size_bytes, self._gauge.entries = used, entries
            self._metrics.sample(self._plane.context.slots.free)
            await asyncio.sleep(1)

    async def _cache_sample(self) -> CacheSample:
        hits, misses = self._metrics.cache_uses()
        gauge = self._gauge
        return CacheSample(gauge.size_bytes, gauge.max_bytes, gauge.entries, hits, misses)

    async def _list_buckets(self) -> None:
        await self._engine().list_buckets()

    async def _head_nobodys_bucket(self) -> None:
        try:
            await self._engine().head_bucket(_NOBODYS_BUCKET)
        except engine_errors.NoSuchBucket:
            return

    async def _totals(self, bucket: str | None) -> Totals:
        try:
            usage = await self._engine().usage(bucket)
        except engine_errors.EngineError as error:
            raise StatsUnavailable(str(error)) from error
        return Totals(usage.objects, usage.logical_bytes, usage.stored_bytes)

    async def _scrape(self) -> bytes:
        uploads = await self._engine().open_uploads()
        self._metrics.sample(self._plane.context.slots.free)
        state = HostState(self._gauge.size_bytes, self._gauge.entries, self._gauge.max_bytes, uploads)
        return await self._pool.run(self._metrics.render, state)
