"""Remembers the signatures of recent changes, so that one captured or repeated request does not act twice.

One window for all workers of a host, since a repeated request may reach any of them. It counts from the first sight of
a signature, and a signature is never forgotten before its end: where there is no room for another, the change that
brings it is refused.
"""

from enum import Enum, auto
from pathlib import Path

import structlog

from deltaglider_proxy.access.host_table import HostTable, Values

_log = structlog.get_logger("deltaglider_proxy.access")

_QUIET = 60.0
"""Seconds between two lines about a full table."""


class Sight(Enum):
    FIRST = auto()
    AGAIN = auto()
    NO_ROOM = auto()


class ReplayWindow:
    def __init__(self, path: Path, window: float, capacity: int = 1 << 19) -> None:
        """`window` in seconds; 0 turns it off, and no file is made. A signature takes 16 bytes of `path`, which all
        processes of the host share.
        """
        self._window = window
        self._table = HostTable(path, capacity, 1) if window > 0 else None
        self._complained = -_QUIET

    def look(self, signature: bytes, monotonic: float) -> Sight:
        """Remember a verified signature, unless it was seen within the window before `monotonic`.

        The monotonic clock of Python is one for all processes of a host. Another process may have looked at it a
        moment later and been here first; what lies further in the future is from before a boot.
        """
        table, window = self._table, self._window
        if table is None:
            return Sight.FIRST

        def is_over(values: Values) -> bool:
            return abs(monotonic - values[0]) >= window or values[0] == 0

        with table:
            place = table.find(signature)
            if place is not None and not is_over(table.read(place)):
                return Sight.AGAIN
            if place is None:
                place = table.claim(signature, is_over)
            if place is not None:
                table.write(place, monotonic)
                return Sight.FIRST
        self._complain(monotonic)
        return Sight.NO_ROOM

    def _complain(self, monotonic: float) -> None:
        if monotonic - self._complained >= _QUIET:
            self._complained = monotonic
            _log.warning(
                "too many signed changes within the replay window: some are refused",
                window_seconds=self._window,
                remedy="lower DGP_REPLAY_WINDOW_SECS",
            )

    def close(self) -> None:
        if self._table is not None:
            self._table.close()
