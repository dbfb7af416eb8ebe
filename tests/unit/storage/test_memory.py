import hashlib
from dataclasses import replace

import pytest

from deltaglider_proxy.storage.backend import Piece
from deltaglider_proxy.storage.backends.memory import DEFAULT, Etags, MemoryBackend
from deltaglider_proxy.storage.errors import ConditionFailed, Unavailable
from deltaglider_proxy.storage.steps import When
from deltaglider_proxy.telemetry.clock import ManualClock
from tests.support.storage.objects import BUCKET, get, put


async def test_md5_etags_do_not_tell_metadata_apart() -> None:
    backend = MemoryBackend(ManualClock(), etags=Etags.MD5)
    await backend.create_bucket(BUCKET)
    one = await put(backend, "key", b"same", {"a": "1"})
    two = await put(backend, "key", b"same", {"a": "2"})
    assert one.etag == two.etag == hashlib.md5(b"same").hexdigest()


async def test_last_modified_is_the_clocks() -> None:
    clock = ManualClock()
    backend = MemoryBackend(clock)
    await backend.create_bucket(BUCKET)
    clock.advance(5)
    assert (await put(backend, "key")).modified == clock.now()
    assert (await backend.bucket(BUCKET)).created == clock.now() - 5


async def test_the_hook_stands_before_and_after_each_effect() -> None:
    seen: list[tuple[str, str]] = []
    backend = MemoryBackend(ManualClock())
    await backend.create_bucket(BUCKET)
    await put(backend, "key", b"old")

    async def hook(when: When, step: str, bucket: str, key: str) -> None:
        assert bucket == BUCKET
        seen.append((when, step))
        if step == "commit":
            assert await get(watched, key) == (b"old" if when is When.BEFORE else b"new")

    watched = MemoryBackend(ManualClock())
    await watched.create_bucket(BUCKET)
    await put(watched, "key", b"old")
    writer = await watched.write(BUCKET, "key", {})
    await writer.write(b"new")
    quiet, watched.hook = watched.hook, hook
    await writer.commit()
    watched.hook = quiet
    assert [step for step in seen if step[1] == "commit"] == [("before", "commit"), ("after", "commit")]


async def test_a_hook_decides_between_check_and_effect() -> None:
    """Whatever happens before the effect is seen by its condition: there is no gap between the two."""
    backend = MemoryBackend(ManualClock())
    await backend.create_bucket(BUCKET)
    old = await put(backend, "key", b"old")

    async def hook(when: When, step: str, bucket: str, key: str) -> None:
        if (when, step) == (When.BEFORE, "replace"):
            backend.hook = quiet
            await put(backend, key, b"intruder")

    quiet, backend.hook = backend.hook, hook
    with pytest.raises(ConditionFailed):
        await backend.replace(BUCKET, "key", b"new", {}, old)
    assert await get(backend, "key") == b"intruder"


async def test_a_hook_that_raises_before_prevents() -> None:
    backend = MemoryBackend(ManualClock())
    await backend.create_bucket(BUCKET)
    await put(backend, "key", b"old")
    quiet = backend.hook

    async def hook(when: When, step: str, bucket: str, key: str) -> None:
        raise Unavailable(step)

    backend.hook = hook
    for attempt in (backend.delete(BUCKET, "key"), backend.compose(BUCKET, "key", [Piece("key", 0, 1)], {})):
        with pytest.raises(Unavailable):
            await attempt
    backend.hook = quiet
    assert await get(backend, "key") == b"old"


async def test_an_announced_size_is_kept_to() -> None:
    backend = MemoryBackend(ManualClock(), replace(DEFAULT, local=True))
    await backend.create_bucket(BUCKET)
    writer = await backend.write(BUCKET, "key", {}, size=5)
    await writer.write(b"1234")
    with pytest.raises(AssertionError, match="size"):
        await writer.commit()
