"""Several processes on one stage: each request to the backend waits until the director lets it go, and how.

All requests of all processes meet here, so an order of releases is an order of effects. A request may be answered, lose
its answer after or before its effect, take effect later, or be the last thing that its process does. Everything else
runs to its next request at once, in one thread, so a list of decisions determines a run.

Time passes only when a process sleeps: an effect comes at most `LIMIT` seconds after its request was sent, which is
what a backend's time limit of a request promises.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from typing_extensions import override

from deltaglider_proxy.engine import names
from deltaglider_proxy.storage.errors import StorageError, Uncertain
from deltaglider_proxy.storage.wrappers.faulty import MUTATIONS, Crashed
from deltaglider_proxy.telemetry.clock import ManualClock
from tests.support.engine.nodes import GRACE

R = TypeVar("R")

LIMIT = GRACE / 4
_ACTOR: ContextVar[str] = ContextVar("actor")


class Fate(StrEnum):
    GO = "go"
    LOST = "answer lost"
    NEVER = "request lost"
    LATE = "takes effect later"
    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"


FAULTS = (Fate.LOST, Fate.NEVER, Fate.LATE)
_DEATHS = (Fate.DIES_BEFORE, Fate.DIES_AFTER)


@dataclass(frozen=True, slots=True)
class Cost:
    """What an option takes from a budget: leaving a process that could go on, a fault, a death."""

    switches: int = 0
    faults: int = 0
    deaths: int = 0

    def within(self, budget: "Cost") -> bool:
        return self.switches <= budget.switches and self.faults <= budget.faults and self.deaths <= budget.deaths

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.switches + other.switches, self.faults + other.faults, self.deaths + other.deaths)


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that was sent, a late effect, or a sleep."""

    label: str
    process: str
    step: str
    key: str
    deadline: float
    """Monotonic; the time may not pass it before this has happened."""
    until: float | None = None
    """Of a sleep."""
    gate: "asyncio.Future[Fate] | None" = None
    effect: Callable[[], Awaitable[object]] | None = None
    """Of a late one."""


@dataclass(frozen=True, slots=True)
class Option:
    waiting: _Waiting
    fate: Fate
    cost: Cost

    @override
    def __str__(self) -> str:
        return f"{self.waiting.label}: {self.waiting.step} {self.waiting.key} - {self.fate}"


@dataclass(slots=True)
class Answer:
    """What an operation was told: a value, or the error that ended it; neither if its process died first."""

    value: object = None
    error: BaseException | None = None
    began: int = 0
    ended: int | None = None


def loud(step: str, key: str) -> bool:
    """Whether the order of such a request against others' can matter: what is not loud happens at once.

    Bytes of open generations never change, drafts are invisible, hints and facts are only hints.
    """
    if key.startswith(names.FIRSTS) or key.endswith(names.FACTS_SUFFIX):
        return False
    if step in ("append", "write"):
        return not key.startswith(names.INTERNAL)
    return step not in ("buckets", "bucket")


@dataclass
class Stage:
    """Where processes run; `choose` is given the options, the first being the one that costs nothing."""

    clock: ManualClock
    choose: Callable[[Sequence[Option]], Option]
    after_each: Callable[[], Awaitable[None]]
    loud: Callable[[str, str], bool] = loud
    can_fail: frozenset[str] = frozenset()
    """Processes whose requests may meet faults and deaths."""
    faults: tuple[Fate, ...] = FAULTS
    trace: list[str] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    _waiting: list[_Waiting] = field(default_factory=list)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _process_of: dict[str, str] = field(default_factory=dict)
    _dead: set[str] = field(default_factory=set)
    _moment: int = 0
    _last: str = ""

    def start(self, actor: str, process: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Begin an operation; its answer appears in `answers`."""

        async def run() -> None:
            _ACTOR.set(actor)
            answer = self.answers[actor] = Answer(began=self._tick())
            self._process_of[actor] = process
            try:
                await self.request(process, "begin", actor, _nothing)
                answer.began = self._tick()
                answer.value = await work()
                answer.ended = self._tick()
            except Crashed:
                return
            except Exception as error:  # noqa: BLE001 - how an operation ends is what is observed
                answer.error = error
                answer.ended = self._tick()

        self._tasks.append(asyncio.create_task(run()))

    def _tick(self) -> int:
        self._moment += 1
        return self._moment

    async def run(self) -> None:
        """Let everything happen that is to happen. Raises AssertionError if an operation hangs."""
        await self._settle()
        while options := self._options():
            option = self.choose(options)
            self.trace.append(str(option))
            self._last = option.waiting.label
            await self._perform(option)
            await self._settle()
            await self.after_each()
        alive = [actor for actor, process in self._process_of.items() if process not in self._dead]
        stuck = [actor for actor in alive if self.answers[actor].ended is None]
        assert not stuck, f"operations hang: {stuck}"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settle(self) -> None:
        """Until every task waits for a decision. The loop's own queue tells; nothing here waits for threads."""
        ready = vars(asyncio.get_running_loop())["_ready"]
        await asyncio.sleep(0)
        while ready:
            await asyncio.sleep(0)

    def _options(self) -> list[Option]:
        goes = [w for w in self._waiting if w.until is None or self._may_sleep(w)]
        actor = _actor_of(self._last)
        goes.sort(
            key=lambda w: (
                w.label != self._last,
                w.effect is not None,
                w.until is not None,
                _actor_of(w.label) != actor,
            )
        )
        found: list[Option] = []
        leaving = bool(goes) and goes[0].label == self._last and goes[0].until is None
        for index, waiting in enumerate(goes):
            cost = Cost(switches=1 if leaving and index else 0)
            found.append(Option(waiting, Fate.GO, cost))
            if waiting.gate is None or waiting.process not in self.can_fail:
                continue
            if waiting.step in MUTATIONS:
                found += [Option(waiting, fate, cost + Cost(faults=1)) for fate in self.faults]
            if waiting.step != "begin":
                found += [Option(waiting, fate, cost + Cost(deaths=1)) for fate in _DEATHS]
        return found

    def _may_sleep(self, sleeper: _Waiting) -> bool:
        assert sleeper.until is not None
        return all(w is sleeper or w.deadline >= sleeper.until for w in self._waiting)

    async def _perform(self, option: Option) -> None:
        waiting = option.waiting
        self._waiting.remove(waiting)
        if waiting.until is not None:
            self.clock.advance(max(waiting.until - self.clock.monotonic(), 0.0))
        if waiting.effect is not None:
            try:
                await waiting.effect()
            except StorageError:
                return  # nobody waits for the answer any more
        if waiting.gate is not None:
            waiting.gate.set_result(option.fate)

    async def sleep(self, seconds: float) -> None:
        """Time passes here, if no request on its way would outlive its time limit."""
        label = _ACTOR.get()
        now = self.clock.monotonic()
        await self._wait(_Waiting(label, label, "sleep", f"{seconds:.0f} s", float("inf"), now + seconds))

    async def _wait(self, waiting: _Waiting) -> Fate:
        waiting.gate = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting.gate

    async def request(self, process: str, step: str, key: str, effect: Callable[[], Awaitable[R]]) -> R:
        """Send a request: wait for its release, then do what was decided."""
        self.alive(process)
        if not self.loud(step, key):
            return await effect()
        task = asyncio.current_task()
        assert task is not None
        label = _ACTOR.get() + ("" if task.get_name().startswith("Task-") else f"/{task.get_name()}")
        mutates = step in MUTATIONS
        deadline = self.clock.monotonic() + LIMIT if mutates else float("inf")
        fate = await self._wait(_Waiting(label, process, step, key, deadline))
        self.alive(process)
        match fate:
            case Fate.GO:
                return await effect()
            case Fate.DIES_BEFORE:
                self._kill(process)
                raise Crashed
            case Fate.DIES_AFTER:
                try:
                    await effect()
                finally:
                    self._kill(process)
                raise Crashed
            case Fate.LOST:
                await effect()
            case Fate.LATE:
                late = _Waiting(f"{label} (late)", process, step, key, deadline, effect=effect)
                if key.startswith(names.INTERNAL):
                    late.deadline = float("inf")
                self._waiting.append(late)
            case Fate.NEVER:
                pass
        raise Uncertain(f"{step} of {key}: {fate}")

    def alive(self, process: str) -> None:
        """Raises Crashed in a dead process."""
        if process in self._dead:
            raise Crashed

    def _kill(self, process: str) -> None:
        self._dead.add(process)
        for waiting in list(self._waiting):
            if waiting.process == process and waiting.gate is not None:
                self._waiting.remove(waiting)
                waiting.gate.set_exception(Crashed())


def _actor_of(label: str) -> str:
    """Whose background work it is, too."""
    return label.split("/")[0]


async def _nothing() -> None:
    """The effect of a beginning."""
