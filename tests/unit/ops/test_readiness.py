import asyncio
import itertools
from collections.abc import Callable, Sequence

import pytest

from deltaglider_proxy.ops.readiness import (
    RETRY_PAUSE,
    Backend,
    ConfigDb,
    Outcome,
    Readiness,
    ReadySettings,
    Report,
    Step,
    assess,
)
from deltaglider_proxy.telemetry.clock import ManualClock

OK, ERROR, TIMEOUT = Outcome


def run(
    settings: ReadySettings, lists: Sequence[Outcome], head: Outcome, age: float | None
) -> tuple[Backend, list[Step]]:
    """The verdict, and the steps that were taken."""
    steps = assess(settings, lambda: age)
    answers = iter(lists)
    taken = [next(steps)]
    while True:
        answer = {Step.LIST: lambda: next(answers), Step.HEAD: lambda: head, Step.PAUSE: lambda: OK}[taken[-1]]()
        try:
            taken.append(steps.send(answer))
        except StopIteration as end:
            verdict: Backend = end.value
            return verdict, taken


@pytest.mark.parametrize("retries", [0, 1, 2, 4])
@pytest.mark.parametrize("failure", [ERROR, TIMEOUT])
def test_success_at_any_attempt_is_ready_and_ends_the_attempts(retries: int, failure: Outcome) -> None:
    for good in range(retries + 1):
        verdict, taken = run(ReadySettings(retries=retries), [failure] * good + [OK], ERROR, None)
        assert verdict is Backend.READY
        assert taken == [Step.LIST, *[Step.PAUSE, Step.LIST] * good]


@pytest.mark.parametrize("failures", list(itertools.product([ERROR, TIMEOUT], repeat=3)))
@pytest.mark.parametrize("age", [None, 0.0])
def test_without_a_cache_the_last_failure_decides(failures: tuple[Outcome, ...], age: float | None) -> None:
    verdict, taken = run(ReadySettings(retries=2), failures, OK, age)
    assert verdict is (Backend.TIMEOUT if failures[-1] is TIMEOUT else Backend.UNREACHABLE)
    assert taken.count(Step.LIST) == 3
    assert Step.HEAD not in taken


@pytest.mark.parametrize("last", [ERROR, TIMEOUT])
@pytest.mark.parametrize(
    ("head", "age", "verdict"),
    [
        (OK, None, Backend.DEGRADED),
        (OK, 31.0, Backend.DEGRADED),
        (ERROR, 0.0, Backend.CACHED),
        (ERROR, 30.0, Backend.CACHED),
        (TIMEOUT, 30.0, Backend.CACHED),
        (ERROR, 30.001, None),
        (TIMEOUT, 31.0, None),
        (ERROR, None, None),
    ],
)
def test_with_a_cache(last: Outcome, head: Outcome, age: float | None, verdict: Backend | None) -> None:
    found, taken = run(ReadySettings(retries=0, cache_ttl=30), [last], head, age)
    assert found is (verdict or (Backend.TIMEOUT if last is TIMEOUT else Backend.UNREACHABLE))
    assert taken == [Step.LIST, Step.HEAD]


@pytest.mark.parametrize("backend", list(Backend))
@pytest.mark.parametrize("config_db", list(ConfigDb))
def test_what_is_ready(backend: Backend, config_db: ConfigDb) -> None:
    serving = backend in (Backend.READY, Backend.DEGRADED, Backend.CACHED)
    assert Report(backend, config_db).ready is (serving and config_db is not ConfigDb.LOCKED)


@pytest.mark.parametrize("bad", [{"timeout": 0.5}, {"retries": -1}, {"cache_ttl": -1}])
def test_settings_that_make_no_sense_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 s"):
        ReadySettings(**bad)


class FakeBackend:
    """Lists and heads succeed, fail or hang as told."""

    def __init__(self) -> None:
        self.list_outcome: Callable[[], None] = lambda: None
        self.head_outcome: Callable[[], None] = lambda: None
        self.hang = asyncio.Event()
        self.hang.set()
        self.lists = 0

    async def list_buckets(self) -> None:
        self.lists += 1
        await self.hang.wait()
        self.list_outcome()

    async def head(self) -> None:
        self.head_outcome()


def refuse() -> None:
    raise ConnectionError("no")


async def no_pause(_seconds: float) -> None:
    pass


def readiness(backend: FakeBackend, clock: ManualClock, settings: ReadySettings) -> Readiness:
    return Readiness(backend.list_buckets, backend.head, clock, settings, pause=no_pause)


async def test_a_good_backend() -> None:
    found = await readiness(FakeBackend(), ManualClock(), ReadySettings()).check()
    assert found == Report(Backend.READY, ConfigDb.ABSENT)


async def test_a_refusing_backend_is_asked_again_with_pauses() -> None:
    backend, pauses = FakeBackend(), []
    backend.list_outcome = refuse

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    checked = Readiness(backend.list_buckets, backend.head, ManualClock(), ReadySettings(retries=2), pause=pause)
    assert (await checked.check()).backend is Backend.UNREACHABLE
    assert backend.lists == 3
    assert pauses == [RETRY_PAUSE, RETRY_PAUSE]


async def test_cached_decays_and_is_not_renewed_by_itself() -> None:
    backend, clock = FakeBackend(), ManualClock()
    checked = readiness(backend, clock, ReadySettings(retries=0, cache_ttl=30))
    assert (await checked.check()).backend is Backend.READY
    backend.list_outcome = backend.head_outcome = refuse
    verdicts = []
    for _ in range(4):
        clock.advance(10)
        verdicts.append((await checked.check()).backend)
    assert verdicts == [Backend.CACHED, Backend.CACHED, Backend.CACHED, Backend.UNREACHABLE]


async def test_an_answer_to_head_renews_it() -> None:
    backend, clock = FakeBackend(), ManualClock()
    checked = readiness(backend, clock, ReadySettings(retries=0, cache_ttl=30))
    backend.list_outcome = refuse
    assert (await checked.check()).backend is Backend.DEGRADED
    backend.head_outcome = refuse
    clock.advance(30)
    assert (await checked.check()).backend is Backend.CACHED
    clock.advance(0.1)
    assert (await checked.check()).backend is Backend.UNREACHABLE


async def test_a_hanging_backend_times_out_and_is_not_asked_twice_at_once() -> None:
    backend = FakeBackend()
    backend.hang.clear()
    settings = ReadySettings(timeout=1, retries=1)
    object.__setattr__(settings, "timeout", 0.01)
    checked = readiness(backend, ManualClock(), settings)
    reports = await asyncio.gather(*(checked.check() for _ in range(5)))
    assert {report.backend for report in reports} == {Backend.TIMEOUT}
    assert backend.lists == 1
    backend.hang.set()
    assert (await checked.check()).backend is Backend.READY


async def test_a_caller_that_goes_away_does_not_take_the_answer_from_the_others() -> None:
    backend = FakeBackend()
    backend.hang.clear()
    checked = readiness(backend, ManualClock(), ReadySettings())
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(checked.check())
        waiting = group.create_task(checked.check())
        while not backend.lists:
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        backend.hang.set()
    assert waiting.result().backend is Backend.READY
    assert backend.lists == 1


@pytest.mark.parametrize(
    ("state", "ready"), [(ConfigDb.READY, True), (ConfigDb.ABSENT, True), (ConfigDb.LOCKED, False)]
)
async def test_the_state_of_the_database_is_asked_and_reported(state: ConfigDb, ready: bool) -> None:
    async def config_db() -> ConfigDb:
        return state

    backend = FakeBackend()
    report = await Readiness(backend.list_buckets, backend.head, ManualClock(), config_db=config_db).check()
    assert report == Report(Backend.READY, state)
    assert report.ready is ready


@pytest.mark.parametrize("state", list(ConfigDb))
async def test_a_draining_server_asks_no_backend_and_still_tells_of_its_database(state: ConfigDb) -> None:
    backend = FakeBackend()

    async def config_db() -> ConfigDb:
        return state

    found = await Readiness(backend.list_buckets, backend.head, ManualClock(), config_db=config_db).check(draining=True)
    assert (found.backend, found.config_db, found.ready, backend.lists) == (Backend.DRAINING, state, False, 0)
