"""One byte that all processes of a server map: 1 once it has been told to stop, 2 when its workers are to end."""

import mmap
import os
from pathlib import Path

_NAME = "draining"


class DrainFlag:
    def __init__(self, run_dir: Path) -> None:
        descriptor = os.open(run_dir / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # A mapped hole that cannot be filled kills the process; reserving the room now is an ordinary error.
            os.posix_fallocate(descriptor, 0, 1)
            self._byte = mmap.mmap(descriptor, 1)
        finally:
            os.close(descriptor)

    @property
    def draining(self) -> bool:
        return self._byte[0] >= 1

    @property
    def ending(self) -> bool:
        return self._byte[0] == 2

    def raise_it(self) -> None:
        self._byte[0] = 1

    def end(self) -> None:
        self._byte[0] = 2

    def lower(self) -> None:
        self._byte[0] = 0
