"""How the workers of one host tell one another that something has changed, and how one of them waits for all.

Numbers in a file that all map: one per topic that only grows, and for each worker the last that it has acted on.
Looking costs a read of memory, so it is done twenty times a second.
"""

import asyncio
import fcntl
import mmap
import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import Final

from deltaglider_proxy.telemetry import worker_slots
from deltaglider_proxy.telemetry.clock import Clock

LOOK_SECONDS: Final = 0.05
PATIENCE: Final = 5.0
"""Seconds that a change waits for the other workers."""

_SLOTS: Final = 1024
_NUMBER: Final = struct.Struct("<Q")


class Topic(IntEnum):
    ACCESS = 0
    """Users, groups, switches."""
    CONFIG = 1


class Announcements:
    def __init__(self, run_dir: Path, slot: int) -> None:
        """`slot` is this worker's."""
        self._run_dir = run_dir
        self._slot = slot
        self._fd = os.open(run_dir / "announcements", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = len(Topic) * (_SLOTS + 1) * _NUMBER.size
        if os.fstat(self._fd).st_size < size:
            os.posix_fallocate(self._fd, 0, size)
        self._map = mmap.mmap(self._fd, size)

    def current(self, topic: Topic) -> int:
        return int(_NUMBER.unpack_from(self._map, self._place(topic, None))[0])

    def announce(self, topic: Topic) -> int:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            number = self.current(topic) + 1
            _NUMBER.pack_into(self._map, self._place(topic, None), number)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        return number

    def acted(self, topic: Topic, number: int) -> None:
        """This worker lives by what was announced up to `number`."""
        _NUMBER.pack_into(self._map, self._place(topic, self._slot), number)

    async def everyone(self, topic: Topic, number: int, clock: Clock, patience: float = PATIENCE) -> list[int]:
        """Wait until all living workers have acted on it; the slots of those that have not in time."""
        deadline = clock.monotonic() + patience
        while True:
            behind = [
                slot
                for slot in worker_slots.live_slots(self._run_dir)
                if _NUMBER.unpack_from(self._map, self._place(topic, slot))[0] < number
            ]
            if not behind or clock.monotonic() >= deadline:
                return behind
            await asyncio.sleep(0.01)

    @staticmethod
    def _place(topic: Topic, slot: int | None) -> int:
        return (topic * (_SLOTS + 1) + (0 if slot is None else slot % _SLOTS + 1)) * _NUMBER.size

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)
