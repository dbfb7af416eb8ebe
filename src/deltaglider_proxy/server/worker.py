"""One worker process: builds the layers from the settings, and is the ASGI application that the server loads.

Built when the event loop runs (ASGI lifespan), taken down when it ends; a worker that cannot start ends the server.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from deltaglider_proxy.access.admission.chain import Facts
from deltaglider_proxy.access.authenticator import Authenticator
from deltaglider_proxy.access.client_address import Address, ClientAddresses
from deltaglider_proxy.access.failure_limit import FailureLimit
from deltaglider_proxy.access.known_addresses import KnownAddresses
from deltaglider_proxy.access.replay import ReplayWindow
from deltaglider_proxy.access.state import AccessState
from deltaglider_proxy.admin.app import AdminApp
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.settings import PREFIX as ADMIN_PREFIX
from deltaglider_proxy.control.audit.log import AuditLog
from deltaglider_proxy.control.audit.segments import Segments
from deltaglider_proxy.engine import errors as engine_errors
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.ops.app import PREFIX, OpsApp
from deltaglider_proxy.ops.cache_monitor import watch
from deltaglider_proxy.ops.documentation import Documentation
from deltaglider_proxy.ops.readiness import ConfigDb, Readiness
from deltaglider_proxy.ops.stats import Stats, StatsUnavailable, Totals
from deltaglider_proxy.s3.admission import resolve_request
from deltaglider_proxy.s3.app import S3App, Serving, Uses
from deltaglider_proxy.s3.call import S3Settings
from deltaglider_proxy.s3.observe import Observer
from deltaglider_proxy.s3.protocol.errors import S3Error
from deltaglider_proxy.server import ending_signals
from deltaglider_proxy.server.admin_watch import AdminWatch, CountedAuditor
from deltaglider_proxy.server.announcements import Announcements
from deltaglider_proxy.server.backend_probes import BackendProbes
from deltaglider_proxy.server.config_sync import ConfigSync
from deltaglider_proxy.server.configuration import Boot, LiveConfiguration
from deltaglider_proxy.server.control_plane import ControlPlane
from deltaglider_proxy.server.data_plane import DataPlane, on_present
from deltaglider_proxy.server.drain import DrainFlag
from deltaglider_proxy.server.from_config import CannotStart
from deltaglider_proxy.server.host_watch import HostWatch
from deltaglider_proxy.server.housekeeping import Housekeeping
from deltaglider_proxy.server.memory import bound_allocator
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.server.storage import StorageSettings
from deltaglider_proxy.server.sync_bucket import SyncBucket
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable
from deltaglider_proxy.telemetry import worker_slots
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.log_ring import LogRing
from deltaglider_proxy.telemetry.logs import Logs
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background, Crew, kept_going
from deltaglider_proxy.telemetry.tracing import start_traces

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = structlog.get_logger("deltaglider_proxy.server")

_ADMIN, _OPS = ADMIN_PREFIX.encode(), PREFIX.encode()
_SERVES_AFTER = 0.1
"""Seconds from the end of the start, on the event loop, which only goes on once the HTTP server serves."""

_NOBODYS_BUCKET = "dgp-readiness-probe-0000"
"""A name that is asked for and never exists."""


def load(settings: ServerSettings, boot: Boot, _target: str = "") -> "Worker":
    """What the HTTP server calls in each of its worker processes."""
    bound_allocator()
    return Worker(settings, boot)


def _resolve(method: str, path: str, query: str, *, authenticated: bool, address: Address | None) -> Facts:
    try:
        return resolve_request(method, path, query, authenticated=authenticated, address=address)
    except S3Error as error:
        raise ApiError(400, "invalid_request", f"path: {error.code}: {error.message}", field="path") from error


class Worker:
    def __init__(self, settings: ServerSettings, boot: Boot) -> None:
        self._settings = settings
        self._boot = boot
        self._running: _Running | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert self._running is not None
            # As it was sent: what stands in front may have rules about these paths, and compares what it sees.
            path: bytes = scope["raw_path"]
            if path.startswith(_ADMIN):
                await self._running.admin(scope, receive, send)
            elif path == b"/_" or path.startswith(_OPS):
                await self._running.ops(scope, receive, send)
            else:
                await self._running.s3(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        settings = self._settings
        ring = LogRing(settings.log_ring, settings.log_ring_floor)
        logs = Logs.start(settings.log_filter, settings.log_format, keeper=ring)
        try:
            self._running = await _Running.start(settings, self._boot, logs, ring)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must hear that this worker cannot start
            _log.exception("a worker cannot start")
            logs.stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        asyncio.get_running_loop().call_later(_SERVES_AFTER, ending_signals.release)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._running.stop()
        logs.stop()
        await send({"type": "lifespan.shutdown.complete"})


class _Running:
    """The parts of a worker, alive. What a change of the configuration replaces is `plane` and what S3 serves with."""

    def __init__(self, settings: ServerSettings, boot: Boot, logs: Logs, ring: LogRing) -> None:
        self._settings = settings
        self._logs = logs
        self._ring = ring
        self._clock = SystemClock()
        self._pool = Pool(settings.pool_threads, "files")
        self._metrics = Metrics(
            settings.run_dir, self._clock, settings.version, settings.storage.type, settings.engine.codec_slots
        )
        self._traces = start_traces(settings.traces_endpoint, settings.version)
        self._announcements = Announcements(settings.run_dir, self._metrics.slot)
        self._plane = DataPlane(settings, self._pool, self._clock, self._metrics)
        self._prepared: DataPlane | None = None
        self._boot_storage = settings.storage
        self._claims: dict[Path, FilesystemBackend] = {}
        self._background = Background()
        self._host = HostWatch(self._present, self._metrics, logs, self._pool, settings.engine.cache_bytes)
        self._manual = Documentation.shipped()
        self._drain = DrainFlag(settings.run_dir)
        self._replay = ReplayWindow(settings.run_dir / "replay", settings.replay_window)
        self._failures = FailureLimit(settings.run_dir / "failures", settings.failure_limits)
        self._account_failures = FailureLimit(settings.run_dir / "account-failures", settings.account_limits)
        self._known = KnownAddresses(settings.run_dir / "known-addresses")
        addresses = ClientAddresses(trust_headers=settings.trust_proxy_headers, proxies=settings.trusted_proxies)
        self._control = ControlPlane(settings.control, settings.access, self._announcements, self._clock, self._publish)
        self.s3 = S3App(
            Serving.of(self._engine(), self._s3_settings(), settings.access),
            Authenticator(settings.clock_skew, self._replay, self._failures, self._account_failures),
            addresses,
            self._clock,
            self._pool,
            Observer(self._metrics, self._clock, self._traces),
        )
        self.ops = OpsApp(
            cache=self._host.cache,
            peak_rss_bytes=self._metrics.peak_rss_bytes,
            readiness=Readiness(
                self._list_buckets, self._head_nobodys_bucket, self._clock, settings.ready, self._config_db
            ),
            stats=Stats(self._totals, self._clock, settings.run_dir),
            metrics=self._host.scrape,
            lifecycle=self._drain,
            manual=self._manual_page,
            recorder=self._metrics,
            clock=self._clock,
        )
        self._housekeeping = Housekeeping(
            self._engine,
            self._metrics,
            self._clock,
            settings.run_dir,
            settings.sweep_interval,
            settings.gc_interval,
        )
        self._crew = Crew()
        self._addresses = addresses
        self._boot = boot
        self._audit: AuditLog | None = None
        self._sync = self._make_sync()

    def _make_sync(self) -> ConfigSync | None:
        settings = self._settings
        if settings.sync is None:
            return None
        self._metrics.config_sync_expected()
        bucket = SyncBucket(settings.sync, self._pool, self._clock)
        return ConfigSync(bucket, self._control, settings.run_dir, settings.sync.poll, self._clock, self._metrics)

    async def _manual_page(self, name: str) -> bytes | None:
        return await self._pool.run(self._manual.page, name)

    def _present(self) -> DataPlane:
        return self._plane

    def _engine(self) -> Engine:
        return self._plane.engine

    def _s3_settings(self) -> S3Settings:
        s3 = self._settings.s3
        return replace(s3, max_concurrent_requests=max(1, s3.max_concurrent_requests // self._settings.workers))

    @classmethod
    async def start(cls, settings: ServerSettings, boot: Boot, logs: Logs, ring: LogRing) -> "_Running":
        running = cls(settings, boot, logs, ring)
        leads = running._metrics.first_worker
        await running._control.start()
        running._build_admin(boot)
        await running._plane.make_declared()
        lasting: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("users", running._control.follow),
            ("configuration", lambda: running._configuration.follow(leads=leads)),
            ("cache", running._host.observe),
            ("server process", running._follow_server),
        ]
        if leads:
            lasting += [
                ("housekeeping", running._housekeeping.run),
                ("cache monitor", lambda: watch(running._host.cache_sample)),
                ("backends", running._host.ask_backends),
            ]
            running._background.start("a look at the audit log", running._verify_audit())
            if (sync := running._sync) is not None:
                lasting.append(("config sync", lambda: sync.run(lambda: running._control.revision)))
        running._plane.start(leads=leads)
        for name, work in lasting:
            running._crew.start(kept_going(name, work))
        await running._configuration.begin()
        return running

    def _build_admin(self, boot: Boot) -> None:
        settings, control = self._settings, self._control
        audit = settings.audit
        # Nobody knows the key of the log while the database is locked: what happens then has a log of its own.
        locked = control.locked
        directory = audit.directory.with_name(f"{audit.directory.name}.locked") if locked else audit.directory
        key = os.urandom(32) if locked else control.database.derived_key("audit")
        segments = Segments(directory, key, audit.max_bytes)
        self._segments = segments
        self._audit = AuditLog(segments, audit.node, self._clock, self._metrics.audit_dropped)
        auditor = CountedAuditor(self._audit, self._metrics, object_writes=audit.object_writes)
        self._configuration = LiveConfiguration(
            boot, settings, self, control, self._announcements, auditor, self._clock, self._pool, self._metrics
        )
        self.s3.audit(auditor)
        self.admin = AdminApp(
            AdminServices(
                settings=settings.admin,
                control=control,
                configuration=self._configuration,
                backends=BackendProbes(self._present, self._pool, self._clock),
                auditor=auditor,
                audit_dir=directory,
                verify_audit=segments.verify,
                addresses=self._addresses,
                addresses_limit=self._failures,
                accounts_limit=self._account_failures,
                known_addresses=self._known,
                try_hash=control.opens_with,
                resolve_request=_resolve,
                sharing=self._sync,
                logs=self._ring,
                draining=lambda: self._drain.draining,
                watcher=AdminWatch(self._metrics, self._traces),
                clock=self._clock,
                pool=self._pool,
            )
        )

    async def _verify_audit(self) -> None:
        """Once at start, beside everything else."""
        damage = await self._pool.run(self._segments.verify)
        if damage is not None:
            _log.error("the audit log was changed", file=damage.file, line=damage.line, what=damage.what)

    def _publish(self, state: AccessState) -> None:
        self.s3.serve(replace(self.s3.serving, access=state))

    async def prepare(self, settings: ServerSettings, *, applies: bool, ask: bool) -> None:
        """Build what is new beside what runs. Raises CannotStart. `applies`: this is the worker that was asked. `ask`:
        a backend that changed must answer. Else, as when a backup is brought back or another worker has applied it, one
        that is away fails its buckets alone.
        """
        if self._prepared is not None:
            await self._prepared.close()
            self._prepared = None
        before = self._plane.settings
        if (settings.storage, settings.engine) == (before.storage, before.engine):
            return
        try:
            await self._claim(settings.storage, leads=applies)
            self._prepared = DataPlane(settings, self._pool, self._clock, self._metrics, self._plane)
            if ask:
                await self._prepared.check_against(before)
        except (ValueError, OSError, RootUnusable) as error:
            raise CannotStart(str(error)) from error

    async def _claim(self, storage: StorageSettings, *, leads: bool) -> None:
        """Keep other servers from folders that came later than the server process, which holds those of its start.
        One worker of the host does it. Raises RootUnusable.
        """
        first = {directory.path for directory in self._boot_storage.directories}
        if leads:
            for directory in storage.directories:
                if directory.path not in first and directory.path not in self._claims:
                    opened = directory.open(self._pool, self._clock)
                    await self._pool.run(opened.acquire_host)
                    self._claims[directory.path] = opened

    async def _unclaim(self, storage: StorageSettings) -> None:
        wanted = {directory.path for directory in storage.directories}
        for path in [path for path in self._claims if path not in wanted]:
            await self._claims.pop(path).close()

    async def switch(self, settings: ServerSettings) -> None:
        """The restrictive comes first: what is served by the new backends is judged by the new rules."""
        self._settings = replace(
            settings, control=self._settings.control, audit=self._settings.audit, admin=self._settings.admin
        )
        if settings.log_filter != self._logs.filter:
            self._logs.swap(settings.log_filter)
        self._control.rebase(settings.access)
        old, before = self._plane, self.s3.serving
        if self._prepared is not None:
            self._plane, self._prepared = self._prepared, None
            self._plane.start(leads=self._metrics.first_worker)
            if self._metrics.first_worker:
                await self._plane.make_declared()
            serving = Serving.of(self._engine(), self._s3_settings(), self._control.state)
        else:
            old.settings = self._settings
            serving = replace(before, settings=self._s3_settings(), access=self._control.state)
        self.s3.serve(serving)
        if self._plane is not old:
            self._background.start("end of a former configuration", self._retire(old, before.uses))

    async def _retire(self, plane: DataPlane, uses: Uses) -> None:
        await uses.ended()
        await plane.close()
        await self._unclaim(self._plane.settings.storage)

    async def _config_db(self) -> ConfigDb:
        return ConfigDb.LOCKED if self._control.locked else ConfigDb.READY

    async def stop(self) -> None:
        await self._crew.close()
        await self._background.drain()
        await self._plane.close()
        if self._sync is not None:
            await self._sync.close()
        for claimed in self._claims.values():
            await claimed.close()
        await self._control.close()
        if self._audit is not None:
            await self._pool.run(self._audit.close)
        await self._pool.run(self._traces.close)
        self._announcements.close()
        self._replay.close()
        self._failures.close()
        self._account_failures.close()
        self._known.close()
        self._metrics.close()
        self._pool.close()

    async def _follow_server(self) -> None:
        """End with the server process: also when it was killed, or when the signal came before anyone heard it."""
        parent = worker_slots.server_facts(self._settings.run_dir).pid
        while os.getppid() == parent and not self._drain.ending:  # noqa: ASYNC110 - it is another process that changes this
            await asyncio.sleep(1)
        signal.raise_signal(signal.SIGTERM)

    async def _list_buckets(self) -> None:
        await on_present(self._present, lambda plane: plane.engine.list_buckets())

    async def _head_nobodys_bucket(self) -> None:
        try:
            await on_present(self._present, lambda plane: plane.engine.head_bucket(_NOBODYS_BUCKET))
        except engine_errors.NoSuchBucket:
            return

    async def _totals(self, bucket: str | None) -> Totals:
        try:
            usage = await on_present(self._present, lambda plane: plane.engine.usage(bucket))
        except engine_errors.EngineError as error:
            raise StatsUnavailable(str(error)) from error
        return Totals(usage.objects, usage.logical_bytes, usage.stored_bytes)
