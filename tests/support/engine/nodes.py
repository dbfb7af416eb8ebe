"""An engine for tests: the real one, with work done in the caller's thread, so that a run repeats itself exactly."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest import mock

from typing_extensions import override

from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.context import Context, Events
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.model import Attributes, Kind, ObjectInfo, Precondition
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background
from tests.support.engine.bodies import body

P = ParamSpec("P")
R = TypeVar("R")

BUCKET = "bucket"
GRACE = 3600.0


class InlinePool(Pool):
    """Runs everything at once, in the thread that asks."""

    def __init__(self) -> None:
        self.size = 1

    @override
    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        job: Future[R] = Future()
        try:
            job.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - a future carries whatever its function raises
            job.set_exception(error)
        return job

    @override
    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    @override
    async def wait(self, job: Future[R]) -> R:
        return job.result()

    @override
    def close(self) -> None:
        """Nothing runs."""


@dataclass
class Recorder(Events):
    """Keeps what the engine reports."""

    decisions: list[tuple[Kind, int, int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @override
    def decision(self, kind: Kind, logical: int, stored: int) -> None:
        self.decisions.append((kind, logical, stored))

    @override
    def promoted(self) -> None:
        self.counts["promoted"] += 1

    @override
    def encoded(self, ratio: float, seconds: float) -> None:
        self.counts["encoded"] += 1

    @override
    def decoded(self, seconds: float) -> None:
        self.counts["decoded"] += 1

    @override
    def reference_used(self, *, hit: bool) -> None:
        self.counts["hit" if hit else "miss"] += 1

    @override
    def integrity_failed(self) -> None:
        self.counts["integrity"] += 1


@dataclass
class Node:
    """One process: an engine with caches of its own over a backend that others may share."""

    engine: Engine
    events: Recorder

    async def put(
        self,
        key: str,
        data: bytes,
        user: dict[str, str] | None = None,
        precondition: Precondition | None = None,
        tags: dict[str, str] | None = None,
        bucket: str = BUCKET,
    ) -> ObjectInfo:
        attributes = Attributes({}, user or {}, tags or {})
        return await self.engine.put(bucket, key, body(data), attributes, precondition)

    async def read(self, key: str, start: int = 0, stop: int | None = None, bucket: str = BUCKET) -> bytes:
        opened = await self.engine.open(bucket, key)
        try:
            end = opened.info.size if stop is None else stop
            return b"".join([bytes(chunk) async for chunk in opened.stream(start, end)])
        finally:
            await opened.close()

    async def quiet(self) -> None:
        """Wait for what runs behind acknowledgements."""
        await self.engine.ctx.background.drain()


def settings(directory: Path, **changes: object) -> EngineSettings:
    """With caches below `directory`; `changes` are fields of EngineSettings."""
    fixed: dict[str, object] = {"gc_grace": GRACE, "upload_idle_ttl": GRACE}
    merged = {**fixed, **changes}
    return EngineSettings(directory / "cache", directory / "spool", **merged)  # type: ignore[arg-type] # fields by name


def node(backend: Backend, clock: Clock, chosen: EngineSettings, codecs: Pool | None = None) -> Node:
    """A process over `backend`; `codecs` runs frames."""
    events = Recorder()
    pool = InlinePool()
    chosen.cache_dir.mkdir(parents=True, exist_ok=True)
    return Node(Engine(Context(backend, chosen, clock, pool, codecs or pool, events, Background())), events)


@contextmanager
def numbered_ids(of: str) -> Iterator[None]:
    """Random ids become the same ones in every run, so that a schedule can be replayed; others for another `of`."""
    counter = itertools.count()

    def next_id() -> str:
        return hashlib.blake2b(f"{of} {next(counter)}".encode(), digest_size=16).hexdigest()

    with mock.patch.object(names, "random_id", next_id):
        yield
