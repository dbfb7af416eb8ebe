"""The HTTP server, which tells when one of its worker processes has ended and another takes its place."""

import signal
from typing import Any

import structlog
from granian.server.mp import MPServer
from typing_extensions import override

from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.telemetry.log_ring import LogRing
from deltaglider_proxy.telemetry.logs import Logs

_log = structlog.get_logger("deltaglider_proxy.server")


class HttpServer(MPServer):
    wrks: list[Any]

    def __init__(self, settings: ServerSettings, **options: Any) -> None:
        """`options` are those of MPServer."""
        super().__init__("deltaglider_proxy", **options)
        self._settings = settings
        self.stopping = False
        """It has been told to stop."""

    @override
    def _respawn_workers(self, workers: list[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        if self.stopping:
            # A terminal tells the workers as well, and nobody needs others now.
            if not any(worker.is_alive() for worker in self.wrks):
                self.interrupt_signal = True
                self.main_loop_interrupt.set()
            return
        for index in workers:
            self.say("warning", "a worker ended; another takes its place", how=_ending(self.wrks[index].inner.exitcode))
        super()._respawn_workers(workers, spawn_target, target_loader, delay)

    def say(self, method: str, event: str, reason: object = None, **fields: object) -> None:
        """A line in the log, at once: a process with the thread of a log must not fork."""
        if reason is not None:
            fields["reason"] = str(reason)
        ring = LogRing(self._settings.log_ring, self._settings.log_ring_floor)
        logs = Logs.start(self._settings.log_filter, self._settings.log_format, keeper=ring)
        try:
            getattr(_log, method)(event, **fields)
        finally:
            logs.stop()
            ring.close()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
