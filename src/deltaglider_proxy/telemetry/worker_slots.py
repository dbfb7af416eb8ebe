"""The directory through which the worker processes of one server see one another's numbers.

Each worker claims a numbered slot by locking a file and writes only files of its slot. The kernel drops the lock when
a worker dies, however it dies, so its successor takes the slot over and counts on from the values found there: sums
over workers never fall, and there are never more slots than workers that were alive at once.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deltaglider_proxy.telemetry.host_lock import try_lock


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What all workers of one server share."""

    pid: int
    started: float
    """Seconds since the epoch."""


class Slot:
    """One worker's place in the directory; held until `release` or the end of the process."""

    def __init__(self, directory: Path, number: int, descriptor: int) -> None:
        self.directory = directory
        self.number = number
        self._descriptor = descriptor

    def path(self, suffix: str) -> Path:
        return slot_path(self.directory, self.number, suffix)

    def release(self) -> None:
        os.close(self._descriptor)


def slot_path(directory: Path, number: int, suffix: str) -> Path:
    return directory / f"worker-{number}.{suffix}"


def prepare(directory: Path, started: float) -> None:
    """Empty the directory for a new server; call once, in the server process, before any worker starts.

    A directory in memory (`/dev/shm`) is best: counting then never waits for a disk. `started` is the server's start
    in seconds since the epoch.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_over in directory.glob("worker-*"):
        left_over.unlink()
    (directory / "server.json").write_text(json.dumps({"pid": os.getpid(), "started": started}), "ascii")


def server_facts(directory: Path) -> ServerFacts:
    """Raises FileNotFoundError if the directory was not prepared."""
    facts = json.loads((directory / "server.json").read_text("ascii"))
    return ServerFacts(int(facts["pid"]), float(facts["started"]))


def claim(directory: Path) -> Slot:
    """Take the first slot that no living worker holds. Call in the worker itself: a lock is inherited by a fork."""
    with _exclusive(directory):
        number = 0
        while True:
            descriptor = os.open(slot_path(directory, number, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if try_lock(descriptor):
                os.truncate(descriptor, 0)
                os.write(descriptor, b"%d" % os.getpid())
                return Slot(directory, number, descriptor)
            os.close(descriptor)
            number += 1


def all_slots(directory: Path) -> list[int]:
    """Numbers of all slots that were ever claimed."""
    return sorted(int(path.stem.partition("-")[2]) for path in directory.glob("worker-*.lock"))


def live_slots(directory: Path) -> dict[int, int]:
    """Process id by slot number, for the slots whose worker lives."""
    found: dict[int, int] = {}
    with _exclusive(directory):
        for number in all_slots(directory):
            descriptor = os.open(slot_path(directory, number, "lock"), os.O_RDWR | os.O_CLOEXEC)
            try:
                if not try_lock(descriptor):
                    found[number] = int(os.read(descriptor, 32))
            finally:
                os.close(descriptor)
    return found


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Keeps a look at the locks from making a free slot seem taken to a worker that claims one."""
    descriptor = os.open(directory / "slots.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
