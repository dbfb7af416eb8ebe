"""What several backends are together; that each bucket keeps the storage contract is shown with all the others."""

import asyncio
from collections.abc import Mapping

import pytest

from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.storage.backends.memory import MemoryBackend
from deltaglider_proxy.storage.errors import NoSuchBucket, Unavailable
from deltaglider_proxy.storage.routing import Route, RoutedBackend
from deltaglider_proxy.storage.wrappers.faulty import Action, Call, Delay, Fail, FaultyBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from tests.support.storage.objects import get, put


def memory() -> MemoryBackend:
    return MemoryBackend(SystemClock())


async def names(backend: Backend) -> list[str]:
    return [info.name for info in await backend.buckets()]


def routed(backends: Mapping[str, Backend], **routes: Route) -> RoutedBackend:
    return RoutedBackend(backends, "near", routes, patience=0.05)


async def test_each_bucket_on_its_backend_under_its_name() -> None:
    near, far = memory(), memory()
    both = routed({"near": near, "far": far}, logs=Route("far", "logs-2026"), mine=Route("near", "theirs"))
    for name in ("logs", "mine", "plain"):
        await both.create_bucket(name)
        await put(both, "key", name.encode(), bucket=name)
    assert await names(near) == ["plain", "theirs"]
    assert await names(far) == ["logs-2026"]
    assert await get(far, "key", bucket="logs-2026") == b"logs"
    assert await names(both) == ["logs", "mine", "plain", "theirs"]
    assert (await both.bucket("logs")).name == "logs"
    assert await get(both, "key", bucket="theirs") == b"mine", "one bucket under both of its names"


async def test_what_no_route_leads_to_does_not_exist() -> None:
    near, far = memory(), memory()
    await far.create_bucket("unrouted")
    await near.create_bucket("taken")
    both = routed({"near": near, "far": far}, taken=Route("far", "elsewhere"))
    assert await names(both) == []
    for name in ("unrouted", "taken"):
        with pytest.raises(NoSuchBucket):
            await both.list(name)


async def test_a_backend_that_is_away_takes_only_its_own_buckets() -> None:
    away = Fail(Unavailable("refused"))
    script: dict[str, Action] = {"action": None}
    far = FaultyBackend(memory(), lambda _: script["action"])
    both = routed({"near": memory(), "far": far}, logs=Route("far", "logs"))
    for name in ("logs", "plain"):
        await both.create_bucket(name)
    assert await names(both) == ["logs", "plain"]
    script["action"] = away
    assert await names(both) == ["logs", "plain"], "what was there is not taken for deleted"
    await put(both, "key", bucket="plain")
    with pytest.raises(Unavailable):
        await put(both, "key", bucket="logs")
    script["action"] = None
    await put(both, "key", bucket="logs")


async def test_a_backend_that_hangs_does_not_hold_up_the_listing() -> None:
    never = asyncio.Event()

    def hang(_: Call) -> Action:
        return Delay(never)

    both = routed({"near": memory(), "far": FaultyBackend(memory(), hang)}, logs=Route("far", "logs"))
    await both.create_bucket("plain")
    assert await names(both) == ["plain"]


async def test_the_only_backend_is_not_left_out() -> None:
    one = routed({"near": FaultyBackend(memory(), lambda _: Fail(Unavailable("refused")))})
    with pytest.raises(Unavailable, match="near"):
        await one.buckets()
