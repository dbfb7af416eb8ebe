"""Garbage collection in quiet times: what goes, what stays, and when."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deltaglider_proxy.engine import errors, names, references
from deltaglider_proxy.engine.model import Attributes, Body, Kind
from deltaglider_proxy.storage.errors import Uncertain
from deltaglider_proxy.storage.steps import When, no_hook
from tests.support.engine import audit
from tests.support.engine.bodies import MEDIUM, body, edited, noise
from tests.support.engine.explore import Storage
from tests.support.engine.nodes import BUCKET, GRACE, Node
from tests.support.engine.place import Place

BASE = noise(1, MEDIUM)
LARGE = {"large": "x" * 4000}


async def releases(place: Place) -> Node:
    """Two objects on one reference, with tags and metadata that lie beside them."""
    node = place.process()
    await node.put("a-1.bin", BASE, LARGE, tags={"t": "1"})
    await node.quiet()
    await node.put("a-2.bin", edited(BASE, 1), LARGE, tags={"t": "2"})
    await node.quiet()
    return node


async def forget(node: Node) -> None:
    for key in ("a-1.bin", "a-2.bin"):
        await node.engine.delete(BUCKET, key)


async def test_what_nothing_names_goes_after_the_grace_and_not_before(place: Place) -> None:
    node = await releases(place)
    await forget(node)
    things = [k for k in await place.keys(names.INTERNAL) if not k.startswith(names.FIRSTS)]
    assert len(things) == 6, "a reference, its facts, two side objects, the tags of both"
    report = await node.engine.collect(BUCKET)
    assert (report.condemned, report.removed) == (6, 0)
    place.clock.advance(GRACE - 1)
    report = await node.engine.collect(BUCKET)
    assert (report.condemned, report.removed) == (0, 0)
    place.clock.advance(1)
    report = await node.engine.collect(BUCKET)
    assert (report.condemned, report.removed) == (0, 6)
    assert report.removed_bytes > MEDIUM
    assert await place.keys() == []


async def test_what_something_names_stays(place: Place) -> None:
    node = await releases(place)
    await node.engine.delete(BUCKET, "a-1.bin")
    for _ in range(4):
        await node.engine.collect(BUCKET)
        place.clock.advance(GRACE)
    assert await audit.litter(place.memory, BUCKET) == set()
    again = place.process()
    assert await again.read("a-2.bin") == edited(BASE, 1)
    info = await again.engine.head(BUCKET, "a-2.bin")
    assert (dict(info.user_metadata), info.tag_count) == (LARGE, 1)


async def test_what_is_named_again_stays_and_new_writers_leave_it_alone(place: Place) -> None:
    node = await releases(place)
    await forget(node)
    await node.engine.collect(BUCKET)
    (reference,) = await place.references()
    info = await node.put("a-3.bin", edited(BASE, 2))
    assert info.kind is Kind.IDENTITY, "the only reference is condemned"
    await node.quiet()
    await node.put("a-4.bin", edited(BASE, 3))
    await node.quiet()
    assert (await node.engine.head(BUCKET, "a-4.bin")).kind is Kind.DELTA
    place.clock.advance(GRACE)
    await node.engine.collect(BUCKET)
    (left,) = await place.references()
    assert left != reference
    assert await place.process().read("a-4.bin") == edited(BASE, 3)


async def test_the_grace_begins_anew_with_the_host(place: Place) -> None:
    """Clocks of two boots cannot be compared."""
    node = await releases(place)
    await forget(node)
    await node.engine.collect(BUCKET)
    place.clock.boot = "boot-2"
    place.clock.advance(10 * GRACE)
    report = await node.engine.collect(BUCKET)
    assert (report.condemned, report.removed) == (6, 0)
    place.clock.advance(GRACE)
    assert (await node.engine.collect(BUCKET)).removed == 6
    assert await place.keys() == []


async def test_the_grace_begins_when_a_marker_is_put_not_when_putting_it_was_begun(place: Place) -> None:
    """Until it is there writers may choose what it is about, however often the request had to be repeated."""
    node = await releases(place)
    await forget(node)
    lost: list[str] = []

    async def lose_the_first(when: When, step: str, bucket: str, key: str) -> None:
        if step == "commit" and when is When.BEFORE and names.condemned_target(key) is not None:
            place.backend.hook = no_hook
            place.clock.advance(GRACE / 2)
            lost.append(key)
            raise Uncertain(key)

    place.backend.hook = lose_the_first
    await node.engine.collect(BUCKET)
    place.clock.advance(GRACE / 2)
    assert (await node.engine.collect(BUCKET)).removed == 0
    place.clock.advance(GRACE / 2)
    assert (await node.engine.collect(BUCKET)).removed == 6
    assert len(lost) == 1


async def test_when_nobody_writes_there_is_nothing_to_wait_for(place: Place) -> None:
    node = await releases(place)
    await forget(node)
    assert (await node.engine.collect(BUCKET, quiescent=True)).removed == 6
    assert await place.keys() == []


async def test_markers_of_what_is_gone_go_too(place: Place) -> None:
    node = await releases(place)
    await forget(node)
    await node.engine.collect(BUCKET)
    (reference,) = await place.references()
    await place.memory.delete(BUCKET, reference)
    await node.engine.collect(BUCKET)
    assert not [k for k in await place.keys() if names.condemned_target(k) == reference]


async def test_an_idle_upload_is_forgotten_with_what_its_parts_needed(place: Place) -> None:
    node = await releases(place)
    upload = await node.engine.create_upload(BUCKET, "a-3.bin", Attributes(), None, None)
    await node.engine.put_part(BUCKET, "a-3.bin", upload, 1, body(edited(BASE, 2)))
    await forget(node)
    place.clock.advance(GRACE)
    report = await node.engine.collect(BUCKET)
    assert report.expired_uploads == 0
    assert len(await place.references()) == 1, "the part needs it"
    place.clock.advance(1)
    report = await node.engine.collect(BUCKET)
    assert report.expired_uploads == 1
    place.clock.advance(GRACE)
    await node.engine.collect(BUCKET)
    assert await place.keys() == []


async def test_a_part_whose_upload_is_gone_is_forgotten(place: Place) -> None:
    node = place.process()
    upload = await node.engine.create_upload(BUCKET, "k", Attributes(), None, None)
    await node.engine.put_part(BUCKET, "k", upload, 1, body(b"part"))
    await place.memory.delete(BUCKET, names.UPLOADS + upload)
    place.clock.advance(GRACE + 1)
    await node.engine.collect(BUCKET)
    assert await place.keys() == []


@pytest.mark.parametrize("listing", [True, False])
async def test_a_container_that_cannot_be_read_stops_a_collection(tmp_path: Path, *, listing: bool) -> None:
    """What it needs is unknown, so nothing may go."""
    place = Place(tmp_path, Storage(listing_has_metadata=listing))
    await place.begin()
    node = await releases(place)
    found = place.memory._buckets[BUCKET].objects["a-2.bin"]
    place.memory._buckets[BUCKET].objects["a-2.bin"] = replace(found, data=found.data[:-40] + bytes(40))
    await node.engine.delete(BUCKET, "a-1.bin")
    before = await place.keys()
    for _ in range(2):
        with pytest.raises(errors.Corrupt):
            await node.engine.collect(BUCKET)
        place.clock.advance(GRACE)
    assert await place.keys() == before
    await place.close()


@pytest.mark.parametrize(("beside", "ends"), [(True, False), (False, True)])
async def test_an_upload_may_not_outlive_what_was_written_beside_it(
    tmp_path: Path, *, beside: bool, ends: bool
) -> None:
    """Where metadata comes first, its side object is unnamed while the body flows, and collection may find it so."""
    place = Place(tmp_path, Storage(late_metadata=False))
    await place.begin()
    node = place.process()

    head = bytes(2 << 20)

    async def slow() -> AsyncIterator[bytes]:
        yield head
        await node.engine.collect(BUCKET)
        place.clock.advance(GRACE)
        await node.engine.collect(BUCKET)
        yield b"end"

    attributes = Attributes({}, LARGE if beside else {})
    if ends:
        await node.engine.put(BUCKET, "k", Body(slow(), len(head) + 3), attributes)
        assert await node.read("k") == head + b"end"
    else:
        with pytest.raises(errors.Unavailable, match="gc_grace"):
            await node.engine.put(BUCKET, "k", Body(slow(), len(head) + 3), attributes)
        with pytest.raises(errors.NoSuchKey):
            await node.engine.head(BUCKET, "k")
    await place.close()


async def test_collection_ends_an_interrupted_promotion(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    first = noise(1, MEDIUM)
    node = place.process()
    before = await node.put("a-1.bin", first)
    await node.quiet()

    async def died(*_: object) -> None:
        """Where the process would have rewritten the first object."""

    with monkeypatch.context() as patched:
        patched.setattr(references, "rewrite_first", died)
        await node.put("a-2.bin", edited(first, 2))
        await node.quiet()
    assert await place.size() > 2 * len(first)
    await place.process().engine.collect(BUCKET)
    assert await place.size() < 1.5 * len(first)
    after = await node.engine.head(BUCKET, "a-1.bin")
    assert (after.kind, after.etag, after.modified) == (Kind.DELTA, before.etag, before.modified)
    assert await node.read("a-1.bin") == first
    assert await node.read("a-2.bin") == edited(first, 2)
