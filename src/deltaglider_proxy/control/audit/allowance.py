"""How many records those may cause who are known to nobody: the log is bounded, and must not be washed away by them."""

from typing import Final

_BURST: Final = 300.0
_PER_SECOND: Final = 0.2


class Allowance:
    def __init__(self, monotonic: float) -> None:
        self._left = _BURST
        self._since = monotonic
        self._left_out = 0

    def takes(self, monotonic: float) -> bool:
        """Whether another record may be written."""
        self._left = min(_BURST, self._left + (monotonic - self._since) * _PER_SECOND)
        self._since = monotonic
        if self._left < 1:
            self._left_out += 1
            return False
        self._left -= 1
        return True

    def left_out(self) -> int:
        """How many were not, since this was last asked."""
        count, self._left_out = self._left_out, 0
        return count
