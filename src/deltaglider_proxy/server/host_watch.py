"""What health and metrics tell of the host: its cache, its backends, its open uploads.

A backend that hangs must not hang the scrape that would show it: what is not answered in time is told as it was.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from deltaglider_proxy.engine import errors as engine_errors
from deltaglider_proxy.ops.cache_monitor import CacheSample
from deltaglider_proxy.server.data_plane import DataPlane, is_up, on_present
from deltaglider_proxy.storage.errors import StorageError
from deltaglider_proxy.telemetry.exposition import HostState
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.question import Question

_INTERVAL: Final = 15.0
"""Seconds between two questions to each backend; also the usual one between two scrapes."""
_PATIENCE: Final = 5.0
_SCRAPE_PATIENCE: Final = 1.0

_log = structlog.get_logger("deltaglider_proxy.backends")


class LogCounts(Protocol):
    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def lost(self) -> int: ...


@dataclass(slots=True)
class CacheGauge:
    """The shared reference cache, as it was a moment ago."""

    max_bytes: int
    size_bytes: int = 0
    entries: int = 0


class HostWatch:
    """`plane` is the one of now."""

    def __init__(
        self, plane: Callable[[], DataPlane], metrics: Metrics, logs: LogCounts, pool: Pool, cache_bytes: int
    ) -> None:
        self._plane = plane
        self._metrics = metrics
        self._logs = logs
        self._pool = pool
        self.cache = CacheGauge(cache_bytes)
        self._uploads = 0
        self._count = Question("open uploads", self._count_uploads)
        self._questions: dict[str, Question[bool]] = {}
        self._up: dict[str, bool] = {}

    async def observe(self) -> None:
        """Until cancelled: what is asked for must be there already."""
        while True:
            cache = self._plane().engine.cache
            self.cache.size_bytes, self.cache.entries = await self._pool.run(cache.usage)
            self._sample()
            await asyncio.sleep(1)

    def _sample(self) -> None:
        self._metrics.sample(self._plane().context.slots.free)
        self._metrics.log_lines(self._logs.counts, self._logs.lost)

    async def cache_sample(self) -> CacheSample:
        hits, misses = self._metrics.cache_uses()
        return CacheSample(self.cache.size_bytes, self.cache.max_bytes, self.cache.entries, hits, misses)

    async def scrape(self) -> bytes:
        """The text of the metrics."""
        uploads = await self.uploads()
        self._sample()
        cache, backends = self.cache, tuple(self.backends)
        state = HostState(cache.size_bytes, cache.entries, cache.max_bytes, uploads, backends)
        return await self._pool.run(self._metrics.render, state)

    @property
    def backends(self) -> Sequence[str]:
        return [backend.name for backend in self._plane().settings.storage.backends]

    async def uploads(self) -> int:
        """Open multipart uploads; as last known, if that cannot be found out within a second."""
        try:
            self._uploads = await self._count.answer(_SCRAPE_PATIENCE)
        except (TimeoutError, engine_errors.EngineError):
            _log.debug("open uploads cannot be counted now")
        return self._uploads

    async def _count_uploads(self) -> int:
        return await on_present(self._plane, lambda plane: plane.engine.open_uploads())

    async def ask_backends(self) -> None:
        """Until cancelled. One worker of the host does it."""
        while True:
            await asyncio.gather(*map(self._look, self.backends))
            await asyncio.sleep(_INTERVAL)

    async def _look(self, name: str) -> None:
        question = self._questions.setdefault(name, Question(f"backend {name}", lambda: self._answers(name)))
        try:
            up = await question.answer(_PATIENCE)
        except TimeoutError:
            up = False
        except KeyError:
            return  # another configuration holds by now
        self._metrics.backend_answers(name, up=up)
        if self._up.get(name, True) != up:
            (_log.info if up else _log.warning)("a backend answers again" if up else "a backend is away", backend=name)
        self._up[name] = up

    async def _answers(self, name: str) -> bool:
        try:
            await on_present(self._plane, lambda plane: plane.ask(name))
        except (StorageError, OSError) as error:
            return is_up(error)
        return True
