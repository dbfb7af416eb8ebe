"""The server process: checks what must hold before anything starts, then runs the workers until it is told to stop.

Told to stop, it first says so (`/_/ready` is 503 while everything is still served), so that load balancers turn away,
then lets requests finish.
"""

import asyncio
import functools
import logging
import os
import resource
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings

from deltaglider_proxy.access.client_address import ClientAddresses
from deltaglider_proxy.config import load as loading
from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.advanced import Advanced
from deltaglider_proxy.config.certificates import Material
from deltaglider_proxy.config.findings import ConfigError
from deltaglider_proxy.config.load import LoadedConfig, Sources
from deltaglider_proxy.config.persist import CannotPersist
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.control.bootstrap_hash import Source
from deltaglider_proxy.control.database import Database
from deltaglider_proxy.control.errors import CannotOpen, WrongKey
from deltaglider_proxy.crypto.passwords import NotAHash
from deltaglider_proxy.engine import quota
from deltaglider_proxy.ops.cache_monitor import startup_notices
from deltaglider_proxy.server import restore_journal
from deltaglider_proxy.server.config_sync import CannotShare, SyncFailed, forget_probe
from deltaglider_proxy.server.config_sync_boot import synchronise
from deltaglider_proxy.server.configuration import RELOAD, Boot, forget_applied
from deltaglider_proxy.server.control_plane import ControlSettings
from deltaglider_proxy.server.declared_iam import reconcile_at_start
from deltaglider_proxy.server.drain import DrainFlag
from deltaglider_proxy.server.ending_signals import ENDING, hold_at_fork
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.server.http_server import HttpServer
from deltaglider_proxy.server.restore_journal import RestoreJournal
from deltaglider_proxy.server.services import Services, forget_verdicts
from deltaglider_proxy.server.settings import BootProbe, ServerSettings
from deltaglider_proxy.server.storage import claim
from deltaglider_proxy.server.sync_bucket import SyncSettings
from deltaglider_proxy.server.tls import FILE_NAME, CertificateSource
from deltaglider_proxy.server.tls_front import Front
from deltaglider_proxy.server.tls_server import LOOK_SECONDS, TlsServer
from deltaglider_proxy.server.worker import load
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable
from deltaglider_proxy.telemetry import worker_slots
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.log_ring import LogRing, Unshared
from deltaglider_proxy.telemetry.logs import Logs
from deltaglider_proxy.telemetry.pool import Pool

Certificate = tuple[CertificateSource, Material]
"""Where it comes from, and what is there now."""

_IDLE_MS = 30_000
_BEHIND_A_PROXY_MS = 4_100_000

_cache_log = structlog.get_logger("deltaglider_proxy.cache")
_log = structlog.get_logger("deltaglider_proxy.server")


def run(loaded: LoadedConfig, sources: Sources, *, verbose: bool) -> int:
    """Serve until a signal; the exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of the memory would hold secrets
    try:
        settings = settings_of(loaded, verbose=verbose)
    except CannotStart as error:
        return _refuse(error)
    beginning = Unshared()
    logs = Logs.start(settings.log_filter, settings.log_format, keeper=beginning)
    try:
        for warning in (*loaded.warnings, *settings.log_warnings):
            _log.warning(str(warning))
        _check_port(settings)
        if (restored := _finish_restore(settings.control)) is not None:
            sources = replace(sources, path=restored.config_path)
            loaded = loading.reload(sources)
            settings = settings_of(loaded, verbose=verbose)
        claimed = claim(settings.storage)
        _prepare(settings)
        settings = _open_control(settings, loaded.settings.access)
        if settings.boot_probe is not BootProbe.OFF:
            _boot(settings)
        certificate = _certificate(loaded.settings.advanced, settings)
        _announce(settings, loaded, certificate)
    except (CannotStart, RootUnusable, CannotOpen, CannotPersist, ConfigError) as error:
        return _refuse(error)
    finally:
        # Worker processes are forks: no thread of this process may live when they begin.
        logs.stop()
    _keep_log(settings, beginning)
    code = _serve(settings, Boot(loaded, sources, verbose), certificate)
    del claimed
    return code


def _keep_log(settings: ServerSettings, beginning: Unshared) -> None:
    """What was said so far, for whoever looks later."""
    ring = LogRing(settings.log_ring, settings.log_ring_floor)
    try:
        ring.keep(beginning.entries)
    except OSError as error:  # the lines are on stdout, and the workers say this again in the log
        sys.stderr.write(f"warning: the first log lines cannot be kept for the admin API: {error}\n")
    finally:
        ring.close()


def _finish_restore(control: ControlSettings) -> RestoreJournal | None:
    """Before anything else is made of the configuration. Raises CannotOpen, CannotPersist, OSError."""
    if RestoreJournal.found(control.directory) is None:
        return None
    try:
        found = bootstrap_hash.resolve(control.configured_hash, control.directory)
        database = control.open(found.value)
    except (NotAHash, WrongKey):
        return None  # the database stays locked, and the journal where it is
    try:
        return restore_journal.finish(database, control.directory, SystemClock().now())
    finally:
        database.close()


def _refuse(error: Exception) -> int:
    sys.stderr.write(f"error: {error}\n")
    return 1


def _check_port(settings: ServerSettings) -> None:
    """Two servers that share a port by SO_REUSEPORT would each get a part of the requests, silently."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise CannotStart(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; stop what uses the port, or set "
                "advanced.listen_addr, DGP_LISTEN_ADDR or --listen"
            ) from error


def _prepare(settings: ServerSettings) -> None:
    for directory in (settings.engine.cache_dir, settings.engine.spool_dir, settings.run_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        settings.audit.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        place = f"advanced.audit_dir: {settings.audit.directory.parent}"
        raise CannotStart(f"{place}: {error.strerror}; name a folder that can be written") from error
    quota.forget(settings.engine.cache_dir)
    forget_applied(settings.run_dir)
    forget_verdicts(settings.run_dir, settings.storage.services)
    forget_probe(settings.run_dir)
    LogRing.create(settings.log_ring, settings.log_ring_size)
    worker_slots.prepare(settings.run_dir, SystemClock().now())
    DrainFlag(settings.run_dir).lower()


def _open_control(settings: ServerSettings, access: Access) -> ServerSettings:
    """Finds out the bootstrap hash, and makes or migrates the database while nobody else works with it.

    A database that the hash does not open is left to the workers, which refuse everything until that is mended.
    Raises CannotStart, CannotOpen.
    """
    control = settings.control
    try:
        found = bootstrap_hash.resolve(control.configured_hash, control.directory)
    except NotAHash as error:
        raise CannotStart(str(error)) from error
    except OSError as error:
        raise CannotStart(
            f"the bootstrap password cannot be kept in {control.directory}: {error.strerror}; set "
            "DGP_BOOTSTRAP_PASSWORD_HASH, or start where a file can be written"
        ) from error
    if found.source is Source.GENERATED:
        _log.warning(
            "made a bootstrap password for the admin API", kept_in=bootstrap_hash.FILE_NAME, form="its bcrypt hash"
        )
        if sys.stderr.isatty():
            sys.stderr.write(f"Bootstrap password, shown only now: {found.generated_password}\n")
        else:
            _log.warning("set one that you know: deltaglider_proxy --set-bootstrap-password")
    resolved = replace(control, bootstrap=replace(found, generated_password=None))
    try:
        database = resolved.open(found.value)
    except WrongKey as error:
        _log.error("the database is locked", reason=str(error))
    else:
        try:
            if settings.sync is not None:
                _sync(settings, settings.sync, database)
            reconcile_at_start(database, access, SystemClock().now())
        finally:
            database.close()
    return replace(settings, control=resolved)


def _sync(settings: ServerSettings, sync: SyncSettings, database: Database) -> None:
    """Take what other nodes have changed before anyone is served. Raises CannotStart."""
    try:
        asyncio.run(synchronise(sync, database, settings.control.path, settings.run_dir))
    except CannotShare as error:
        raise CannotStart(f"advanced.config_sync_bucket: {error}") from error
    except SyncFailed as error:
        if settings.boot_probe is BootProbe.ENFORCE:
            raise CannotStart(
                f"advanced.config_sync_bucket: {error}; set DGP_BOOT_BACKEND_PROBE=warn to start with the users that "
                "this instance knows"
            ) from error
        _log.warning("[config-sync] failed; it is tried again", reason=str(error))


def _boot(settings: ServerSettings) -> None:
    """Ask the services before anyone else does. Raises CannotStart if nothing could be stored anywhere."""
    if not settings.storage.services:
        return

    async def ask() -> list[str]:
        pool = Pool(1)
        services = Services(settings, pool, SystemClock())
        try:
            return await services.boot()
        finally:
            await services.close()
            pool.close()

    away = asyncio.run(ask())
    if settings.boot_probe is BootProbe.ENFORCE and len(away) == len(settings.storage.backends):
        raise CannotStart(
            f"no backend answers ({', '.join(away)}); set DGP_BOOT_BACKEND_PROBE=warn to start all the same"
        )


def _certificate(advanced: Advanced, settings: ServerSettings) -> Certificate | None:
    """None: HTTP is served without TLS. Raises CannotStart."""
    source = CertificateSource.of(advanced, settings.control.directory)
    return (source, source.obtain(SystemClock().now())) if source is not None else None


def _announce_certificate(source: CertificateSource, found: Material) -> None:
    _log.info("HTTPS is served", certificate=str(source.paths()[0]), fingerprint=found.fingerprint)
    if source.cert_path is None:
        _log.warning("the certificate is self-signed: clients trust it only if they are told to", file=FILE_NAME)
    if (remark := found.expiry_remark(SystemClock().now())) is not None:
        _log.warning(remark, file=str(source.paths()[0]))


def _announce(settings: ServerSettings, loaded: LoadedConfig, certificate: Certificate | None) -> None:
    engine = settings.engine
    _log.info(
        "starting",
        version=settings.version,
        listen=f"{settings.host}:{settings.port}",
        workers=settings.workers,
        backends=", ".join(f"{backend.name} ({backend.place})" for backend in settings.storage.backends),
        max_object_size=engine.max_object_size,
        max_delta_ratio=engine.max_delta_ratio,
        authentication="signature version 4" if settings.key_pair is not None else "none",
    )
    if certificate is not None:
        _announce_certificate(*certificate)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    endpoint = f"{'http' if certificate is None else 'https'}://{host}:{settings.port}"
    _log.info("point S3 clients here", endpoint=endpoint, page=f"{endpoint}/_/")
    if settings.key_pair is not None:
        origin = loaded.overrides.get(("access", "access_key_id"))
        _log.info("found the key pair of S3 clients", place=origin or str(loaded.path))
    database = settings.control.path
    if not Path(loaded.settings.advanced.database_path).is_absolute() and database.parent != settings.control.directory:
        _log.warning("the database beside the configuration file is used", path=str(database))
    for notice in startup_notices(settings.cache_mb, settings.metadata_cache_mb):
        (_cache_log.warning if notice.level >= logging.WARNING else _cache_log.info)(notice.text)
    if settings.key_pair is None:
        for line in (
            "****************************************************************",
            "*  OPEN ACCESS: authentication is none, so everyone who can    *",
            "*  reach this port may read, change and delete everything.     *",
            "****************************************************************",
        ):
            _log.warning(line)


def _load(settings: ServerSettings, boot: Boot, tls: bool, _target: str = "", *, ready: int | None = None) -> Front:
    """What the HTTP server calls in each of its worker processes."""
    addresses = ClientAddresses(trust_headers=settings.trust_proxy_headers, proxies=settings.trusted_proxies)
    return Front(load(settings, boot), addresses, tls=tls, ready=ready)


def _head_timeout(settings: ServerSettings) -> int:
    """Milliseconds that a connection may be without a request, or take for the head of one.

    A proxy must be the one that ends an idle connection: were it this server, the next request could come in the same
    moment and be lost. AWS recommends no less than the load balancer's own idle timeout, which is 4000 s at most.
    """
    return _BEHIND_A_PROXY_MS if settings.trust_proxy_headers else _IDLE_MS


def _serve(settings: ServerSettings, boot: Boot, certificate: Certificate | None) -> int:
    options: dict[str, Any] = {
        "address": settings.host,
        "port": settings.port,
        "interface": Interfaces.ASGI,
        "workers": settings.workers,
        "loop": Loops.uvloop,
        "websockets": False,
        "log_enabled": False,
        "respawn_failed_workers": True,
        "workers_kill_timeout": max(1, round(settings.shutdown_grace)),
        "backlog": 1024,
        "backpressure": max(settings.s3.max_concurrent_requests, 1),
        "http1_settings": HTTP1Settings(header_read_timeout=_head_timeout(settings)),
    }
    server: HttpServer
    if certificate is None:
        server = HttpServer(settings, **options)
    else:
        server = TlsServer(settings, *certificate, SystemClock(), **options)
    stopping = _Stopping(server, settings)
    server.on_startup(stopping.install)
    hold_at_fork()
    try:
        server.serve(target_loader=functools.partial(_load, settings, boot, certificate is not None))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if code and not server.stopping:  # else workers saw the drain end before they were told to
            sys.stderr.write("error: a worker process ended and could not be replaced; its log says why\n")
            return code
    server.say("info", "stopped")
    return 0


class _Stopping:
    """The first signal begins the drain, the second ends at once."""

    def __init__(self, server: HttpServer, settings: ServerSettings) -> None:
        self._server = server
        self._settings = settings

    def install(self) -> None:
        for number in ENDING:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._rung)
        signal.signal(signal.SIGHUP, self._reload)
        if isinstance(self._server, TlsServer):
            signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._server.stopping:
            self._drained(number, frame)
            return
        self._server.stopping = True
        self._server.say("warning", "told to stop", signal=signal.Signals(number).name)
        DrainFlag(self._settings.run_dir).raise_it()
        signal.setitimer(signal.ITIMER_REAL, max(self._settings.shutdown_drain, 0.001))

    def _reload(self, number: int, frame: FrameType | None) -> None:
        """The workers look whether this has changed; one of them reads the file again."""
        del number, frame
        (self._settings.run_dir / RELOAD).write_bytes(os.urandom(8))
        if isinstance(self._server, TlsServer):
            self._server.look(asked=True)

    def _rung(self, number: int, frame: FrameType | None) -> None:
        """One alarm for both: once the drain has begun, nobody looks at certificates any more."""
        if self._server.stopping:
            self._drained(number, frame)
        elif isinstance(self._server, TlsServer):
            self._server.look()

    def _drained(self, number: int, frame: FrameType | None) -> None:
        DrainFlag(self._settings.run_dir).end()
        self._server.signal_handler_interrupt(number, frame)  # type: ignore[no-untyped-call]  # granian's is untyped
