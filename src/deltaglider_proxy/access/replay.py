"""Remembers the signatures of recent changes, so that one captured or repeated request does not act twice.

In memory and per process: it catches immediate duplicates. The window counts from the first sight of a signature and
is the same for all, so entries expire in the order of their arrival and cleaning needs no scan.
"""

from collections import OrderedDict


class ReplayWindow:
    """`window` in seconds (0 turns it off); at most `capacity` signatures, the oldest are forgotten first."""

    def __init__(self, window: float, capacity: int = 500_000) -> None:
        self._window = window
        self._capacity = capacity
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def is_first(self, signature: bytes, monotonic: float) -> bool:
        """Remember a verified signature; False if it was seen within the window before `monotonic`."""
        if self._window <= 0:
            return True
        seen = self._seen
        horizon = monotonic - self._window
        while seen and next(iter(seen.values())) <= horizon:
            seen.popitem(last=False)
        if signature in seen:
            return False
        if len(seen) >= self._capacity:
            seen.popitem(last=False)
        seen[signature] = monotonic
        return True

    def __len__(self) -> int:
        return len(self._seen)
