"""Checking a password takes a quarter of a second of a core, and strangers may ask for it: one at a time, few wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_MOST_WAITING: Final = 8
"""In this process. The last one has its turn after two seconds."""


class PasswordChecks:
    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._waiting = 0

    @property
    def crowded(self) -> bool:
        """Whether nobody else may wait."""
        return self._waiting >= _MOST_WAITING

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            async with self._lock:
                yield
        finally:
            self._waiting -= 1
