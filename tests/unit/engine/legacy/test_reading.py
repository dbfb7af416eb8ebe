"""Objects of the older layout come back byte for byte, or not at all."""

import asyncio
import random
from pathlib import Path

import pytest

from deltaglider_proxy.codecs.buffers import Buffer
from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.legacy.kept import Scratch
from deltaglider_proxy.engine.model import Kind, ObjectInfo
from tests.fixtures.legacy import older
from tests.fixtures.legacy.older import Thing
from tests.support.engine.bodies import edited, noise
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place
from tests.support.programs import on_path
from tests.unit.engine.legacy.conftest import POLICIES

BASE = noise(1, 30_000)
NEXT = edited(BASE, 2)


def things(*, flags: tuple[str, ...] = (), **more: str) -> list[Thing]:
    """A folder with a baseline and one object."""
    name, body, fields = older.delta("app/next.bin", BASE, NEXT, *flags, **more)
    return [
        Thing("app/reference.bin", BASE, older.headers(older.fields("app/x", BASE, "reference"))),
        Thing(name, body, older.headers(fields, {"colour": "red"})),
    ]


async def listed(node: Node) -> dict[str, ObjectInfo]:
    page = await node.engine.list(BUCKET)
    assert not page.truncated
    return {entry.key: entry for entry in page.entries if isinstance(entry, ObjectInfo)}


@pytest.mark.parametrize("release", older.RELEASES)
async def test_what_the_client_wrote_reads_back(service: Place, reader: Node, release: str) -> None:
    recording = older.recorded(release)
    on_path("xdelta3")
    await older.store(service.memory, BUCKET, recording.things)
    found = await listed(reader)
    assert list(found) == sorted(recording.expected)
    for key, (sha256, size) in recording.expected.items():
        head = await reader.engine.head(BUCKET, key)
        data = await reader.read(key)
        assert (older.sha256(data), len(data)) == (sha256, size)
        assert (head.size, head.etag) == (size, f"{sha256[:32]}-1")
        assert (found[key].size, found[key].etag, found[key].modified) == (head.size, head.etag, head.modified)
        assert not head.user_metadata


async def test_a_delta_of_the_proxy(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, things(content_type="text/x-thing"))
    head = await reader.engine.head(BUCKET, "app/next.bin")
    assert (head.size, head.etag, head.kind) == (len(NEXT), older.md5(NEXT), Kind.DELTA)
    assert head.modified == pytest.approx(older.CREATED_AT, abs=1e-5)
    assert head.headers == {"content-type": "text/x-thing"}
    assert head.user_metadata == {"colour": "red"}
    assert head.stored_size < 1000
    assert await listed(reader) == {"app/next.bin": head}
    assert await reader.read("app/next.bin") == NEXT


async def test_a_delta_in_a_folder(files: Node, root: Path) -> None:
    name, body, fields = older.delta("app/next.bin", BASE, NEXT)
    older.lay(root, BUCKET, name, body, older.attribute(fields, {"colour": "red"}))
    older.lay(root, BUCKET, "app/reference.bin", BASE, older.attribute(older.fields("app/x", BASE, "reference")))
    plain = older.lay(
        root, BUCKET, "note.txt", b"hello", older.attribute(older.fields("note.txt", b"hello", "passthrough"))
    )
    older.lay(root, BUCKET, "foreign.delta", b"mine")
    older.lay(root, BUCKET, "app/.tmpAb12zZ", b"left by a crash")
    head = await files.engine.head(BUCKET, "app/next.bin")
    found = await listed(files)
    assert list(found) == ["app/next.bin", "foreign.delta", "note.txt"]
    assert found["app/next.bin"] == head
    assert head.user_metadata == {"colour": "red"}
    assert await files.read("app/next.bin") == NEXT
    assert await files.read("foreign.delta") == b"mine"
    assert await files.read("note.txt") == b"hello"
    assert found["note.txt"] == await files.engine.head(BUCKET, "note.txt")
    assert found["note.txt"].etag == older.md5(b"hello")
    plain.write_bytes(b"HELLO")
    with pytest.raises(errors.Corrupt):
        await files.read("note.txt")


async def test_folders_without_objects_are_not_shown(files: Node, root: Path) -> None:
    said = older.attribute(older.fields("x", BASE, "reference"))
    for folder in ("a", "b", "b/c", "d", "e"):
        older.lay(root, BUCKET, f"{folder}/reference.bin", BASE, said)
    older.lay(root, BUCKET, "b/c/mine", b"")
    older.lay(root, BUCKET, "d/.tmpAb12zZ", b"left by a crash")
    first = older.fields("e/x", BASE, "reference", original_name="x")
    older.lay(root, BUCKET, "e/reference.bin", BASE, older.attribute(first))
    assert (await files.engine.list(BUCKET, delimiter="/")).entries == ("b/", "e/")
    await files.engine.delete(BUCKET, "e/x")
    assert (await files.engine.list(BUCKET, limit=1, delimiter="/")).entries == ("b/",)


@pytest.mark.parametrize(
    "flags", [("-S", "none"), ("-S", "djw"), ("-S", "fgk"), ("-S", "lzma"), ("-9",), ("-W", "16384")]
)
async def test_every_kind_of_stream(service: Place, reader: Node, flags: tuple[str, ...]) -> None:
    await older.store(service.memory, BUCKET, things(flags=flags))
    assert await reader.read("app/next.bin") == NEXT


@pytest.mark.parametrize(
    ("base", "data"), [(BASE, b""), (BASE, BASE), (b"", NEXT), (BASE, noise(9, 50_000)), (b"x", b"x")]
)
async def test_extremes(service: Place, reader: Node, base: bytes, data: bytes) -> None:
    name, body, fields = older.delta("k", base, data)
    baseline = Thing("reference.bin", base, older.headers(older.fields("k", base, "reference")))
    await older.store(service.memory, BUCKET, [baseline, Thing(name, body, older.headers(fields))])
    assert await reader.read("k") == data


async def test_ranges_decode_once(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, things())
    choice = random.Random(3)
    for _ in range(20):
        start, stop = sorted(choice.choices(range(len(NEXT) + 1), k=2))
        assert await reader.read("app/next.bin", start, stop) == NEXT[start:stop]
    assert reader.events.counts["decoded"] == 1
    assert sum(1 for key, _, _ in service.backend.reads if key == "app/reference.bin") == 1


async def test_readers_at_the_same_time_decode_once(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, things())
    found = await asyncio.gather(*(reader.read("app/next.bin", at, at + 10) for at in range(8)))
    assert found == [NEXT[at : at + 10] for at in range(8)]
    assert reader.events.counts["decoded"] == 1


async def test_without_a_cache_nothing_is_kept(service: Place) -> None:
    reader = service.process(policies=POLICIES, cache_bytes=0)
    await older.store(service.memory, BUCKET, things())
    for _ in range(2):
        assert await reader.read("app/next.bin") == NEXT
    assert reader.events.counts["decoded"] == 2


async def test_a_damaged_delta_sends_nothing(service: Place, reader: Node) -> None:
    baseline, delta = things()
    for at in (2, len(delta.body) // 2, len(delta.body) - 1):
        wrong = bytearray(delta.body)
        wrong[at] ^= 0xFF
        await older.store(service.memory, BUCKET, [baseline, Thing(delta.key, bytes(wrong), delta.metadata)])
        with pytest.raises(errors.Corrupt):
            await reader.read("app/next.bin")
    assert reader.events.counts["integrity"] > 0


async def test_a_sound_delta_of_another_object(service: Place, reader: Node) -> None:
    """Nothing in the delta is wrong, only its metadata belongs to other bytes of the same size."""
    baseline, delta = things()
    _, body, _ = older.delta("app/next.bin", BASE, NEXT[::-1])
    await older.store(service.memory, BUCKET, [baseline, Thing(delta.key, body, delta.metadata)])
    for _ in range(2):
        with pytest.raises(errors.Corrupt, match="does not make"):
            await reader.read("app/next.bin", 0, 1)


async def test_a_baseline_in_place_that_was_changed(files: Node, root: Path) -> None:
    """Its metadata still fits, and the delta carries no check of its own."""
    body = older.encode(BASE, NEXT, "-D", "-n")
    fields = older.fields("next.bin", NEXT, "delta", BASE, delta_size=len(body))
    older.lay(root, BUCKET, "next.bin.delta", body, older.attribute(fields))
    changed = bytes([BASE[0] ^ 1]) + BASE[1:]
    older.lay(root, BUCKET, "reference.bin", changed, older.attribute(older.fields("x", BASE, "reference")))
    with pytest.raises(errors.Corrupt, match="does not make"):
        await files.read("next.bin")


@pytest.mark.parametrize("size", [len(NEXT) - 1, len(NEXT) + 1, 0])
async def test_a_delta_that_makes_another_size(service: Place, reader: Node, size: int) -> None:
    await older.store(service.memory, BUCKET, things(file_size=str(size)))
    with pytest.raises(errors.Corrupt, match="does not make"):
        await reader.read("app/next.bin", 0, 1)


async def test_a_delta_that_makes_far_more_than_it_says(
    service: Place, reader: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, body, fields = older.delta("k", b"", bytes(50_000_000), file_size="10")
    baseline = Thing("reference.bin", b"", older.headers(older.fields("k", b"", "reference")))
    await older.store(service.memory, BUCKET, [baseline, Thing(name, body, older.headers(fields))])
    written = []
    append = Scratch.append

    def count(self: Scratch, data: Buffer) -> None:
        written.append(len(data))
        append(self, data)

    monkeypatch.setattr(Scratch, "append", count)
    with pytest.raises(errors.Corrupt):
        await reader.read("k", 0, 1)
    assert sum(written) < 1_000_000


async def test_a_baseline_that_is_another(service: Place, reader: Node) -> None:
    baseline, delta = things()
    other = Thing(baseline.key, noise(5, 100), baseline.metadata)
    await older.store(service.memory, BUCKET, [other, delta])
    with pytest.raises(errors.Corrupt, match="app/reference"):
        await reader.read("app/next.bin")


async def test_a_baseline_named_by_its_whole_key(service: Place, reader: Node) -> None:
    """As after a copy of the deltas alone, into another folder."""
    baseline, delta = things()
    moved = Thing("moved/next.bin.delta", delta.body, {**delta.metadata, "dg-ref-key": "app/reference.bin"})
    del moved.metadata["dg-ref-path"]  # type: ignore[attr-defined] # it is the dict that was just made
    await older.store(service.memory, BUCKET, [baseline, moved])
    assert await reader.read("moved/next.bin") == NEXT


async def test_a_kept_baseline_that_rots_is_fetched_again(service: Place, reader: Node) -> None:
    baseline, delta = things()
    other = Thing("app/other.delta", delta.body, delta.metadata)
    await older.store(service.memory, BUCKET, [baseline, delta, other])
    assert await reader.read("app/next.bin") == NEXT
    for kept in (service.directory / "cache" / "legacy").glob("*/*"):
        kept.write_bytes(bytes(kept.stat().st_size))
    assert await reader.read("app/other") == NEXT


async def test_plain_bytes_that_are_damaged(service: Place, reader: Node) -> None:
    thing = Thing("a", b"hallo", older.headers(older.fields("a", b"hello", "passthrough")))
    await older.store(service.memory, BUCKET, [thing])
    with pytest.raises(errors.Corrupt, match="digest"):
        await reader.read("a")


async def test_encrypted_objects_are_refused_by_name_of_their_key(service: Place, reader: Node) -> None:
    sealed = {"user-dg-encrypted": "aes-256-gcm-v1", "user-dg-encryption-key-id": "0011223344556677"}
    thing = Thing("a", b"sealed", {**older.headers(older.fields("a", b"hello", "passthrough")), **sealed})
    await older.store(service.memory, BUCKET, [thing])
    assert (await reader.engine.head(BUCKET, "a")).size == 5
    assert not (await reader.engine.head(BUCKET, "a")).user_metadata
    with pytest.raises(errors.Unsupported, match="0011223344556677"):
        await reader.read("a")


async def test_without_the_flag_nothing_is_looked_for(service: Place) -> None:
    blind = service.process()
    await older.store(service.memory, BUCKET, things())
    assert list(await listed(blind)) == ["app/next.bin.delta", "app/reference.bin"]
    with pytest.raises(errors.NoSuchKey):
        await blind.engine.head(BUCKET, "app/next.bin")
    assert await blind.read("app/reference.bin") == BASE


async def test_stored_names_are_no_keys(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, things())
    for key in ("app/next.bin.delta", "app/reference.bin", "next.bin", "app/next"):
        with pytest.raises(errors.NoSuchKey):
            await reader.engine.head(BUCKET, key)


async def test_what_cannot_be_understood_is_never_served_as_the_file(service: Place, reader: Node) -> None:
    baseline, delta = things()
    stripped = {name: value for name, value in delta.metadata.items() if name != "dg-ref-sha256"}
    await older.store(service.memory, BUCKET, [baseline, Thing(delta.key, delta.body, stripped)])
    assert list(await listed(reader)) == [delta.key]
    with pytest.raises(errors.NoSuchKey):
        await reader.engine.open(BUCKET, "app/next.bin")
    assert await reader.read(delta.key) == delta.body


async def test_the_first_object_of_a_folder_may_be_its_baseline_alone(service: Place, reader: Node) -> None:
    early = older.fields("app/first.bin", BASE, "reference", original_name="first.bin")
    name, body, fields = older.delta("app/next.bin", BASE, NEXT)
    await older.store(
        service.memory,
        BUCKET,
        [Thing("app/reference.bin", BASE, older.headers(early)), Thing(name, body, older.headers(fields))],
    )
    assert list(await listed(reader)) == ["app/first.bin", "app/next.bin"]
    assert await reader.read("app/first.bin") == BASE
    assert await reader.engine.delete(BUCKET, "app/first.bin")
    assert list(await listed(reader)) == ["app/next.bin"]
    assert not await reader.engine.delete(BUCKET, "app/first.bin")
    assert await reader.read("app/next.bin") == NEXT


async def test_copies_are_stored_in_our_own_layout(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, things())
    made = await reader.engine.copy((BUCKET, "app/next.bin"), (BUCKET, "copy"), None)
    assert made.size == len(NEXT)
    assert await reader.read("copy") == NEXT
    head = await reader.engine.head(BUCKET, "copy")
    assert head.object_id
    assert head.user_metadata == {"colour": "red"}


async def test_usage_counts_what_clients_see(service: Place, reader: Node) -> None:
    await older.store(service.memory, BUCKET, things())
    found = await reader.engine.usage(BUCKET)
    assert (found.objects, found.logical_bytes) == (1, len(NEXT))
    assert found.stored_bytes == await service.size()
