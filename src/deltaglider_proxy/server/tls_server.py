"""The HTTP server with TLS, whose certificate can be replaced while it serves.

A worker reads the certificate once, so another certificate means other workers: each new one must serve before the one
in its place is told to finish. Both accept from the same listening socket, which belongs to the server process: with
sockets of the workers' own, the kernel would reset the connections that wait in the queue of one that ends.
"""

import os
import select
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from granian._granian import SocketHolder
from granian.constants import SSLProtocols
from typing_extensions import override

from deltaglider_proxy.config.certificates import Material
from deltaglider_proxy.server.from_config import CannotStart
from deltaglider_proxy.server.http_server import HttpServer
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.server.tls import CertificateSource, FileWatch, SealedCopy
from deltaglider_proxy.server.tls_front import Front
from deltaglider_proxy.telemetry import worker_slots
from deltaglider_proxy.telemetry.clock import Clock

LOOK_SECONDS: Final = 5.0
"""Between two looks at the files."""
_START_SECONDS: Final = 120.0
_SETTLE_SECONDS: Final = 1.0
"""How long a worker must live after it said that it serves: only then it has read the certificate."""
_DAY: Final = 86400.0

Target = Callable[..., None]
Loader = Callable[..., Front]


class _Worker(Protocol):
    """What is used of granian's worker processes."""

    inner: Any

    def is_alive(self) -> bool: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...

    def _watch(self) -> None: ...


class TlsServer(HttpServer):
    ssl_ctx: Any
    _shd: Any
    _ssp: Any
    _sso: Any

    def __init__(
        self, settings: ServerSettings, source: CertificateSource, found: Material, clock: Clock, **options: Any
    ) -> None:
        """`found` is what `source` has now. `options` are those of MPServer."""
        super().__init__(settings, **options)
        self._source = source
        self._clock = clock
        self._copy = SealedCopy(found)
        self._files = FileWatch(source.paths())
        self._asked = False
        self._next_look = clock.monotonic() + _DAY
        self._listeners: list[socket.socket] = []
        self._leaving: list[_Worker] = []
        self._replaced_some = False
        self._ready: int | None = None
        self._serve_with(self._copy)

    def look(self, *, asked: bool = False) -> None:
        """Let the main loop look whether another certificate is to be served. For signal handlers. `asked`: whether or
        not the files have changed.
        """
        self._asked = self._asked or asked
        self.reload_signal = True
        self.main_loop_interrupt.set()

    def _serve_with(self, copy: SealedCopy) -> None:
        self.ssl_ctx = (True, copy.cert_path, copy.key_path, None, SSLProtocols.tls12.value, None, [], False)

    @override
    def _init_shared_socket(self) -> None:
        super()._init_shared_socket()  # type: ignore[no-untyped-call]  # granian's is untyped
        for _ in range(self.workers):
            holder = self._ssp.build()
            self._listeners.append(socket.socket(fileno=os.dup(holder.get_fd())))

    @override
    def _drop_shared_socket(self) -> None:
        for listener in self._listeners:
            listener.close()

    @override
    def _spawn_worker(  # type: ignore[override]  # that of granian's base class is not what granian calls
        self, idx: int, target: Target, callback_loader: Loader
    ) -> Any:
        hold: Any = SocketHolder
        self._ssp, self._sso, self._shd = None, None, hold(os.dup(self._listeners[idx].fileno()), False, self.backlog)
        try:
            return super()._spawn_worker(idx, target, partial(self._load_in_worker, callback_loader, self._ready))
        finally:
            self._shd = None

    def _load_in_worker(self, loader: Loader, ready: int | None) -> Front:
        """In the new process, which keeps the listening socket of its place only."""
        self._drop_shared_socket()
        return loader(ready=ready)

    @override
    def _reload(self, spawn_target: Target, target_loader: Loader) -> None:
        """What the main loop does when `look` was called."""
        self.reload_signal = False
        self.main_loop_interrupt.clear()
        if self.interrupt_signal or self.interrupt_children:
            self.main_loop_interrupt.set()  # came in between
        asked, self._asked = self._asked, False
        self._leaving = [worker for worker in self._leaving if worker.is_alive()]
        if asked or self._files.changed() or self._clock.monotonic() >= self._next_look:
            self._next_look = self._clock.monotonic() + _DAY
            self._take(spawn_target, target_loader)
        elif self._replaced_some and not self._leaving and 0 not in worker_slots.live_slots(self._settings.run_dir):
            # What is done once per host is done by the worker with the first slot, and its holder was replaced while it
            # still held it. A worker that starts now takes the slot.
            self._replace(0, spawn_target, target_loader)

    def _take(self, spawn_target: Target, target_loader: Loader) -> None:
        """Serve with what the source has now, if it is another certificate and can be served with."""
        now = self._clock.now()
        try:
            found = self._source.obtain(now)
            self._files.forget()
            if not found.is_valid(now) and self._copy.material.is_valid(now):
                raise CannotStart(found.expiry_remark(now))
        except CannotStart as error:
            self.say("error", "the new certificate cannot be used, so the former one is still served", error)
            return
        if (found.chain, found.key) == (self._copy.material.chain, self._copy.material.key):
            if (remark := found.expiry_remark(now)) is not None:
                self.say("warning", remark)
            return
        former, self._copy = self._copy, SealedCopy(found)
        self._serve_with(self._copy)
        done = 0
        for index in range(self.workers):
            if not self._replace(index, spawn_target, target_loader):
                break
            done += 1
        if done:
            former.close()
            self.say("info", "another certificate is served", fingerprint=found.fingerprint, workers=done)
            return
        self._copy.close()
        self._copy = former
        self._serve_with(former)

    def _replace(self, index: int, spawn_target: Target, target_loader: Loader) -> bool:
        """Whether a new worker serves in this place; if so, the former one serves what it has begun, and ends."""
        reader, self._ready = os.pipe()
        try:
            worker: _Worker = self._spawn_worker(index, spawn_target, target_loader)
            worker.inner.start()
        finally:
            os.close(self._ready)
            self._ready = None
        try:
            started = self._has_started(worker, reader)
        finally:
            os.close(reader)
        if not started:
            worker.kill()
            worker.join()
            if not self.interrupt_signal:
                self.say("error", "a new worker cannot start, so the former one still serves; its log says why")
            return False
        worker._watch()  # from now on its end is an accident
        former, self.wrks[index] = self.wrks[index], worker
        former.terminate()
        self._leaving.append(former)
        self._replaced_some = True
        return True

    def _has_started(self, worker: _Worker, reader: int) -> bool:
        deadline = self._clock.monotonic() + _START_SECONDS
        while not self.interrupt_signal and self._clock.monotonic() < deadline:
            if select.select([reader], [], [], 0.5)[0]:
                if not os.read(reader, 1):
                    return False
                worker.join(_SETTLE_SECONDS)
                return worker.is_alive()
        return False

    @override
    def _stop_workers(self) -> None:
        self.wrks.extend(worker for worker in self._leaving if worker.is_alive())
        super()._stop_workers()  # type: ignore[no-untyped-call]  # granian's is untyped
