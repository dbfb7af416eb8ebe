"""Ids of new rows."""

import secrets
from typing import Final

_BITS: Final = 52
"""What JSON readers hold exactly."""


class Numbers:
    """`scattered`: several nodes make rows of their own that come together later, so nobody may count."""

    def __init__(self, *, scattered: bool) -> None:
        self._scattered = scattered

    def fresh(self) -> dict[str, int]:
        """Column values; none where the database counts."""
        return {"id": 1 + secrets.randbelow((1 << _BITS) - 1)} if self._scattered else {}
