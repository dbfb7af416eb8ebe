"""Where a run happens: a server with a moved clock, on a disk of its own where that can be had, and perhaps in front of
a service that can be cut off.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.soak import moved_clock
from tests.soak.disk import CannotMount, Disk
from tests.soak.moved_clock import MovedClock
from tests.support.server import Server
from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import Rule
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw

DISK_BYTES = 512 << 20
RECOVERY_SECONDS = 60.0
ORPHAN_SECONDS = 20.0
_ENVIRONMENT = {
    "DGP_GC_GRACE": "1h",
    "DGP_MULTIPART_SWEEP_INTERVAL_SECS": "1",
    "DGP_MULTIPART_IDLE_TTL_HOURS": "8760",
    # Clients here sign equal requests within one second, and some are refused while the clock is off.
    "DGP_REPLAY_WINDOW_SECS": "0",
    "DGP_RATE_LIMIT_MAX_ATTEMPTS": "0",
    "DGP_RATE_LIMIT_ACCOUNT_MAX_ATTEMPTS": "0",
    "DGP_SHUTDOWN_GRACE_SECS": "15",
    "DGP_S3_READ_TIMEOUT_SECS": "10",
    "DGP_LOG_LEVEL": "deltaglider_proxy=info",
}


class Kind(StrEnum):
    """Of the backend."""

    FILESYSTEM = "filesystem"
    VERSITYGW = "versitygw"


class Wrong(Exception):
    """The server did what no server may do; the message says what."""


class Wall:
    """The fault proxy on a loop in a thread of its own, between the server and its service."""

    def __init__(self, service: Service) -> None:
        self._proxy = FaultProxy(service)
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), name="fault proxy")
        self._thread.start()
        self._up.wait()

    async def _run(self) -> None:
        async with self._proxy:
            self._up.set()
            while not self._end.is_set():
                self._proxy.passed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._end.wait(), 1)

    @property
    def endpoint(self) -> str:
        return self._proxy.endpoint

    def rules(self, rules: Sequence[Rule]) -> None:
        self._proxy.rules = list(rules)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()


@dataclass
class Place:
    server: Server
    clock: MovedClock
    kind: Kind
    disk: Disk | None
    no_disk: str
    """Why there is none."""
    wall: Wall | None = None
    service: Service | None = None
    exits: list[int] = field(default_factory=list)
    """Codes with which servers ended that nobody had killed."""

    @property
    def alive(self) -> bool:
        return self.server.process is not None and self.server.process.poll() is None

    def processes(self) -> list[int]:
        """Of this server, whoever is their parent."""
        return _named(str(self.server.config))

    def service_processes(self) -> list[int]:
        return _named(self.service.endpoint.removeprefix("http://")) if self.service is not None else []

    def workers(self) -> list[int]:
        process = self.server.process
        return [pid for pid in self.processes() if process is not None and pid != process.pid]

    def wait_for_nobody(self) -> None:
        """Raises Wrong, after killing them, if processes of a server outlive it."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        while left := self.processes():
            if time.monotonic() > deadline:
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
                raise Wrong(f"{len(left)} processes outlived their server by {ORPHAN_SECONDS} s")
            time.sleep(0.05)

    def recover(self) -> str:
        """The server is up and ready afterwards; how it got there. Raises Wrong."""
        told = "stayed up"
        if not self.alive:
            told = self._account()
            self._start()
        deadline = time.monotonic() + RECOVERY_SECONDS
        while not self._is_ready():
            if not self.alive:
                told = self._account()
                self._start()
            if time.monotonic() > deadline:
                raise Wrong(
                    f"not ready on every worker {RECOVERY_SECONDS} s after everything was well again: {self.tail()}"
                )
            time.sleep(0.1)
        return told

    def _account(self) -> str:
        """How a server ended that nobody had told to. Raises Wrong if that is not clear."""
        if self.server.process is None:
            return "started again"
        code = self.server.process.wait()
        self.server.process = None
        self.exits.append(code)
        self.wait_for_nobody()
        if code == 0:
            raise Wrong("the server ended with 0 though nobody had asked it to")
        if code > 0 and not any(line.startswith("error: ") for line in self.tail(4000).splitlines()):
            raise Wrong(f"the server ended with {code} and did not say why: {self.tail()}")
        return f"ended with {code}, started again"

    def _start(self) -> None:
        try:
            self.server.start()
        except RuntimeError as error:
            raise Wrong(str(error)) from error

    def start(self) -> None:
        if not self.alive:
            self._start()

    def stop(self) -> None:
        """In order. Raises Wrong if it does not end with 0, or leaves somebody behind."""
        if self.alive:
            try:
                code = self.server.stop()
            except subprocess.TimeoutExpired:
                self.server.kill()
                raise Wrong("the server did not end within 60 s of SIGTERM") from None
            if code != 0:
                raise Wrong(f"the server ended with {code} after SIGTERM: {self.tail()}")
        self.wait_for_nobody()

    def _is_ready(self) -> bool:
        """As several new connections see it, so that a worker that hangs is met."""
        try:
            for _ in range(4 * self.server.workers):
                with urllib.request.urlopen(f"{self.server.endpoint}/_/ready", timeout=10) as answer:
                    if answer.status != 200:
                        return False
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def tail(self, size: int = 1500) -> str:
        return self.server.log.read_text(errors="replace")[-size:]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the product, by the same clock and with the same environment."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DGP_")}
        program = [*self.server.program, *arguments, "--config", str(self.server.config)]
        return subprocess.run(
            program,
            cwd=self.server.root,
            env={**clean, **self.server.environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def _named(word: str) -> list[int]:
    """Processes that have it among their arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if word in (entry / "cmdline").read_text().split("\0") and state != "Z":
                    found.append(int(entry.name))
    return found


def _images() -> Path:
    """In memory where that can be had, so that waiting for the disk takes no time."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def opened(root: Path, kind: Kind, workers: int, *, with_disk: bool = True) -> Iterator[Place]:
    """A running server in `root`, whose disk all that it writes lies on, and which is gone afterwards."""
    with ExitStack() as stack:
        root.mkdir(parents=True, exist_ok=True)
        disk, no_disk, home = None, "it was not asked for", root / "home"
        if with_disk:
            try:
                disk = Disk(_images() / f"soak-{os.getpid()}-{root.name}.img", root / "disk", DISK_BYTES)
            except CannotMount as error:
                no_disk = str(error)
            else:
                stack.callback(disk.close)
                home = disk.path / "home"
        home.mkdir(exist_ok=True)
        # What it prints goes elsewhere, as with a journal of the system: it must tell what befell its own disk.
        (home / "server.log").symlink_to(root / "server.log")
        clock = MovedClock.create(root / "clock")
        server = Server(
            home,
            workers=workers,
            environment={**_ENVIRONMENT, "SOAK_CLOCK": str(root / "clock")},
            program=(sys.executable, str(Path(moved_clock.__file__))),
            keeps_config=True,
        )
        place = Place(server, clock, kind, disk, no_disk)
        if kind is Kind.VERSITYGW:
            place.service = stack.enter_context(versitygw(root / "service"))
            place.wall = Wall(place.service)
            stack.callback(place.wall.close)
            server.storage = "  backends:\n" + place.service.as_backend("far", place.wall.endpoint)
        stack.callback(_end, place)
        place.start()
        yield place


def _end(place: Place) -> None:
    if place.alive:
        place.server.kill()
    for pid in place.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, 9)
