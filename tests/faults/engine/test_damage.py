"""Bytes that are not what was written: found before any wrong one is handed on, and read again before giving up."""

import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltaglider_proxy.codecs.container import Frame
from deltaglider_proxy.engine import encoder, errors, names
from deltaglider_proxy.engine.model import Kind
from tests.support.engine import audit
from tests.support.engine.bodies import MEDIUM, edited, noise
from tests.support.engine.damage import flip
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place

FIRST = noise(1, MEDIUM)
SECOND = edited(FIRST, 2)
CONTENT = {"a-1.bin": FIRST, "a-2.bin": SECOND}
"""The first becomes an empty container on the reference that was made of it, the second a delta."""

each_container = pytest.mark.parametrize("key", CONTENT)


class Filled(Place):
    """Storage with both containers."""

    def __init__(self, directory: Path, *, local: bool = False) -> None:
        super().__init__(directory, local=local)
        self.reference = ""

    async def fill(self) -> None:
        await self.begin()
        first = self.process()
        for key, data in CONTENT.items():
            await first.put(key, data)
            await first.quiet()
        (self.reference,) = await self.references()
        for key in CONTENT:
            assert (await first.engine.head(BUCKET, key)).kind is Kind.DELTA

    def kept(self) -> Path:
        """The file that holds the pieces of the reference for the latest cold process."""
        (data,) = self.directory.glob("cache/refs/*/data")
        return data


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Filled]:
    made = Filled(tmp_path)
    await made.fill()
    yield made
    await made.close()


async def received(on: Node, key: str) -> tuple[bytes, bool]:
    """What a client gets of the object, and whether that was announced as all of it."""
    got = bytearray()
    try:
        opened = await on.engine.open(BUCKET, key)
        try:
            async for chunk in opened.stream(0, opened.info.size):
                got += chunk
        finally:
            await opened.close()
    except errors.Corrupt:
        return bytes(got), False
    return bytes(got), True


def whole_or_told(key: str, got: bytes, *, whole: bool) -> None:
    assert got == CONTENT[key] if whole else CONTENT[key].startswith(got)


@each_container
async def test_no_byte_of_a_container_can_change_what_is_read(place: Filled, key: str) -> None:
    reader = place.process()
    told = 0
    for at in range((await place.memory.head(BUCKET, key)).size):
        flip(place.memory, BUCKET, key, at)
        before = reader.events.counts["integrity"]
        got, whole = await received(reader, key)
        whole_or_told(key, got, whole=whole)
        assert whole or reader.events.counts["integrity"] > before
        told += not whole
        flip(place.memory, BUCKET, key, at)
    assert told > 100, "hardly any byte seems to matter"


@each_container
async def test_a_container_that_is_misread_once_is_read_again(place: Filled, key: str) -> None:
    reader = place.process()
    for at in range((await place.memory.head(BUCKET, key)).size):
        place.backend.lies = {key: at}
        assert await received(reader, key) == (CONTENT[key], True)
    assert reader.events.counts["integrity"] > 100


@each_container
@pytest.mark.parametrize("at", [0, 1, 17, MEDIUM // 2, MEDIUM - 1])
async def test_a_damaged_reference_is_told(place: Filled, key: str, at: int) -> None:
    flip(place.memory, BUCKET, place.reference, at)
    reader = place.process()
    got, whole = await received(reader, key)
    assert (got, whole) == (b"", False)
    assert reader.events.counts["integrity"] >= 1


@each_container
@pytest.mark.parametrize("at", [0, 1, 17, MEDIUM // 2, MEDIUM - 1])
async def test_a_reference_that_is_misread_once_is_read_again(place: Filled, key: str, at: int) -> None:
    place.backend.lies = {place.reference: at}
    reader = place.process()
    assert await received(reader, key) == (CONTENT[key], True)
    assert reader.events.counts["integrity"] == 1


async def test_damaged_facts_are_made_again(place: Filled) -> None:
    facts = place.reference + names.FACTS_SUFFIX
    for at in range((await place.memory.head(BUCKET, facts)).size):
        flip(place.memory, BUCKET, facts, at)
        reader = place.process()
        assert await received(reader, "a-2.bin") == (SECOND, True)
        assert reader.events.counts["integrity"] == 1
        flip(place.memory, BUCKET, facts, at)


async def test_lost_facts_are_made_again(place: Filled) -> None:
    await place.memory.delete(BUCKET, place.reference + names.FACTS_SUFFIX)
    assert await received(place.process(), "a-2.bin") == (SECOND, True)


async def test_a_reference_under_a_wrong_name_is_told(place: Filled) -> None:
    """Facts that fit the bytes prove nothing if the name promises others."""
    await place.memory.delete(BUCKET, place.reference + names.FACTS_SUFFIX)
    flip(place.memory, BUCKET, place.reference, 5)
    reader = place.process()
    assert await received(reader, "a-2.bin") == (b"", False)
    assert reader.events.counts["integrity"] >= 1


async def test_a_missing_reference_is_told(place: Filled) -> None:
    await place.memory.delete(BUCKET, place.reference)
    reader = place.process()
    assert await received(reader, "a-1.bin") == (b"", False)
    assert reader.events.counts["integrity"] == 1


def _flipped(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


@each_container
@pytest.mark.parametrize("harm", [_flipped, lambda data: data[:1000], lambda data: bytes(len(data))])
async def test_a_damaged_piece_in_the_cache_is_fetched_anew(
    place: Filled, key: str, harm: Callable[[bytes], bytes]
) -> None:
    reader = place.process()
    assert await received(reader, "a-2.bin") == (SECOND, True)
    place.kept().write_bytes(harm(place.kept().read_bytes()))
    again = place.process(cold=False)
    assert await received(again, key) == (CONTENT[key], True)
    assert again.events.counts["integrity"] >= 1
    place.backend.reads.clear()
    assert await received(again, key) == (CONTENT[key], True)
    assert not [read for read in place.backend.reads if read[0] == place.reference], "repaired once and for all"


async def test_nothing_is_encoded_against_a_damaged_piece(place: Filled) -> None:
    writer = place.process()
    assert await received(writer, "a-2.bin") == (SECOND, True)
    place.kept().write_bytes(_flipped(place.kept().read_bytes()))
    third = edited(FIRST, 3)
    await place.process(cold=False).put("a-3.bin", third)
    assert await place.process().read("a-3.bin") == third


@each_container
async def test_references_that_are_local_files_are_used_in_place(tmp_path: Path, key: str) -> None:
    place = Filled(tmp_path, local=True)
    await place.fill()
    reader = place.process()
    assert await received(reader, key) == (CONTENT[key], True)
    flip(place.memory, BUCKET, place.reference, 7)
    assert await received(reader, key) == (b"", False), "it had been verified before the disk rotted"
    await place.close()


async def test_uploads_do_without_a_damaged_reference(place: Filled) -> None:
    flip(place.memory, BUCKET, place.reference, 7)
    third = edited(FIRST, 3)
    await place.process().put("a-3.bin", third)
    assert await place.process().read("a-3.bin") == third


async def test_uploads_do_without_a_missing_reference(place: Filled) -> None:
    writer = place.process()
    await place.memory.delete(BUCKET, place.reference)
    third = edited(FIRST, 3)
    info = await writer.put("a-3.bin", third)
    assert info.kind is Kind.IDENTITY
    assert await place.process().read("a-3.bin") == third


# ---- ranges ----------------------------------------------------------------------------------------------------------

FRAME = 8 << 10


@pytest.fixture
async def framed(place: Filled, monkeypatch: pytest.MonkeyPatch) -> Filled:
    """`a-2.bin` in several frames."""
    monkeypatch.setattr(encoder, "FRAME_SIZE", FRAME)
    await place.process().put("a-2.bin", SECOND)
    assert len(await frames_of(place)) >= len(SECOND) // FRAME
    return place


async def frames_of(place: Filled) -> list[tuple[int, Frame]]:
    """The frames of `a-2.bin`, each with the position of its first logical byte."""
    frames = (await audit.index_of(place.memory, BUCKET, "a-2.bin")).frames
    starts = itertools.accumulate((f.size for f in frames), initial=0)
    return list(zip(starts, frames, strict=False))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_a_range_is_exact_and_touches_its_frames_only(framed: Filled, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SECOND)))
    stop = data.draw(st.integers(start, len(SECOND)))
    reader = framed.process(cold=False)
    framed.backend.reads.clear()
    assert await reader.read("a-2.bin", start, stop) == SECOND[start:stop]
    payloads = {
        (frame.offset, frame.offset + frame.payload)
        for begin, frame in await frames_of(framed)
        if begin < max(stop, start + 1) and begin + frame.size > start
    }
    size = (await framed.memory.head(BUCKET, "a-2.bin")).size
    touched = {(begin, end) for key, begin, end in framed.backend.reads if key == "a-2.bin"}
    tail = {(max(size - (16 << 10), 0), size)}
    assert touched - tail <= payloads


async def test_damage_in_one_frame_leaves_the_others_readable(framed: Filled) -> None:
    with_payload = [(begin, frame) for begin, frame in await frames_of(framed) if frame.payload]
    assert with_payload
    for begin, frame in with_payload:
        at = frame.offset + frame.payload // 2
        flip(framed.memory, BUCKET, "a-2.bin", at)
        reader = framed.process()
        assert await received(reader, "a-2.bin") == (SECOND[:begin], False)
        behind = begin + frame.size
        assert await reader.read("a-2.bin", behind) == SECOND[behind:]
        flip(framed.memory, BUCKET, "a-2.bin", at)
