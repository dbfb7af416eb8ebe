"""The server process: checks what must hold before anything starts, then runs the workers until it is told to stop.

Told to stop, it first says so (`/_/ready` is 503 while everything is still served), so that load balancers turn away,
then lets requests finish.
"""

import asyncio
import functools
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import structlog
from granian.constants import Interfaces, Loops
from granian.server.mp import MPServer

from deltaglider_proxy.config.load import LoadedConfig
from deltaglider_proxy.engine import quota
from deltaglider_proxy.ops.cache_monitor import startup_notices
from deltaglider_proxy.server.drain import DrainFlag
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.server.services import Services, forget_verdicts
from deltaglider_proxy.server.settings import BootProbe, ServerSettings
from deltaglider_proxy.server.storage import claim
from deltaglider_proxy.server.worker import load
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable
from deltaglider_proxy.telemetry import worker_slots
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.logs import Logs
from deltaglider_proxy.telemetry.pool import Pool

_cache_log = structlog.get_logger("deltaglider_proxy.cache")
_log = structlog.get_logger("deltaglider_proxy.server")


def run(loaded: LoadedConfig, *, verbose: bool) -> int:
    """Serve until a signal; the exit code."""
    try:
        settings = settings_of(loaded, verbose=verbose)
    except CannotStart as error:
        return _refuse(error)
    logs = Logs.start(settings.log_filter, settings.log_format)
    try:
        for warning in (*loaded.warnings, *settings.log_warnings):
            _log.warning(str(warning))
        _check_port(settings)
        claimed = claim(settings.storage)
        _prepare(settings)
        if settings.boot_probe is not BootProbe.OFF:
            _boot(settings)
        _announce(settings, loaded.path)
    except (CannotStart, RootUnusable) as error:
        return _refuse(error)
    finally:
        # Worker processes are forks: no thread of this process may live when they begin.
        logs.stop()
    code = _serve(settings)
    del claimed
    return code


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
    quota.forget(settings.engine.cache_dir)
    forget_verdicts(settings.run_dir, settings.storage.services)
    worker_slots.prepare(settings.run_dir, SystemClock().now())
    DrainFlag(settings.run_dir).lower()


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


def _announce(settings: ServerSettings, path: Path | None) -> None:
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
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    _log.info(
        "point S3 clients here", endpoint=f"http://{host}:{settings.port}", page=f"http://{host}:{settings.port}/_/"
    )
    if path is not None and settings.key_pair is not None:
        _log.info("the key pair is in the configuration file", path=str(path.absolute()))
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


def _serve(settings: ServerSettings) -> int:
    server = MPServer(
        "deltaglider_proxy",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.uvloop,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=max(1, round(settings.shutdown_grace)),
        backlog=1024,
        backpressure=max(settings.s3.max_concurrent_requests, 1),
    )
    stopping = _Stopping(server, settings)
    server.on_startup(stopping.install)
    # A new worker would have these handlers until it sets its own: told to stop in that moment, it would do nothing
    # and hold up the end until it is killed.
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_end_on_signals)
    try:
        server.serve(target_loader=functools.partial(load, settings))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if code:
            sys.stderr.write("error: a worker process ended and could not be replaced; its log says why\n")
        return code
    return 0


_ENDING = (signal.SIGTERM, signal.SIGINT)


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _end_on_signals() -> None:
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    _release_signals()


class _Stopping:
    """The first signal begins the drain, the second ends at once."""

    def __init__(self, server: MPServer, settings: ServerSettings) -> None:
        self._server = server
        self._settings = settings
        self._asked = False

    def install(self) -> None:
        for number in _ENDING:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._drained)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            self._drained(number, frame)
            return
        self._asked = True
        DrainFlag(self._settings.run_dir).raise_it()
        signal.setitimer(signal.ITIMER_REAL, max(self._settings.shutdown_drain, 0.001))

    def _drained(self, number: int, frame: FrameType | None) -> None:
        DrainFlag(self._settings.run_dir).end()
        self._server.signal_handler_interrupt(number, frame)  # type: ignore[no-untyped-call]  # granian's is untyped
