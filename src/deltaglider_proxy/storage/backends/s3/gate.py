"""Stands between a service that is away and everyone who would wait for it.

When no connection was made several times in a row, requests are refused at once, and only one in a while is let
through to see whether the service is back. Anything it answers opens the gate: what it answers is another matter.
"""

from typing import Final

import structlog

from deltaglider_proxy.storage.errors import Away
from deltaglider_proxy.telemetry.clock import Clock

_log = structlog.get_logger("deltaglider_proxy.backends")

REFUSED, SILENT, UNREACHABLE = 1, 2, 5
"""How much a failure counts: a connection was refused, no answer came in time, no connection was made in time."""

_ENOUGH: Final = 5
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 15.0


class Gate:
    def __init__(self, name: str, clock: Clock) -> None:
        """`name`: of the backend, for those who are refused."""
        self._name = name
        self._clock = clock
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._next = 0.0

    def check(self) -> None:
        """Raises Away, unless this request may be made."""
        if self._failures < _ENOUGH:
            return
        now = self._clock.monotonic()
        if now < self._next:
            raise Away(self._name)
        self._next = now + self._pause

    def failed(self, weight: int) -> None:
        was_open = self._failures < _ENOUGH
        self._failures += weight
        if self._failures < _ENOUGH:
            return
        if was_open:
            _log.error("a backend is away", backend=self._name)
        else:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._next = self._clock.monotonic() + self._pause

    def reached(self) -> None:
        if self._failures >= _ENOUGH:
            _log.warning("a backend is back", backend=self._name)
        self._failures = 0
        self._pause = _FIRST_PAUSE
