"""From where who has signed in lately, known to all workers of a host until the server starts anew."""

from pathlib import Path
from typing import Final

from deltaglider_proxy.access.host_table import HostTable, Values

_LATELY: Final = 24 * 3600.0
_ROWS: Final = 4096


class KnownAddresses:
    """Names are an address together with an account; times those of the monotonic clock."""

    def __init__(self, path: Path) -> None:
        self._table = HostTable(path, _ROWS, 1)

    def knows(self, name: bytes, monotonic: float) -> bool:
        place = self._table.find(name)
        return place is not None and not _is_over(self._table.read(place), monotonic)

    def note(self, name: bytes, monotonic: float) -> None:
        """Where there is no room, a name stays unknown."""
        with self._table:
            place = self._table.find(name)
            if place is None:
                place = self._table.claim(name, lambda values: _is_over(values, monotonic))
            if place is not None:
                self._table.write(place, monotonic)

    def close(self) -> None:
        self._table.close()


def _is_over(values: Values, monotonic: float) -> bool:
    return values[0] == 0 or abs(monotonic - values[0]) >= _LATELY
