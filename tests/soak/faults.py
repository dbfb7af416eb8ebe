"""What goes wrong while clients work. Each fault has an end, after which everything must be well again.

A fault that cannot be had on a machine says why; it is then left out, and the report tells.
"""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.soak.findings import Findings, Outcome
from tests.soak.place import Kind, Place, Wrong
from tests.support.storage.services.faults import (
    SLOW_DOWN,
    Cut,
    Delay,
    LoseAnswer,
    LoseRequest,
    Request,
    Rule,
    Side,
)

_DAY = 25 * 3600.0
"""More than a day passes: what was condemned is due, and it is looked at again."""
_IN_FLIGHT = 0.5
"""Seconds after which a request that was sent has surely been taken."""


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault as it happens."""

    place: Place
    dice: random.Random
    seconds: float
    findings: Findings

    def wait(self, least: float, most: float) -> None:
        time.sleep(self.dice.uniform(least, most))

    def until(self) -> Iterator[None]:
        """Again and again until the time is over, at least once."""
        deadline = time.monotonic() + self.seconds
        yield
        while time.monotonic() < deadline:
            yield


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    strike: Callable[[Blow], None]
    lacks: Callable[[Place], str] = lambda _: ""
    """Why it cannot be had here; empty if it can."""


def _kill_server(blow: Blow) -> None:
    """All of it at once, or the server process first, whose workers must then end by themselves."""
    for _ in blow.until():
        blow.wait(0.2, 1.5)
        if blow.dice.random() < 0.6:
            blow.place.server.kill()
        else:
            assert blow.place.server.process is not None
            blow.place.server.process.kill()
            blow.place.server.process.wait()
            blow.place.server.process = None
        blow.place.wait_for_nobody()
        blow.place.start()


def _kill_workers(blow: Blow) -> None:
    for _ in blow.until():
        blow.wait(0.1, 1.2)
        if workers := blow.place.workers():
            with suppress(ProcessLookupError):
                os.kill(blow.dice.choice(workers), signal.SIGKILL)


def _terminate(blow: Blow) -> None:
    """Whoever was being served gets an answer; the end is 0."""
    for _ in blow.until():
        blow.wait(0.5, 1.5)
        process = blow.place.server.process
        assert process is not None
        told = time.monotonic()
        blow.place.stop()
        for call in list(blow.findings.calls):
            waited = call.began < told - _IN_FLIGHT and call.ended > told
            if waited and call.outcome is Outcome.UNKNOWN and not call.why.startswith("5"):
                blow.findings.add("broken off", call.what, f"under way at SIGTERM, then: {call.why}")
        blow.place.start()


def _stand_still(blow: Blow, pids: list[int]) -> None:
    _signal(pids, signal.SIGSTOP)
    try:
        blow.wait(0.5, 4)
    finally:
        _signal(pids, signal.SIGCONT)


def _stop_and_go(blow: Blow) -> None:
    for _ in blow.until():
        workers = blow.place.workers()
        _stand_still(blow, workers if blow.dice.random() < 0.4 else workers[:1])
        blow.wait(0.1, 0.5)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _needs_disk(place: Place) -> str:
    return "" if place.disk is not None else f"no disk of its own: {place.no_disk}"


def _fill_disk(blow: Blow) -> None:
    """Nearly full, full to the last block, and with room again."""
    disk = blow.place.disk
    assert disk is not None
    for _ in blow.until():
        try:
            disk.fill(blow.dice.choice((0, 1 << 20, 8 << 20)))
            for _ in range(4):
                if blow.dice.random() < 0.5:
                    disk.fill_up()
                blow.wait(0.2, 0.8)
        finally:
            disk.empty()
        blow.wait(0.2, 0.6)


def _break_disk(blow: Blow) -> None:
    """It turns read-only under the server, which is then stopped, however it ends, and its disk mended."""
    disk = blow.place.disk
    assert disk is not None
    disk.break_down()
    blow.wait(blow.seconds / 2, blow.seconds)
    if blow.place.alive:
        blow.place.server.kill()
    blow.place.wait_for_nobody()
    blow.place.server.process = None
    disk.mend()
    blow.place.start()


@contextmanager
def _limited(blow: Blow, kind: int, used: Callable[[int], int], spare: int) -> Iterator[None]:
    """A soft limit of the workers of now, so much above what each uses; those that take their place have none."""
    before: dict[int, tuple[int, int]] = {}
    try:
        for pid in blow.place.workers():
            with suppress(OSError):
                before[pid] = resource.prlimit(pid, kind)
                resource.prlimit(pid, kind, (used(pid) + spare, before[pid][1]))
        yield
    finally:
        for pid, limits in before.items():
            with suppress(OSError):
                resource.prlimit(pid, kind, limits)


def _few_files(blow: Blow) -> None:
    _limits(blow, resource.RLIMIT_NOFILE, _open_files, (0, 2, 6))


def _little_memory(blow: Blow) -> None:
    _limits(blow, resource.RLIMIT_AS, _address_space, (0, 4 << 20, 32 << 20))


def _short_files(blow: Blow) -> None:
    """No file may grow beyond some size: as a quota would, and where no disk can be had."""
    _limits(blow, resource.RLIMIT_FSIZE, lambda _: 0, (0, 10_000, 300_000))


def _limits(blow: Blow, kind: int, used: Callable[[int], int], spares: tuple[int, ...]) -> None:
    for _ in blow.until():
        with _limited(blow, kind, used, blow.dice.choice(spares)):
            blow.wait(0.5, 2)
        blow.wait(0.2, 0.5)


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def _jump_clock(blow: Blow) -> None:
    """By less than signatures may be off, and by far more; then it is right again."""
    for _ in blow.until():
        try:
            for _ in range(2):
                blow.place.clock.set(wall=blow.dice.choice((-86_400.0, -200.0, 120.0, 250.0, 7_200.0, 40_000_000.0)))
                blow.wait(0.5, 1.5)
        finally:
            blow.place.clock.set(wall=0.0)
        blow.wait(0.2, 0.5)


def _pass_time(blow: Blow) -> None:
    """More than a day within a moment: garbage is condemned, and then collected. The wall clock stays right, for the
    sake of signatures.
    """
    for _ in blow.until():
        blow.place.clock.set(passed=blow.place.clock.passed + _DAY)
        blow.wait(1.5, 3)


def _needs_service(place: Place) -> str:
    return "" if place.kind is not Kind.FILESYSTEM else "the backend is a directory"


@contextmanager
def _with_rules(blow: Blow, *rules: Rule) -> Iterator[None]:
    assert blow.place.wall is not None
    blow.place.wall.rules(rules)
    try:
        yield
    finally:
        blow.place.wall.rules(())


def _sometimes(dice: random.Random, share: float) -> Callable[[Request], bool]:
    return lambda _: dice.random() < share


def _service_gone(blow: Blow) -> None:
    for _ in blow.until():
        with _with_rules(blow, Rule(LoseRequest(), times=None)):
            blow.wait(0.5, 3)
        blow.wait(0.3, 1)


def _service_slow(blow: Blow) -> None:
    with _with_rules(
        blow,
        Rule(Delay(1.5), times=None, when=_sometimes(blow.dice, 0.2)),
        Rule(Delay(0.7, Side.ANSWER), times=None, when=_sometimes(blow.dice, 0.2)),
    ):
        time.sleep(blow.seconds)
    time.sleep(2)


def _service_lossy(blow: Blow) -> None:
    with _with_rules(
        blow,
        Rule(LoseRequest(), times=None, when=_sometimes(blow.dice, 0.05)),
        Rule(LoseAnswer(), times=None, when=_sometimes(blow.dice, 0.08)),
        Rule(SLOW_DOWN, times=None, when=_sometimes(blow.dice, 0.05)),
        Rule(Cut(Side.ANSWER, 3_000), times=None, when=_sometimes(blow.dice, 0.05)),
        Rule(Cut(Side.REQUEST, 10_000), times=None, when=_sometimes(blow.dice, 0.05)),
    ):
        time.sleep(blow.seconds)


def _stop_service(blow: Blow) -> None:
    """It takes connections and says nothing, as a host does that is overloaded."""
    pids = blow.place.service_processes()
    if not pids:
        raise Wrong("the service is not to be found")
    for _ in blow.until():
        _stand_still(blow, pids)
        blow.wait(0.2, 0.6)


FAULTS = (
    Fault("kill-server", _kill_server),
    Fault("kill-workers", _kill_workers),
    Fault("terminate", _terminate),
    Fault("stop-and-go", _stop_and_go),
    Fault("disk-full", _fill_disk, _needs_disk),
    Fault("disk-read-only", _break_disk, _needs_disk),
    Fault("few-files", _few_files),
    Fault("little-memory", _little_memory),
    Fault("short-files", _short_files),
    Fault("clock-jumps", _jump_clock),
    Fault("time-passes", _pass_time),
    Fault("service-gone", _service_gone, _needs_service),
    Fault("service-slow", _service_slow, _needs_service),
    Fault("service-lossy", _service_lossy, _needs_service),
    Fault("service-stopped", _stop_service, _needs_service),
)
