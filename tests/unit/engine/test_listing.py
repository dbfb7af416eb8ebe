"""Listings through the engine: against a model that sorts, filters and rolls up plain names."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.model import ObjectInfo
from tests.support.engine.bodies import MEDIUM, edited, noise
from tests.support.engine.explore import STORAGES, Storage
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place

BESIDE = (
    ".",
    ".d",
    ".deltaglider",
    ".deltaglider.",
    ".deltaglider/",
    ".deltaglider/~",
    ".deltagliderz",
    "/",
    "a/",
    "~",
)
WITHIN = (".deltaglider/v1/", ".deltaglider/v1/refs/x", ".deltaglider/v1", ".deltaglider/a/b", ".deltaglider/~v1/x")

words = st.text(st.sampled_from("ad./~é"), max_size=4)
keys = st.one_of(st.sampled_from(BESIDE + WITHIN), st.tuples(st.sampled_from((*BESIDE, "")), words).map("".join))
prefixes = st.one_of(st.just(""), keys, st.sampled_from([".deltaglider", ".deltaglider/", ".deltaglider/v", ".del"]))
delimiters = st.sampled_from(["", "/", "d", "er/", ".", "~", "a/"])


def modelled(present: set[str], prefix: str, after: str, delimiter: str) -> list[str]:
    """All entries after `after`, in byte order."""
    found: list[str] = []
    for key in sorted(present, key=str.encode):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if cut < 0 else key[: cut + len(delimiter)]
        shown_before = entry.encode() <= after.encode() or (cut >= 0 and after.startswith(entry))
        if not shown_before and entry not in found:
            found.append(entry)
    return found


def name_of(entry: ObjectInfo | str) -> str:
    return entry if isinstance(entry, str) else entry.key


async def listed(node: Node, prefix: str, after: str, limit: int, delimiter: str) -> list[str]:
    """All pages, joined."""
    found: list[str] = []
    while True:
        page = await node.engine.list(BUCKET, prefix, after, limit, delimiter)
        assert len(page.entries) <= limit
        found += map(name_of, page.entries)
        if not page.truncated:
            return found
        assert page.entries, "a truncated page must say where to go on"
        after = found[-1]


@settings(max_examples=150, deadline=None)
@given(
    present=st.sets(keys.filter(bool), max_size=12),
    prefix=prefixes,
    after=st.just("") | keys,
    limit=st.integers(1, 5),
    delimiter=delimiters,
    metadata=st.booleans(),
)
def test_pages_of_any_size_add_up(
    present: set[str], prefix: str, after: str, limit: int, delimiter: str, *, metadata: bool
) -> None:
    async def check(directory: Path) -> None:
        place = Place(directory, Storage(listing_has_metadata=metadata))
        await place.begin()
        node = place.process()
        for key in present:
            await node.put(key, b"x")
        for internal in ("refs/d/s.r", "meta/m", "first/d", "zz"):
            writer = await place.memory.write(BUCKET, names.INTERNAL + internal, {})
            await writer.write(b"internal")
            await writer.commit()
        assert await listed(node, prefix, after, limit, delimiter) == modelled(present, prefix, after, delimiter)
        await place.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(check(Path(directory)))


@pytest.mark.parametrize("storage", STORAGES, ids=str)
async def test_a_listing_says_what_head_says(tmp_path: Path, storage: Storage) -> None:
    place = Place(tmp_path, storage)
    await place.begin()
    node = place.process()
    base = noise(1, MEDIUM)
    await node.put("a-1.bin", base)
    await node.quiet()
    await node.put("a-2.bin", edited(base, 1))
    await node.quiet()
    await node.put("a-3.bin", noise(2, MEDIUM))
    await node.put("b", b"small", {"m": "1"}, tags={"t": "1"})
    await node.put("c", noise(3, 667), {"m": "1"})
    await node.put("d", noise(4, 100), {"large": "x" * 3000, "larger": "y" * 3000})
    await node.engine.copy((BUCKET, "a-2.bin"), (BUCKET, "e"), None)
    await node.engine.copy((BUCKET, "b"), (BUCKET, "f"), None)
    writer = await place.memory.write(BUCKET, "theirs", {"content-type": "a/b"})
    await writer.write(noise(5, 1691))
    await writer.commit()
    for process in (node, place.process()):
        page = await process.engine.list(BUCKET)
        assert len(page.entries) == 9
        for entry in page.entries:
            assert isinstance(entry, ObjectInfo)
            head = await process.engine.head(BUCKET, entry.key)
            assert (entry.size, entry.etag, entry.modified) == (head.size, head.etag, head.modified), entry.key
    await place.close()


async def test_what_vanishes_while_it_is_looked_at_does_not_end_a_listing(tmp_path: Path) -> None:
    """Where only sizes are listed, containers are looked at one by one; all of a page may be gone by then."""
    place = Place(tmp_path, Storage(listing_has_metadata=False))
    await place.begin()
    node = place.process()
    for key in "abcd":
        await node.put(key, noise(1, 667))
    looked: list[str] = []

    async def vanish(when: str, step: str, bucket: str, key: str) -> None:
        if step == "head" and when == "before" and key in "abc":
            looked.append(key)
            place.memory._buckets[BUCKET].objects.pop(key, None)

    place.backend.hook = vanish
    page = await node.engine.list(BUCKET, limit=1)
    assert [name_of(e) for e in page.entries] == ["d"]
    assert not page.truncated
    assert looked == ["a", "b", "c"]
    await place.close()


async def test_nothing_is_listed_when_nothing_is_asked_for(place: Place) -> None:
    node = place.process()
    await node.put("a", b"x")
    page = await node.engine.list(BUCKET, limit=0)
    assert (page.entries, page.truncated) == ((), False)
