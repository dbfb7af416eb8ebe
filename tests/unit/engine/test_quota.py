"""A bucket never holds more than its quota, whoever writes at the same moment, and what is freed can be used again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from deltaglider_proxy.engine import errors, quota
from deltaglider_proxy.engine.model import Attributes, Body, BucketPolicy, CompletedPart, Kind, ObjectInfo
from deltaglider_proxy.storage.steps import When, no_hook
from tests.support.engine.bodies import MEDIUM, body, edited, noise
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place
from tests.support.storage.objects import put


def process(place: Place, limit: int, *, cold: bool = False) -> Node:
    return place.process(cold=cold, policies={BUCKET: BucketPolicy(quota_bytes=limit)})


class Untouched(AsyncIterator[bytes]):
    """A body that nobody may begin to read."""

    @override
    async def __anext__(self) -> bytes:
        raise AssertionError


async def used(node: Node) -> int:
    return (await node.engine.usage(BUCKET)).logical_bytes


async def test_up_to_the_last_byte_and_no_further(place: Place) -> None:
    await put(place.memory, "foreign", bytes(400), bucket=BUCKET)
    node = process(place, 1000)
    await node.put("a", bytes(600))
    with pytest.raises(errors.QuotaExceeded, match="1000"):
        await node.put("b", b"x")
    await node.put("empty", b"")
    assert await node.engine.delete(BUCKET, "foreign")
    await node.put("b", bytes(400))
    assert await used(node) == 1000


async def test_an_overwrite_counts_by_what_it_adds(place: Place) -> None:
    node = process(place, 1000)
    await node.put("a", bytes(1000))
    await node.put("a", bytes(1000))
    await node.put("a", bytes(300))
    await node.put("b", bytes(700))
    with pytest.raises(errors.QuotaExceeded):
        await node.put("a", bytes(301))
    assert await node.read("a") == bytes(300)


async def test_logical_bytes_count(place: Place) -> None:
    first = noise(1, MEDIUM)
    node = process(place, 2 * MEDIUM + 100)
    await node.put("a-1.bin", first)
    await node.quiet()
    assert (await node.put("a-2.bin", edited(first, 2))).kind is Kind.DELTA
    with pytest.raises(errors.QuotaExceeded):
        await node.put("a-3.bin", edited(first, 3))


async def test_frozen(place: Place) -> None:
    before = place.process(cold=False)
    await before.put("a", b"data")
    upload = await before.engine.create_upload(BUCKET, "c", Attributes(), None, None)
    node = process(place, 0)
    part = await node.engine.put_part(BUCKET, "c", upload, 1, body(b"part"))
    for attempt in (
        node.put("b", b""),
        node.put("a", b"d"),
        node.engine.copy((BUCKET, "a"), (BUCKET, "b"), None),
        node.engine.complete_upload(BUCKET, "c", upload, [CompletedPart(1, part.etag)]),
    ):
        with pytest.raises(errors.QuotaExceeded):
            await attempt
    assert await node.read("a") == b"data"
    assert await node.engine.delete(BUCKET, "a")
    assert await place.keys() == [key for key in await place.keys() if key.startswith(".deltaglider/")]


async def test_what_can_never_fit_is_refused_before_its_body(place: Place) -> None:
    node = process(place, 10)

    with pytest.raises(errors.QuotaExceeded):
        await node.engine.put(BUCKET, "a", Body(Untouched(), 11), Attributes())


async def test_copies_and_uploads_count(place: Place) -> None:
    node = process(place, 1000)
    await node.put("a", bytes(400))
    await node.engine.copy((BUCKET, "a"), (BUCKET, "b"), None)
    upload = await node.engine.create_upload(BUCKET, "c", Attributes(), None, None)
    part = await node.engine.put_part(BUCKET, "c", upload, 1, body(bytes(201)))
    with pytest.raises(errors.QuotaExceeded):
        await node.engine.complete_upload(BUCKET, "c", upload, [CompletedPart(1, part.etag)])
    assert await node.engine.delete(BUCKET, "b")
    await node.engine.complete_upload(BUCKET, "c", upload, [CompletedPart(1, part.etag)])
    assert await used(node) == 601


async def test_of_many_at_once_over_several_processes_as_many_as_fit(place: Place) -> None:
    nodes = [process(place, 1000) for _ in range(3)]

    async def attempt(number: int) -> bool:
        try:
            await nodes[number % 3].put(f"key-{number}", bytes(90))
        except errors.QuotaExceeded:
            return False
        return True

    assert sum(await asyncio.gather(*map(attempt, range(30)))) == 11
    assert await used(nodes[0]) == 990


async def test_overwrites_of_one_key_at_once_do_not_free_it_twice(place: Place) -> None:
    nodes = [process(place, 1000) for _ in range(2)]
    await nodes[0].put("a", bytes(500))
    await asyncio.gather(*(nodes[n % 2].put("a", bytes(100)) for n in range(6)))
    await nodes[1].put("b", bytes(900))
    with pytest.raises(errors.QuotaExceeded):
        await nodes[0].put("c", b"x")


async def test_what_failed_is_given_back_and_what_nobody_knows_is_not(place: Place) -> None:
    node = process(place, 1000)

    def refuse(_: ObjectInfo | None) -> None:
        raise errors.PreconditionFailed

    with pytest.raises(errors.PreconditionFailed):
        await node.put("a", bytes(1000), precondition=refuse)
    entered = asyncio.Event()

    async def hook(when: When, step: str, bucket: str, key: str) -> None:
        if (when, step, bucket, key) == (When.BEFORE, "commit", BUCKET, "a"):
            entered.set()
            await asyncio.Event().wait()

    place.memory.hook = place.backend.hook = hook
    cancelled = asyncio.ensure_future(node.put("a", bytes(1000)))
    await entered.wait()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    place.memory.hook = place.backend.hook = no_hook
    with pytest.raises(errors.QuotaExceeded):
        await node.put("b", b"x")


async def test_counted_anew_after_a_while(place: Place) -> None:
    """Others may write to the storage too; it counts when the count is old, without anybody waiting for that."""
    node = process(place, 1000)
    await node.put("a", bytes(100))
    await put(place.memory, "foreign", bytes(900), bucket=BUCKET)
    await node.put("b", bytes(100))
    place.clock.advance(301)
    await node.put("c", bytes(1))
    await node.quiet()
    with pytest.raises(errors.QuotaExceeded):
        await node.put("d", bytes(1))


async def test_counts_are_forgotten_with_the_server(place: Place) -> None:
    node = process(place, 1000)
    await node.put("a", bytes(1000))
    await place.memory.delete(BUCKET, "a")
    quota.forget(node.engine.ctx.settings.cache_dir)
    await process(place, 1000).put("b", bytes(1000))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from("abc"), st.none() | st.integers(0, 700)), min_size=1, max_size=20
    )
)
def test_any_sequence(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, int | None]]) -> None:
    """Refused exactly when the sum would be more than the limit, and more than before."""

    async def run() -> None:
        place = Place(tmp_path_factory.mktemp("quota"))
        await place.begin()
        nodes = [process(place, 1000) for _ in range(2)]
        held: dict[str, int] = {}
        for number, key, size in steps:
            node = nodes[number]
            if size is None:
                assert await node.engine.delete(BUCKET, key) is (key in held)
                held.pop(key, None)
            elif size > held.get(key, 0) and sum(held.values()) - held.get(key, 0) + size > 1000:
                with pytest.raises(errors.QuotaExceeded):
                    await node.put(key, bytes(size))
            else:
                await node.put(key, bytes(size))
                held[key] = size
        assert await used(nodes[0]) == sum(held.values()) <= 1000
        await place.close()

    asyncio.run(run())
