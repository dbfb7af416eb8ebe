"""What uploads and reads may use, and what happens at the edge of each limit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

import pytest
from typing_extensions import override

from deltaglider_proxy.engine import encoder, errors, references
from deltaglider_proxy.engine.model import (
    Attributes,
    Body,
    BucketPolicy,
    Checksum,
    CompletedPart,
    Digests,
    Kind,
)
from deltaglider_proxy.engine.spool import Spool, SpoolFile
from tests.support.engine import audit
from tests.support.engine.bodies import MEDIUM, body, edited, noise
from tests.support.engine.nodes import BUCKET, InlinePool, Node
from tests.support.engine.place import Place

P = ParamSpec("P")
R = TypeVar("R")

FIRST = noise(1, MEDIUM)
SECOND = edited(FIRST, 2)
THIRD = edited(FIRST, 3)


async def with_reference(place: Place) -> None:
    first = place.process()
    await first.put("a-1.bin", FIRST)
    await first.quiet()
    await first.put("a-2.bin", SECOND)
    await first.quiet()
    assert len(await place.references()) == 1


async def kind_of_third(place: Place, node: Node) -> Kind:
    """How a release that resembles the reference is stored; it must read back exactly in any case."""
    info = await node.put("a-3.bin", THIRD)
    assert await place.process().read("a-3.bin") == THIRD
    return info.kind


# ---- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("compression", [True, False])
async def test_an_object_may_have_the_largest_size_and_no_byte_more(
    place: Place, *, sized: bool, compression: bool
) -> None:
    await with_reference(place)
    policies = {BUCKET: BucketPolicy(compression=compression)}
    node = place.process(max_object_size=len(THIRD), policies=policies)
    await node.engine.put(BUCKET, "a-3.bin", body(THIRD, sized=sized, step=1000), Attributes())
    with pytest.raises(errors.TooLarge) as refused:
        await node.engine.put(BUCKET, "a-4.bin", body(THIRD + b"x", sized=sized, step=1000), Attributes())
    assert refused.value.limit == len(THIRD)
    with pytest.raises(errors.NoSuchKey):
        await node.engine.head(BUCKET, "a-4.bin")


async def test_a_size_that_is_announced_is_refused_before_a_byte_is_read(place: Place) -> None:
    async def untouched() -> AsyncIterator[bytes]:
        yield b""
        raise AssertionError("read to its end")

    with pytest.raises(errors.TooLarge):
        await place.process(max_object_size=10).engine.put(BUCKET, "k", Body(untouched(), 11), Attributes())


async def test_a_copy_is_bound_by_the_limit_of_today(place: Place) -> None:
    await place.process().put("k", bytes(1000))
    with pytest.raises(errors.TooLarge):
        await place.process(max_object_size=999).engine.copy((BUCKET, "k"), (BUCKET, "l"), None)


@pytest.mark.parametrize("sized", [True, False])
async def test_what_is_stored_as_it_is_may_have_a_limit_of_its_own(place: Place, *, sized: bool) -> None:
    await with_reference(place)
    node = place.process(max_passthrough_object_size=1000)
    assert (await node.engine.put(BUCKET, "a-3.bin", body(THIRD, sized=sized), Attributes())).kind is Kind.DELTA
    with pytest.raises(errors.TooLarge):
        await node.engine.put(BUCKET, "b", body(noise(7, 1001), sized=sized), Attributes())
    with pytest.raises(errors.TooLarge):
        await node.engine.put(BUCKET, "a-4.bin", body(noise(8, MEDIUM), sized=sized), Attributes())
    await node.engine.put(BUCKET, "b", body(noise(7, 1000), sized=sized), Attributes())
    assert not [key for key in await place.keys() if key in ("a-4.bin",)]


# ---- ratio -----------------------------------------------------------------------------------------------------------


async def test_a_container_of_exactly_the_ratio_has_lost(place: Place) -> None:
    await with_reference(place)
    stored = (await place.process().put("a-3.bin", THIRD)).stored_size
    ratio = stored / len(THIRD)
    assert await kind_of_third(place, place.process(max_delta_ratio=ratio)) is Kind.IDENTITY
    assert await kind_of_third(place, place.process(max_delta_ratio=ratio * 1.0001)) is Kind.DELTA


async def test_a_bucket_may_have_a_ratio_of_its_own(place: Place) -> None:
    await with_reference(place)
    strict = {BUCKET: BucketPolicy(max_delta_ratio=0.0001)}
    assert await kind_of_third(place, place.process(policies=strict)) is Kind.IDENTITY


@pytest.mark.parametrize("sized", [True, False])
async def test_what_does_not_resemble_is_stored_as_it_is(place: Place, *, sized: bool) -> None:
    await with_reference(place)
    node = place.process()
    data = noise(9, MEDIUM)
    info = await node.engine.put(BUCKET, "a-3.bin", body(data, sized=sized), Attributes())
    assert (info.kind, info.stored_size) == (Kind.IDENTITY, len(data))
    assert await node.read("a-3.bin") == data


async def test_without_compression_nothing_is_looked_at(place: Place) -> None:
    await with_reference(place)
    before = await place.keys()
    node = place.process(policies={BUCKET: BucketPolicy(compression=False)})
    place.backend.reads.clear()
    assert await kind_of_third(place, node) is Kind.IDENTITY
    await node.put("c-1.bin", FIRST)
    await node.quiet()
    assert await place.keys() == sorted([*before, "a-3.bin", "c-1.bin"])


async def test_small_objects_are_not_tried(place: Place) -> None:
    await with_reference(place)
    node = place.process()
    size = references.TOO_SMALL
    assert (await node.put("a-3.bin", FIRST[:size])).kind is Kind.IDENTITY
    assert (await node.put("a-3.bin", FIRST[: size + 1])).kind is Kind.DELTA


async def test_a_deltaspace_has_a_handful_of_references(place: Place) -> None:
    node = place.process()
    for series in range(references.MAX_REFERENCES + 2):
        data = noise(100 + series, 300 << 10)
        await node.put(f"a-{series}.1.bin", data)
        await node.quiet()
        await node.put(f"a-{series}.2.bin", edited(data, 1))
        await node.quiet()
    assert len(await place.references()) == references.MAX_REFERENCES


# ---- exact copies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4097, 5000, MEDIUM, 300 << 10])
async def test_an_exact_copy_takes_less_than_a_kilobyte(place: Place, size: int) -> None:
    node = place.process()
    data = noise(1, max(size, MEDIUM))
    await node.put("a-1.bin", data)
    await node.quiet()
    for key in ("a-2.bin", "a-3.bin"):
        info = await node.put(key, data[:size])
        await node.quiet()
        assert info.kind is Kind.DELTA
        assert info.stored_size < 1024
        assert await place.process().read(key) == data[:size]
    assert (await node.engine.head(BUCKET, "a-1.bin")).stored_size < 1024


async def test_an_exact_copy_in_many_frames_is_one_frame(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "FRAME_SIZE", 4096)
    await with_reference(place)
    await place.process().put("a-3.bin", FIRST)
    assert len((await audit.index_of(place.memory, BUCKET, "a-3.bin")).frames) == 1
    assert await place.process().read("a-3.bin", 5000, 30_000) == FIRST[5000:30_000]


# ---- spool and slots -------------------------------------------------------------------------------------------------


async def test_without_spool_room_an_object_is_stored_as_it_is(place: Place) -> None:
    await with_reference(place)
    room = 2 * len(THIRD)
    assert await kind_of_third(place, place.process(spool_bytes=room - 1)) is Kind.IDENTITY
    node = place.process(spool_bytes=room)
    assert await kind_of_third(place, node) is Kind.DELTA
    assert await kind_of_third(place, node) is Kind.DELTA, "the room was given back"


async def test_a_failed_upload_gives_its_room_back(place: Place) -> None:
    await with_reference(place)
    node = place.process(spool_bytes=2 * len(THIRD))

    async def broken() -> AsyncIterator[bytes]:
        yield THIRD[:20_000]
        raise ConnectionResetError

    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            await node.engine.put(BUCKET, "a-3.bin", Body(broken(), len(THIRD)), Attributes())
    assert await kind_of_third(place, node) is Kind.DELTA


async def test_without_a_slot_in_time_an_object_is_stored_as_it_is(place: Place) -> None:
    await with_reference(place)
    node = place.process(codec_slots=1, codec_wait=0.01)
    async with node.engine.ctx.slots.hold():
        assert (await node.put("a-3.bin", THIRD)).kind is Kind.IDENTITY
    assert await kind_of_third(place, node) is Kind.DELTA


async def test_frames_of_one_upload_take_a_slot_in_turn(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many arrive at once and however few slots there are."""
    monkeypatch.setattr(encoder, "FRAME_SIZE", 4096)
    await with_reference(place)
    node = place.process(codec_slots=1, codec_wait=5.0)
    info = await node.engine.put(BUCKET, "a-3.bin", body(THIRD, step=len(THIRD)), Attributes())
    assert info.kind is Kind.DELTA
    assert await node.read("a-3.bin") == THIRD


class Stuck(InlinePool):
    """A codec that never ends."""

    @override
    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        await asyncio.Event().wait()
        raise AssertionError

    @override
    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        raise AssertionError("frames are run, not submitted")


async def test_a_frame_that_takes_too_long_costs_the_delta(place: Place) -> None:
    await with_reference(place)
    node = place.process(codecs=Stuck(), codec_timeout=0.01)
    assert await kind_of_third(place, node) is Kind.IDENTITY
    assert node.engine.ctx.slots.free == node.engine.ctx.settings.codec_slots


async def test_a_read_that_takes_too_long_is_busy(place: Place) -> None:
    await with_reference(place)
    node = place.process(codecs=Stuck(), codec_timeout=0.01)
    with pytest.raises(errors.Busy):
        await node.read("a-2.bin")
    assert node.engine.ctx.slots.free == node.engine.ctx.settings.codec_slots


# ---- decoded bytes ---------------------------------------------------------------------------------------------------

FRAME = 8 << 10


@pytest.fixture
async def framed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """`a-3.bin` in frames of 8 KiB."""
    monkeypatch.setattr(encoder, "FRAME_SIZE", FRAME)
    await with_reference(place)
    await place.process().put("a-3.bin", THIRD)
    return place


def count_files(monkeypatch: pytest.MonkeyPatch) -> list[SpoolFile]:
    made: list[SpoolFile] = []
    file = Spool.file

    def counted(self: Spool) -> SpoolFile:
        made.append(file(self))
        return made[-1]

    monkeypatch.setattr(Spool, "file", counted)
    return made


@pytest.mark.parametrize(("budget", "spills"), [(0, True), (1 << 20, False)])
async def test_frames_that_memory_has_no_room_for_wait_in_the_spool(
    framed: Place, monkeypatch: pytest.MonkeyPatch, budget: int, *, spills: bool
) -> None:
    node = framed.process(decoded_bytes=budget)
    files = count_files(monkeypatch)
    assert await node.read("a-3.bin") == THIRD
    assert bool(files) == spills
    assert all(file._descriptor < 0 for file in files), "closed again"
    assert node.engine.ctx.decoded.reserve(budget), "all of the room was given back"


@pytest.mark.parametrize("budget", [0, FRAME, 1 << 20])
@pytest.mark.parametrize("taken", [0, 1, 2, 5])
async def test_a_reader_that_breaks_off_gives_everything_back(
    framed: Place, monkeypatch: pytest.MonkeyPatch, budget: int, taken: int
) -> None:
    node = framed.process(decoded_bytes=budget)
    files = count_files(monkeypatch)
    opened = await node.engine.open(BUCKET, "a-3.bin")
    stream = opened.stream(0, opened.info.size)
    for _ in range(taken):
        await anext(stream)
    assert isinstance(stream, AsyncIterator)
    await stream.aclose()  # type: ignore[attr-defined] # it is a generator
    await opened.close()
    assert node.engine.ctx.decoded.reserve(budget)
    assert node.engine.ctx.slots.free == node.engine.ctx.settings.codec_slots
    assert all(file._descriptor < 0 for file in files)


# ---- nothing becomes visible before it is verified -------------------------------------------------------------------


class Refused(Exception):
    pass


def refuse(digests: Digests, size: int) -> Checksum | None:
    raise Refused


@pytest.mark.parametrize("key", ["a-3.bin", "b"])
async def test_an_upload_that_fails_its_check_leaves_nothing(place: Place, key: str) -> None:
    await with_reference(place)
    node = place.process()
    before = await place.keys()
    with pytest.raises(Refused):
        await node.engine.put(BUCKET, key, body(THIRD, verify=refuse), Attributes({}, {"m": "x" * 3000}, {"t": "1"}))
    await node.quiet()
    assert await place.keys() == before


# ---- multipart -------------------------------------------------------------------------------------------------------


async def test_only_so_many_uploads_may_be_open(place: Place) -> None:
    node = place.process(max_uploads=2)
    first = await node.engine.create_upload(BUCKET, "a", Attributes(), None, None)
    await node.engine.create_upload(BUCKET, "b", Attributes(), None, None)
    with pytest.raises(errors.TooManyUploads):
        await node.engine.create_upload(BUCKET, "c", Attributes(), None, None)
    await node.engine.abort_upload(BUCKET, "a", first)
    await node.engine.create_upload(BUCKET, "c", Attributes(), None, None)


async def test_every_part_but_the_last_has_a_least_size(place: Place) -> None:
    node = place.process()
    upload = await node.engine.create_upload(BUCKET, "k", Attributes(), None, None)
    least = 5 << 20
    parts = [
        await node.engine.put_part(BUCKET, "k", upload, number, body(bytes(size), step=1 << 20))
        for number, size in ((1, least), (2, least - 1), (3, 1))
    ]
    named = [CompletedPart(part.number, part.etag) for part in parts]
    with pytest.raises(errors.PartTooSmall) as refused:
        await node.engine.complete_upload(BUCKET, "k", upload, named)
    assert (refused.value.number, refused.value.size) == (2, least - 1)
    info = await node.engine.complete_upload(BUCKET, "k", upload, [named[0], named[2]])
    assert info.part_sizes == (least, 1)


async def test_parts_together_are_bound_like_an_object(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltaglider_proxy.engine.multipart.MIN_PART", 1)
    node = place.process(max_object_size=1000)
    upload = await node.engine.create_upload(BUCKET, "k", Attributes(), None, None)
    one = await node.engine.put_part(BUCKET, "k", upload, 1, body(bytes(600)))
    two = await node.engine.put_part(BUCKET, "k", upload, 2, body(bytes(401)))
    named = [CompletedPart(1, one.etag), CompletedPart(2, two.etag)]
    with pytest.raises(errors.TooLarge):
        await node.engine.complete_upload(BUCKET, "k", upload, named)
    two = await node.engine.put_part(BUCKET, "k", upload, 2, body(bytes(400)))
    info = await node.engine.complete_upload(BUCKET, "k", upload, [named[0], CompletedPart(2, two.etag)])
    assert info.size == 1000
