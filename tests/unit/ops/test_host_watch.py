import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from deltaglider_proxy.engine.errors import Unavailable as EngineUnavailable
from deltaglider_proxy.server import host_watch
from deltaglider_proxy.server.data_plane import DataPlane
from deltaglider_proxy.server.host_watch import HostWatch
from deltaglider_proxy.storage.errors import Away, Denied, Unavailable
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool


async def fine() -> None:
    pass


async def hang() -> None:
    await asyncio.Event().wait()


def failing(error: Exception) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


@dataclass
class Plane:
    """As much of a data plane as is asked."""

    answers: dict[str, Callable[[], Awaitable[None]]]
    uploads: Callable[[], Awaitable[int]] | None = None
    asked: list[str] = field(default_factory=list)

    @property
    def settings(self) -> SimpleNamespace:
        return SimpleNamespace(storage=SimpleNamespace(backends=[SimpleNamespace(name=n) for n in self.answers]))

    @property
    def engine(self) -> SimpleNamespace:
        return SimpleNamespace(open_uploads=self.uploads)

    async def ask(self, name: str) -> None:
        self.asked.append(name)
        await self.answers[name]()


@dataclass
class Seen:
    up: dict[str, list[bool]] = field(default_factory=dict)

    def backend_answers(self, name: str, *, up: bool) -> None:
        self.up.setdefault(name, []).append(up)


def watch(plane: Plane, seen: Seen) -> HostWatch:
    return HostWatch(lambda: cast("DataPlane", plane), cast("Metrics", seen), SimpleNamespace(), Pool(1), 0)


async def rounds(watching: HostWatch, seen: Seen, count: int, name: str) -> None:
    running = asyncio.get_running_loop().create_task(watching.ask_backends())
    while len(seen.up.get(name, ())) < count:
        await asyncio.sleep(0)
    running.cancel()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_watch, "_INTERVAL", 0.0)
    monkeypatch.setattr(host_watch, "_PATIENCE", 0.01)
    monkeypatch.setattr(host_watch, "_SCRAPE_PATIENCE", 0.01)


@pytest.mark.parametrize(
    ("answer", "up"),
    [
        (fine, True),
        (failing(Denied("AccessDenied: may not list")), True),
        (failing(Denied("SignatureDoesNotMatch: wrong secret")), False),
        (failing(Away("b")), False),
        (failing(Unavailable("503")), False),
        (failing(OSError(5, "Input/output error")), False),
        (hang, False),
    ],
)
async def test_what_counts_as_up(answer: Callable[[], Awaitable[None]], up: bool) -> None:
    seen = Seen()
    plane = Plane({"b": answer, "other": fine})
    await rounds(watch(plane, seen), seen, 2, "b")
    assert seen.up["b"][:2] == [up, up]
    assert seen.up["other"][:2] == [True, True], "one backend does not hold up another"


async def test_a_backend_that_hangs_is_asked_once() -> None:
    seen, plane = Seen(), Plane({"b": hang})
    await rounds(watch(plane, seen), seen, 4, "b")
    assert plane.asked == ["b"]


async def test_open_uploads_are_as_last_known_while_nobody_answers() -> None:
    gate = asyncio.Event()
    failure: list[Exception] = []

    async def count() -> int:
        await gate.wait()
        if failure:
            raise failure[0]
        return 7

    watching = watch(Plane({}, count), Seen())
    assert await watching.uploads() == 0
    gate.set()
    assert await watching.uploads() == 7
    failure.append(EngineUnavailable("away"))
    assert await watching.uploads() == 7
