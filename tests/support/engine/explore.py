"""Every order of a few processes, up to a number of switches between them, faults and deaths.

A run is its list of decisions; exploring repeats the scenario from its start with one decision changed, breadth first
in the number of changes, so the first counterexample is a plain one. Most bugs of this kind need one or two switches.
"""

import copy
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from deltaglider_proxy.storage.backend import ANY_SIZE
from deltaglider_proxy.storage.backends.memory import DEFAULT, Etags, MemoryBackend
from deltaglider_proxy.storage.errors import NoSuchBucket
from deltaglider_proxy.telemetry.clock import ManualClock
from tests.support.engine import audit, history, stage
from tests.support.engine.audit import Violation
from tests.support.engine.history import Entry, Operation, State, Value
from tests.support.engine.nodes import BUCKET, GRACE, Node, node, numbered_ids, settings
from tests.support.engine.stage import Cost, Fate, Option, Stage
from tests.support.engine.staged_backend import StagedBackend

_FAULTY = 0.1
"""The share of random decisions that may be a fault; more, and most runs end before they get anywhere."""

_SHM = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Storage:
    """What the backend can do."""

    etags: Etags = Etags.UNIQUE
    listing_has_metadata: bool = True
    late_metadata: bool = True

    def make(self, clock: ManualClock) -> MemoryBackend:
        capabilities = replace(
            DEFAULT, listing_has_metadata=self.listing_has_metadata, late_metadata=ANY_SIZE if self.late_metadata else 0
        )
        return MemoryBackend(clock, capabilities, self.etags)


STORAGES = tuple(
    Storage(etags, listing, late) for etags in Etags for listing in (True, False) for late in (True, False)
)


@dataclass(slots=True)
class Play:
    """One run of a scenario, as its actors see it."""

    stage: Stage
    memory: MemoryBackend
    nodes: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Actor:
    """One operation of one process. Actors with the same `process` share an engine."""

    operation: Operation
    work: Callable[[Node, Stage], Awaitable[object]]
    process: str = ""


Prepare = Callable[[Node, ManualClock], Awaitable[None]]
Wrap = Callable[[StagedBackend], StagedBackend]


@dataclass(frozen=True, slots=True)
class Scenario:
    prepare: Prepare
    actors: Mapping[str, Actor]
    storage: Storage = Storage()
    settings: Mapping[str, object] = field(default_factory=dict)
    can_fail: frozenset[str] = frozenset()
    wrap: Wrap = lambda backend: backend
    """Between the engines and their requests: how a mutant of the storage is put in."""
    page: int = 1000
    """Entries of a page when a whole bucket is listed: at 1, a scan sees one key at a time."""
    loud: Callable[[str, str], bool] = stage.loud
    """Which requests the director decides about."""
    faults: tuple[Fate, ...] = stage.FAULTS
    at_end: Callable[[MemoryBackend], Awaitable[None]] | None = None
    """What must hold beyond that an order of the operations explains what there is; raises AssertionError."""


class Counterexample(AssertionError):
    """A schedule that breaks a rule, and what broke."""

    def __init__(self, trace: Sequence[str], reason: str) -> None:
        super().__init__("\n".join([reason, *trace]))
        self.trace = trace
        self.reason = reason


@dataclass(slots=True)
class _Script:
    """Decisions by number, then the first option; remembers what else there was."""

    prefix: tuple[int, ...]
    seen: list[tuple[Cost, ...]] = field(default_factory=list)
    made: list[int] = field(default_factory=list)

    def __call__(self, options: Sequence[Option]) -> Option:
        at = len(self.made)
        chosen = self.prefix[at] if at < len(self.prefix) else 0
        self.made.append(chosen)
        self.seen.append(tuple(o.cost for o in options))
        return options[chosen]


@dataclass(slots=True)
class _Chance:
    """Any option that the budget still allows."""

    choice: random.Random
    budget: Cost
    spent: Cost = field(default_factory=Cost)

    def __call__(self, options: Sequence[Option]) -> Option:
        allowed = [o for o in options if (self.spent + o.cost).within(self.budget)]
        if self.choice.random() > _FAULTY:
            allowed = [o for o in allowed if o.fate is Fate.GO]
        chosen = self.choice.choice(allowed)
        self.spent += chosen.cost
        return chosen


@dataclass(slots=True)
class Picks:
    """Decisions by number, where the budget allows them; else, and at the end of the list, the first option."""

    numbers: Sequence[int]
    budget: Cost
    spent: Cost = field(default_factory=Cost)
    made: int = 0

    def __call__(self, options: Sequence[Option]) -> Option:
        number = self.numbers[self.made] if self.made < len(self.numbers) else 0
        self.made += 1
        chosen = options[number] if number < len(options) else options[0]
        if not (self.spent + chosen.cost).within(self.budget):
            chosen = options[0]
        self.spent += chosen.cost
        return chosen


@dataclass(slots=True)
class Explorer:
    """Runs one scenario many times, each from the same start."""

    scenario: Scenario
    runs: int = 0
    _start: tuple[MemoryBackend, ManualClock] | None = None
    _before: State = None

    async def explore(self, budget: Cost, most: int) -> bool:
        """Try what the budget allows, at most that many runs; whether that was all. Raises Counterexample."""
        queue: list[tuple[int, ...]] = [()]
        for number, prefix in enumerate(queue):
            if number == most:
                return False
            script = _Script(prefix)
            await self.run(script)
            spent = Cost()
            for at, (costs, made) in enumerate(zip(script.seen, script.made, strict=True)):
                if at >= len(prefix):
                    start = tuple(script.made[:at])
                    queue += [(*start, n) for n in range(1, len(costs)) if (spent + costs[n]).within(budget)]
                spent += costs[made]
        return True

    async def sample(self, runs: int, seed: int, budget: Cost) -> None:
        """Runs that choose at random among what the budget still allows. Raises Counterexample."""
        for number in range(runs):
            await self.run(_Chance(random.Random(f"{seed}/{number}"), budget))

    async def run(self, choose: Callable[[Sequence[Option]], Option]) -> None:
        """One run. Raises Counterexample."""
        self.runs += 1
        directory = Path(tempfile.mkdtemp(dir=_SHM if _SHM.is_dir() else None))
        try:
            with numbered_ids("before"):
                memory, clock = await self._begin(directory)
            with numbered_ids("now"):
                await self._play(memory, clock, choose, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    async def _begin(self, directory: Path) -> tuple[MemoryBackend, ManualClock]:
        if self._start is None:
            clock = ManualClock()
            memory = self.scenario.storage.make(clock)
            await memory.create_bucket(BUCKET)
            first = node(memory, clock, settings(directory / "first", **self.scenario.settings))
            await self.scenario.prepare(first, clock)
            await first.engine.close()
            await audit.nothing_dangles(memory)
            self._start = memory, clock
            self._before = await observe(memory, clock, directory / "before")
        return copy.deepcopy(self._start)

    async def _play(
        self,
        memory: MemoryBackend,
        clock: ManualClock,
        choose: Callable[[Sequence[Option]], Option],
        directory: Path,
    ) -> None:
        scenario = self.scenario
        check = partial(audit.nothing_dangles, memory)
        director = Stage(clock, choose, check, scenario.loud, scenario.can_fail, scenario.faults)
        nodes: dict[str, Node] = {}
        for name, actor in scenario.actors.items():
            process = actor.process or name
            if process not in nodes:
                backend = scenario.wrap(StagedBackend(memory, director, process, scenario.page))
                nodes[process] = node(backend, clock, settings(directory / process, **scenario.settings))
            self._enter(director, name, process, actor.work, nodes[process])
        try:
            await director.run()
            for each in nodes.values():
                await each.engine.close()
            after = await observe(memory, clock, directory / "after")
            await audit.references_fit(memory)
            if scenario.at_end is not None:
                await scenario.at_end(memory)
        except AssertionError as error:
            raise Counterexample(director.trace, str(error)) from error
        entries = [Entry(actor.operation, director.answers[name]) for name, actor in scenario.actors.items()]
        if not history.explains(entries, self._before, after):
            told = [
                f"{name}: {_told(director.answers[name].value, director.answers[name].error)}"
                for name in scenario.actors
            ]
            raise Counterexample(director.trace, f"no order explains {told} and {after} after {self._before}")

    @staticmethod
    def _enter(
        stage: Stage, name: str, process: str, work: Callable[[Node, Stage], Awaitable[object]], on: Node
    ) -> None:
        async def run() -> object:
            return await work(on, stage)

        stage.start(name, process, run)


def _told(value: object, error: BaseException | None) -> str:
    return repr(error) if error is not None else str(value)[:60]


async def observe(memory: MemoryBackend, clock: ManualClock, directory: Path) -> State:
    """What a client sees that reads everything. Raises Violation if lengths differ."""
    reader = node(memory, clock, settings(directory))
    try:
        listed = await reader.engine.list(BUCKET)
    except Exception as error:
        if isinstance(error.__cause__, NoSuchBucket):
            return None
        raise
    found = {}
    for entry in listed.entries:
        assert not isinstance(entry, str)
        info = await reader.engine.head(BUCKET, entry.key)
        data = await reader.read(entry.key)
        if len(data) != info.size:
            raise Violation(f"{entry.key}: {len(data)} bytes read, {info.size} told")
        found[entry.key] = Value(data, tuple(sorted(info.user_metadata.items())))
    await reader.engine.close()
    return found


async def look_twice(on: Node, stage: Stage) -> None:
    """Two collections with the grace between them: what nobody needs is gone after them."""
    await on.engine.collector.collect(BUCKET)
    await stage.sleep(GRACE)
    await on.engine.collector.collect(BUCKET)
