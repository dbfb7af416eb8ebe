"""What every backend does with one object: keys, metadata, conditions, generations."""

import asyncio
import os
from dataclasses import replace

import pytest

from deltaglider_proxy.storage.backend import Backend, IfAbsent, IfMatch, Piece
from deltaglider_proxy.storage.errors import (
    Changed,
    ConditionFailed,
    KeyRejected,
    MetadataTooLarge,
    NoSuchBucket,
    NoSuchKey,
    Unsupported,
)
from tests.support.storage.kinds import Kind
from tests.support.storage.objects import BUCKET, NOTHING, get, in_byte_order, keys, put


@pytest.mark.parametrize("order", ["given", "reversed", "sorted"])
async def test_odd_keys_are_objects_of_their_own(backend: Backend, kind: Kind, order: str) -> None:
    odd = list(kind.odd_keys)
    chosen = {"given": odd, "reversed": odd[::-1], "sorted": in_byte_order(odd)}[order]
    for number, key in enumerate(chosen):
        await put(backend, key, f"data {number}".encode())
    assert await keys(backend) == in_byte_order(chosen)
    for number, key in enumerate(chosen):
        assert await get(backend, key) == f"data {number}".encode()
    for number, key in enumerate(chosen):
        assert (await backend.head(BUCKET, key)).size == len(f"data {number}")
        assert await backend.delete(BUCKET, key) is True
        with pytest.raises(NoSuchKey):
            await backend.head(BUCKET, key)
        assert await keys(backend) == in_byte_order(chosen[number + 1 :])


async def test_odd_keys_are_overwritten_where_they_are(backend: Backend, kind: Kind) -> None:
    for key in kind.odd_keys:
        await put(backend, key, b"old")
    for key in reversed(kind.odd_keys):
        await put(backend, key, b"new " + key.encode())
    assert await keys(backend) == in_byte_order(kind.odd_keys)
    for key in kind.odd_keys:
        assert await get(backend, key) == b"new " + key.encode()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x" * 1026,
        "é" * 513,
        "a\0b",
        pytest.param("\ud800", id="high surrogate"),
        pytest.param("\udc80", id="low surrogate"),
    ],
)
async def test_what_is_no_key(backend: Backend, key: str) -> None:
    with pytest.raises(KeyRejected):
        await backend.write(BUCKET, key, {})
    await put(backend, "source")
    with pytest.raises(KeyRejected):
        await backend.compose(BUCKET, key, [Piece("source", 0, 4)], {})
    with pytest.raises(KeyRejected):
        await backend.replace(BUCKET, key, b"", {}, NOTHING)
    with pytest.raises(NoSuchKey):
        await backend.head(BUCKET, key)
    with pytest.raises(NoSuchKey):
        await backend.open(BUCKET, key)
    assert await backend.delete(BUCKET, key) is False
    with pytest.raises(ConditionFailed):
        await backend.delete(BUCKET, key, IfMatch("x"))


async def test_metadata_comes_back(backend: Backend, kind: Kind) -> None:
    metadata = {"content-type": "text/plain; charset=utf-8", "x-amz-meta-u": 'ü, " and \\', "x-amz-meta-empty": ""}
    stored = await put(backend, "key", b"body", metadata)
    assert stored.metadata == metadata
    assert (stored.key, stored.size) == ("key", 4)
    assert kind.same(await backend.head(BUCKET, "key"), stored)
    reader = await backend.open(BUCKET, "key")
    assert kind.same(reader.stored, stored)
    await reader.close()
    (listed,) = (await backend.list(BUCKET)).entries
    assert not isinstance(listed, str)
    assert listed.metadata == (metadata if backend.capabilities(BUCKET).listing_has_metadata else None)
    assert kind.same(replace(listed, metadata=stored.metadata), stored)
    assert listed.modified == (await backend.head(BUCKET, "key")).modified


async def test_metadata_may_come_late_where_it_can(backend: Backend) -> None:
    writer = await backend.write(BUCKET, "key", {"x-amz-meta-a": "early"})
    await writer.write(b"x")
    if backend.capabilities(BUCKET).late_metadata >= 1:
        assert (await writer.commit(metadata={"x-amz-meta-b": "late"})).metadata == {"x-amz-meta-b": "late"}
        assert (await backend.head(BUCKET, "key")).metadata == {"x-amz-meta-b": "late"}
    else:
        with pytest.raises(ValueError, match="late_metadata"):
            await writer.commit(metadata={"x-amz-meta-b": "late"})
        await writer.abort()


async def test_metadata_comes_late_for_small_objects_only(backend: Backend) -> None:
    most = backend.capabilities(BUCKET).late_metadata
    for size in (most, most + 1) if most < 64 << 20 else (1,):
        writer = await backend.write(BUCKET, "key", {"x-amz-meta-a": "early"})
        await writer.write(bytes(size))
        if size <= most:
            assert (await writer.commit(metadata={"x-amz-meta-b": "late"})).metadata == {"x-amz-meta-b": "late"}
        else:
            with pytest.raises(ValueError, match="late_metadata"):
                await writer.commit(metadata={"x-amz-meta-b": "late"})
            await writer.abort()


async def test_metadata_has_a_limit(backend: Backend) -> None:
    fits = {"x-amz-meta-x": "v" * (backend.capabilities(BUCKET).max_metadata - len("x-amz-meta-x"))}
    assert (await put(backend, "key", b"", fits)).metadata == fits
    with pytest.raises(MetadataTooLarge):
        await put(backend, "key", b"new", {"x-amz-meta-x": fits["x-amz-meta-x"] + "v"})
    assert await get(backend, "key") == b""
    assert await keys(backend) == ["key"]


@pytest.mark.parametrize("size", [0, 1, 1000, 256 << 10, (256 << 10) + 1, 1 << 20, (3 << 20) + 17])
async def test_bodies_of_all_sizes(backend: Backend, size: int) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    body = body[:size]
    writer = await backend.write(BUCKET, "key", {})
    buffer = bytearray(700_001)
    for start in range(0, size, len(buffer)):
        part = body[start : start + len(buffer)]
        buffer[: len(part)] = part
        await writer.write(memoryview(buffer)[: len(part)])
        buffer[:] = bytes(len(buffer))  # the writer may not look at it any more
    assert (await writer.commit()).size == size
    assert await get(backend, "key") == body
    reader = await backend.open(BUCKET, "key")
    for start, stop in (
        (0, size),
        (0, 10),
        (size // 2, size // 2 + 5),
        (size - 1, size + 100),
        (size + 5, size + 10),
        (7, 3),
    ):
        wanted = body[max(start, 0) : max(stop, start, 0)]
        assert await reader.read(start, stop) == wanted
        assert b"".join([chunk async for chunk in reader.chunks(start, stop)]) == wanted
        now = reader.read_now(start, stop)
        assert now is None or now == wanted
    await reader.close()


async def test_local_means_a_file_and_answers_at_once(backend: Backend) -> None:
    stored = await put(backend, "key", b"the bytes")
    reader = await backend.open(BUCKET, "key")
    number = reader.fileno()
    if backend.capabilities(BUCKET).local:
        assert number is not None
        assert os.pread(number, 100, 0) == b"the bytes"
        assert backend.head_now(BUCKET, "key") in (stored, None)
    else:
        assert number is None
        assert backend.head_now(BUCKET, "key") is None
    await reader.close()


async def test_a_reader_that_stops_early_closes_cleanly(backend: Backend) -> None:
    await put(backend, "key", bytes(5 << 20))
    reader = await backend.open(BUCKET, "key")
    chunks = reader.chunks(0, 5 << 20)
    assert len(await anext(chunks)) == 1 << 20
    await reader.close()
    await reader.close()


async def test_conditions(backend: Backend, kind: Kind) -> None:
    with pytest.raises(ConditionFailed):
        await put(backend, "key", condition=IfMatch("whatever"))
    assert await keys(backend) == []
    first = await put(backend, "key", b"first", condition=IfAbsent())
    with pytest.raises(ConditionFailed):
        await put(backend, "key", b"second", condition=IfAbsent())
    assert await get(backend, "key") == b"first"
    second = await put(backend, "key", b"second", condition=IfMatch(first.etag))
    with pytest.raises(ConditionFailed):
        await put(backend, "key", b"third", condition=IfMatch(first.etag))
    with pytest.raises(ConditionFailed):
        await backend.delete(BUCKET, "key", IfMatch(first.etag))
    assert await get(backend, "key") == b"second"
    assert await backend.delete(BUCKET, "key", IfMatch(second.etag)) is True
    with pytest.raises(ConditionFailed):
        await backend.delete(BUCKET, "key", IfMatch(second.etag))
    assert await backend.delete(BUCKET, "key") is False


async def test_a_writer_survives_a_failed_condition(backend: Backend, kind: Kind) -> None:
    old = await put(backend, "key", b"old")
    writer = await backend.write(BUCKET, "key", {"x-amz-meta-a": "1"}, conditional=True)
    await writer.write(b"new")
    with pytest.raises(ConditionFailed):
        await writer.commit(IfAbsent())
    with pytest.raises(ConditionFailed):
        await writer.commit(IfMatch("other"))
    assert await get(backend, "key") == b"old"
    stored = await writer.commit(IfMatch(old.etag))
    await writer.abort()
    assert kind.same(await backend.head(BUCKET, "key"), stored)
    assert await get(backend, "key") == b"new"


async def test_generations_differ_by_their_metadata(backend: Backend, kind: Kind) -> None:
    seen = [await put(backend, "key", b"same", {"x-amz-meta-dgp": str(number)}) for number in range(20)]
    assert len({stored.etag for stored in seen}) == (20 if kind.unique_etags else 1)


async def test_a_reader_keeps_its_generation(backend: Backend, kind: Kind) -> None:
    old, new = bytes(3 << 20), b"\1" * (3 << 20)
    await put(backend, "key", old, {"x-amz-meta-v": "old"})
    reader = await backend.open(BUCKET, "key")
    chunks = reader.chunks(0, len(old))
    received = [await anext(chunks)]
    await put(backend, "key", new, {"x-amz-meta-v": "new"})
    try:
        received.append(await anext(chunks))
        await backend.delete(BUCKET, "key")
        received.extend([chunk async for chunk in chunks])
        assert b"".join(received) == old
        assert await reader.read(len(old) - 5, len(old)) == old[-5:]
    except Changed:
        assert not kind.lasting_readers
        assert old.startswith(b"".join(received))
    assert reader.stored.metadata == {"x-amz-meta-v": "old"}
    await reader.close()


async def test_a_reader_never_shows_another_generation(backend: Backend, kind: Kind) -> None:
    await put(backend, "key", b"old" * 300_000)
    reader = await backend.open(BUCKET, "key")
    await put(backend, "key", b"new" * 300_000)
    try:
        assert await reader.read(800_000, 800_004) == (b"old" * 300_000)[800_000:800_004]
    except Changed:
        assert not kind.lasting_readers
    await reader.close()


async def test_of_many_conditional_writers_one_wins(backend: Backend) -> None:
    async def attempt(number: int) -> int:
        try:
            await put(backend, "key", f"{number}".encode(), {"x-amz-meta-n": str(number)}, IfAbsent())
        except ConditionFailed:
            return 0
        return 1

    outcomes = await asyncio.gather(*(attempt(number) for number in range(20)))
    assert sum(outcomes) == 1
    assert await get(backend, "key") == str(outcomes.index(1)).encode()


async def test_counting_by_compare_and_swap_loses_nothing(backend: Backend) -> None:
    await put(backend, "counter", b"0", {"x-amz-meta-n": "0"})

    async def add() -> None:
        while True:
            current = await backend.head(BUCKET, "counter")
            assert current.metadata is not None
            value = int(current.metadata["x-amz-meta-n"]) + 1
            try:
                await put(backend, "counter", str(value).encode(), {"x-amz-meta-n": str(value)}, IfMatch(current.etag))
            except ConditionFailed:
                continue
            return

    await asyncio.gather(*(add() for _ in range(12)))
    assert await get(backend, "counter") == b"12"


async def test_an_abort_leaves_nothing(backend: Backend) -> None:
    writer = await backend.write(BUCKET, "dir/key", {"x-amz-meta-a": "b"})
    await writer.write(bytes(3 << 20))
    assert await keys(backend) == []
    await writer.abort()
    await writer.abort()
    assert await keys(backend) == []
    with pytest.raises(NoSuchKey):
        await backend.head(BUCKET, "dir/key")


async def test_a_missing_bucket(backend: Backend, kind: Kind) -> None:
    nowhere = "nowhere"
    with pytest.raises(NoSuchBucket):
        await backend.head(nowhere, "key")
    with pytest.raises(NoSuchBucket):
        await backend.open(nowhere, "key")
    with pytest.raises(NoSuchBucket):
        await backend.write(nowhere, "key", {})
    with pytest.raises(NoSuchBucket):
        await backend.delete(nowhere, "key")
    with pytest.raises(NoSuchBucket):
        await backend.compose(nowhere, "key", [Piece("a", 0, 1)], {})
    with pytest.raises(NoSuchBucket if kind.replaces else Unsupported):
        await backend.replace(nowhere, "key", b"", {}, NOTHING)
    with pytest.raises(NoSuchBucket):
        await backend.list(nowhere)


async def test_compose_copies(backend: Backend, kind: Kind) -> None:
    body = bytes(range(256)) * 5000
    source = await put(backend, "source", body, {"x-amz-meta-a": "1"})
    copied = await backend.compose(
        BUCKET, "copy", [Piece("source", 0, len(body))], {"x-amz-meta-b": "2"}, pin=IfMatch(source.etag)
    )
    assert kind.same(copied, await backend.head(BUCKET, "copy"))
    assert copied.metadata == {"x-amz-meta-b": "2"}
    assert await get(backend, "copy") == body
    assert kind.same(await backend.head(BUCKET, "source"), source)


async def test_compose_joins_ranges(backend: Backend) -> None:
    await put(backend, "one", b"0123456789")
    await put(backend, "two", b"abcdefghij")
    pieces = [Piece("one", 2, 5), Piece("two", 0, 10), Piece("one", 0, 1), Piece("two", 9, 10), Piece("one", 3, 3)]
    await backend.compose(BUCKET, "one", pieces, {})
    assert await get(backend, "one") == b"234abcdefghij0j"
    await backend.compose(BUCKET, "none", [], {})
    assert await get(backend, "none") == b""


async def test_compose_checks_everything_first(backend: Backend) -> None:
    await put(backend, "source", b"0123456789")
    other = await put(backend, "other", b"other", {"x-amz-meta-x": "y"})
    with pytest.raises(NoSuchKey):
        await backend.compose(BUCKET, "target", [Piece("source", 0, 5), Piece("missing", 0, 1)], {})
    with pytest.raises(Changed):
        await backend.compose(BUCKET, "target", [Piece("source", 0, 5)], {}, pin=IfMatch(other.etag))
    with pytest.raises(Changed):
        await backend.compose(BUCKET, "target", [Piece("source", 5, 11)], {})
    with pytest.raises(ConditionFailed):
        await backend.compose(BUCKET, "target", [Piece("source", 0, 5)], {}, IfMatch("x"))
    assert await keys(backend) == ["other", "source"]
    with pytest.raises(ConditionFailed):
        await backend.compose(BUCKET, "other", [Piece("source", 0, 5)], {}, IfAbsent())
    assert await get(backend, "other") == b"other"


async def test_replace(backend: Backend, kind: Kind) -> None:
    if not kind.replaces:
        with pytest.raises(Unsupported):
            await backend.replace(BUCKET, "key", b"new", {}, NOTHING)
        return
    with pytest.raises(ConditionFailed):
        await backend.replace(BUCKET, "key", b"new", {}, NOTHING)
    old = await put(backend, "key", b"old")
    new = await backend.replace(BUCKET, "key", b"new", {"x-amz-meta-a": "b"}, old)
    assert kind.same(new, await backend.head(BUCKET, "key"))
    assert new.metadata == {"x-amz-meta-a": "b"}
    with pytest.raises(ConditionFailed):
        await backend.replace(BUCKET, "key", b"newer", {}, old)
    assert await get(backend, "key") == b"new"
    assert await keys(backend) == ["key"]


async def test_replace_looks_at_metadata_too(backend: Backend, kind: Kind) -> None:
    """Where ETags are digests, equal bytes with other metadata are another object all the same."""
    if not kind.replaces:
        return
    old = await put(backend, "key", b"same", {"x-amz-meta-by": "one"})
    newer = await put(backend, "key", b"same", {"x-amz-meta-by": "two"})
    with pytest.raises(ConditionFailed):
        await backend.replace(BUCKET, "key", b"new", {}, old)
    assert kind.same(await backend.head(BUCKET, "key"), newer)


async def test_replace_wherever_the_key_lives(backend: Backend, kind: Kind) -> None:
    if not kind.replaces:
        return
    for key in kind.odd_keys:
        await put(backend, key, b"old")
    for key in kind.odd_keys:
        old = await backend.head(BUCKET, key)
        await backend.replace(BUCKET, key, b"new " + key.encode(), {}, old)
    assert await keys(backend) == in_byte_order(kind.odd_keys)
    for key in kind.odd_keys:
        assert await get(backend, key) == b"new " + key.encode()


async def test_of_many_replacements_one_wins(backend: Backend, kind: Kind) -> None:
    if not kind.replaces:
        return
    old = await put(backend, "key", b"old", {"x-amz-meta-v": "0"})

    async def attempt(number: int) -> int:
        try:
            await backend.replace(BUCKET, "key", str(number).encode(), {"x-amz-meta-v": str(number)}, old)
        except ConditionFailed:
            return 0
        return 1

    outcomes = await asyncio.gather(*(attempt(number) for number in range(1, 9)))
    assert sum(outcomes) == 1
    assert await get(backend, "key") == str(outcomes.index(1) + 1).encode()
