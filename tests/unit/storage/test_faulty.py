import asyncio
from collections.abc import Awaitable, Callable

import pytest

from deltaglider_proxy.storage.backend import IfMatch, Piece
from deltaglider_proxy.storage.backends.memory import MemoryBackend
from deltaglider_proxy.storage.errors import DiskFull, NoSuchKey, Unavailable, Uncertain
from deltaglider_proxy.storage.steps import When
from deltaglider_proxy.storage.wrappers.faulty import (
    Action,
    Call,
    Crash,
    Crashed,
    Delay,
    Fail,
    FaultyBackend,
    Lose,
    Postpone,
    Script,
)
from deltaglider_proxy.telemetry.clock import ManualClock
from tests.support.storage.objects import BUCKET, get, keys, put


@pytest.fixture
async def inner() -> MemoryBackend:
    made = MemoryBackend(ManualClock())
    await made.create_bucket(BUCKET)
    await put(made, "key", b"old")
    return made


def at(when: When, step: str, action: Action) -> Script:
    """One fault, at the first such moment."""
    left = [action]

    def script(call: Call) -> Action:
        return left.pop() if left and (call.when, call.step) == (when, step) else None

    return script


async def test_the_script_sees_every_moment_in_order(inner: MemoryBackend) -> None:
    calls: list[Call] = []

    def script(call: Call) -> Action:
        calls.append(call)
        return None

    faulty = FaultyBackend(inner, script)
    await put(faulty, "key", b"new")
    assert await get(faulty, "key") == b"new"
    assert [call.number for call in calls] == list(range(len(calls)))
    assert [(call.when.value, call.step) for call in calls] == [
        (when, step) for step in ("write", "append", "commit", "open", "read") for when in ("before", "after")
    ]
    assert {(call.bucket, call.key) for call in calls} == {(BUCKET, "key")}


async def test_a_failure_before_has_no_effect(inner: MemoryBackend) -> None:
    with pytest.raises(DiskFull):
        await put(FaultyBackend(inner, at(When.BEFORE, "commit", Fail(DiskFull("x")))), "key", b"new")
    assert await get(inner, "key") == b"old"


@pytest.mark.parametrize("step", ["commit", "delete", "compose", "replace"])
async def test_a_lost_answer_has_had_its_effect(inner: MemoryBackend, step: str) -> None:
    faulty = FaultyBackend(inner, at(When.AFTER, step, Lose()))
    old = await inner.head(BUCKET, "key")
    work: dict[str, Callable[[], Awaitable[object]]] = {
        "commit": lambda: put(faulty, "key", b"new"),
        "delete": lambda: faulty.delete(BUCKET, "key"),
        "compose": lambda: faulty.compose(BUCKET, "key", [Piece("key", 0, 1)], {}),
        "replace": lambda: faulty.replace(BUCKET, "key", b"new", {}, old),
    }
    with pytest.raises(Uncertain):
        await work[step]()
    if step == "delete":
        with pytest.raises(NoSuchKey):
            await inner.head(BUCKET, "key")
    else:
        assert (await inner.head(BUCKET, "key")).etag != old.etag


async def test_a_lost_answer_to_a_read_is_unavailable(inner: MemoryBackend) -> None:
    with pytest.raises(Unavailable):
        await FaultyBackend(inner, at(When.AFTER, "head", Lose())).head(BUCKET, "key")


@pytest.mark.parametrize("when", When)
async def test_a_delay_lets_others_pass(inner: MemoryBackend, when: When) -> None:
    go, reached = asyncio.Event(), asyncio.Event()

    def script(call: Call) -> Action:
        if reached.is_set() or (call.when, call.step) != (when, "commit"):
            return None
        reached.set()
        return Delay(go)

    faulty = FaultyBackend(inner, script)
    async with asyncio.TaskGroup() as group:
        group.create_task(put(faulty, "key", b"slow"))
        await reached.wait()
        await put(faulty, "key", b"fast")
        go.set()
    assert await get(inner, "key") == (b"slow" if when is When.BEFORE else b"fast")


async def test_a_postponed_write_happens_later(inner: MemoryBackend) -> None:
    go = asyncio.Event()
    faulty = FaultyBackend(inner, at(When.BEFORE, "commit", Postpone(go)))
    with pytest.raises(Uncertain):
        await put(faulty, "key", b"late")
    assert await get(inner, "key") == b"old"
    await put(faulty, "key", b"between")
    go.set()
    await faulty.settle()
    assert await get(inner, "key") == b"late"


async def test_a_postponed_change_may_fail_unheard(inner: MemoryBackend) -> None:
    go = asyncio.Event()
    faulty = FaultyBackend(inner, at(When.BEFORE, "delete", Postpone(go)))
    with pytest.raises(Uncertain):
        await faulty.delete(BUCKET, "key", IfMatch((await inner.head(BUCKET, "key")).etag))
    await put(inner, "key", b"new")
    go.set()
    await faulty.settle()
    assert await get(inner, "key") == b"new"


@pytest.mark.parametrize(("when", "expected"), [(When.BEFORE, b"old"), (When.AFTER, b"new")])
async def test_a_crash_ends_everything_but_the_storage(inner: MemoryBackend, when: When, expected: bytes) -> None:
    faulty = FaultyBackend(inner, at(when, "commit", Crash()))
    with pytest.raises(Crashed):
        await put(faulty, "key", b"new")
    with pytest.raises(Crashed):
        faulty.head_now(BUCKET, "key")
    with pytest.raises(Crashed):
        await faulty.head(BUCKET, "key")
    with pytest.raises(Crashed):
        await faulty.buckets()
    assert not isinstance(Crashed(), Exception)
    assert await get(FaultyBackend(inner), "key") == expected


async def test_what_waits_when_the_process_dies_dies_too(inner: MemoryBackend) -> None:
    go = asyncio.Event()
    faulty = FaultyBackend(inner, at(When.BEFORE, "delete", Delay(go)))

    async def doomed() -> None:
        with pytest.raises(Crashed):
            await faulty.delete(BUCKET, "key")

    async with asyncio.TaskGroup() as group:
        group.create_task(doomed())
        await asyncio.sleep(0)
        faulty.script = at(When.BEFORE, "head", Crash())
        with pytest.raises(Crashed):
            await faulty.head(BUCKET, "key")
        go.set()
    assert await keys(inner) == ["key"]


async def test_a_postponed_change_survives_the_crash(inner: MemoryBackend) -> None:
    go = asyncio.Event()
    faulty = FaultyBackend(inner, at(When.BEFORE, "delete", Postpone(go)))
    with pytest.raises(Uncertain):
        await faulty.delete(BUCKET, "key")
    faulty.script = at(When.BEFORE, "head", Crash())
    with pytest.raises(Crashed):
        await faulty.head(BUCKET, "key")
    go.set()
    await faulty.settle()
    assert await keys(inner) == []
