"""Whether this server can serve now: a bounded look at the backend, for load balancers.

The rules are a plain generator that asks for one step at a time and is told how it went, so that every combination of
failures is a line in a table. `Readiness` carries the steps out. A backend that hangs is asked once, not again and
again: a later check waits for the question that is still open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Protocol

import structlog

from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.question import Question

RETRY_PAUSE = 0.2
"""Seconds between two attempts."""

_log = structlog.get_logger("deltaglider_proxy.ready")


class Probe(Protocol):
    async def __call__(self) -> None:
        """One round trip to the backends; raises whatever went wrong."""
        ...


class ConfigDb(StrEnum):
    READY = "ready"
    LOCKED = "locked"
    ABSENT = "absent"


class Backend(StrEnum):
    READY = "ready"
    DEGRADED = "degraded"
    """Listing fails, but the backend answers."""
    CACHED = "cached"
    """No answer now, but one within the allowed time."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    DRAINING = "draining"
    """Not asked, because this server is stopping."""


_SERVING = frozenset({Backend.READY, Backend.DEGRADED, Backend.CACHED})


@dataclass(frozen=True, slots=True)
class Report:
    backend: Backend
    config_db: ConfigDb

    @property
    def ready(self) -> bool:
        return self.backend in _SERVING and self.config_db is not ConfigDb.LOCKED


@dataclass(frozen=True, slots=True)
class ReadySettings:
    timeout: float = 3.0
    """Seconds for one question; at least 1."""
    retries: int = 2
    cache_ttl: float = 0.0
    """Seconds during which an earlier answer stands in for a missing one; 0 is never."""

    def __post_init__(self) -> None:
        if self.timeout < 1 or self.retries < 0 or self.cache_ttl < 0:
            raise ValueError(f"{self}: timeout must be at least 1 s, retries and cache_ttl not negative")


class Step(Enum):
    LIST = "list"
    PAUSE = "pause"
    HEAD = "head"


class Outcome(Enum):
    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"


def assess(settings: ReadySettings, last_good: Callable[[], float | None]) -> Generator[Step, Outcome, Backend]:
    """Yields what to do next, is sent how it went, returns the verdict. `last_good` is the age in seconds of the last
    answer, None if there never was one.
    """
    outcome = Outcome.ERROR
    for attempt in range(1 + settings.retries):
        if attempt:
            yield Step.PAUSE
        outcome = yield Step.LIST
        if outcome is Outcome.OK:
            return Backend.READY
    if settings.cache_ttl > 0:
        if (yield Step.HEAD) is Outcome.OK:
            return Backend.DEGRADED
        age = last_good()
        if age is not None and age <= settings.cache_ttl:
            return Backend.CACHED
    return Backend.TIMEOUT if outcome is Outcome.TIMEOUT else Backend.UNREACHABLE


class _AskedProbe:
    """A probe whose failures are logged once, however many wait for it."""

    def __init__(self, name: str, probe: Probe) -> None:
        self._name = name
        self._probe = probe
        self._question = Question(f"ready-{name}", self._logged)

    async def ask(self, timeout: float) -> Outcome:
        try:
            return await self._question.answer(timeout)
        except TimeoutError:
            return Outcome.TIMEOUT

    async def _logged(self) -> Outcome:
        try:
            await self._probe()
        except Exception as error:  # noqa: BLE001 - whatever a probe raises means that the backend did not answer
            _log.warning("readiness probe failed", probe=self._name, error=f"{type(error).__name__}: {error}")
            return Outcome.ERROR
        return Outcome.OK


class Readiness:
    """Answers whether to send requests here. `head` asks for a bucket that does not exist: any answer is good.

    `config_db` may wait for a busy database for up to a second: busy is not locked.
    """

    def __init__(
        self,
        list_buckets: Probe,
        head: Probe,
        clock: Clock,
        settings: ReadySettings | None = None,
        config_db: Callable[[], Awaitable[ConfigDb]] | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._list = _AskedProbe("list", list_buckets)
        self._head = _AskedProbe("head", head)
        self._clock = clock
        self._settings = settings or ReadySettings()
        self._config_db = config_db
        self._pause = pause
        self._good: float | None = None

    async def check(self, *, draining: bool = False) -> Report:
        """Takes at most `(1 + retries) * (timeout + 0.2)` seconds, one timeout more with a cache. `draining`: this
        server is stopping, so the backend does not matter.
        """
        config_db = ConfigDb.ABSENT if self._config_db is None else await self._config_db()
        if draining:
            return Report(Backend.DRAINING, config_db)
        steps = assess(self._settings, self._age)
        step = next(steps)
        while True:
            outcome = await self._take(step)
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                verdict: Backend = end.value
                return Report(verdict, config_db)

    async def _take(self, step: Step) -> Outcome:
        if step is Step.PAUSE:
            await self._pause(RETRY_PAUSE)
            return Outcome.OK
        probe = self._list if step is Step.LIST else self._head
        outcome = await probe.ask(self._settings.timeout)
        if outcome is Outcome.OK:
            self._good = self._clock.monotonic()
        return outcome

    def _age(self) -> float | None:
        return None if self._good is None else self._clock.monotonic() - self._good
