"""What listings remember on disk is only a memory: without it they take longer, and say the same."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deltaglider_proxy.engine.model import ObjectInfo
from tests.support.engine.bodies import MEDIUM, edited, noise
from tests.support.engine.explore import Storage
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place

FIRST = noise(1, MEDIUM)
SIZES = [("a-1.bin", len(FIRST)), ("a-2.bin", len(edited(FIRST, 2))), ("a-3.bin", len(edited(FIRST, 3)))]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A storage whose listings show no metadata, with containers in it."""
    made = Place(tmp_path, Storage(listing_has_metadata=False))
    await made.begin()
    node = made.process()
    for number, (key, _) in enumerate(SIZES, 1):
        await node.put(key, FIRST if number == 1 else edited(FIRST, number))
        await node.quiet()
    assert await made.references()
    yield made
    await made.close()


async def listed(node: Node) -> list[tuple[str, int]]:
    page = await node.engine.list(BUCKET, "", "", 10, "")
    return [(entry.key, entry.size) for entry in page.entries if isinstance(entry, ObjectInfo)]


async def test_a_damaged_file_is_made_anew(place: Place) -> None:
    node = place.process()
    (place.directory / "cache" / "facts.db").write_bytes(b"no database at all" * 1000)
    assert await listed(node) == SIZES
    assert await listed(node) == SIZES
    await node.engine.close()
    with sqlite3.connect(place.directory / "cache" / "facts.db") as database:
        assert database.execute("select count(*) from facts").fetchone() == (3,)
    database.close()


async def test_a_place_where_no_file_can_be_is_done_without_until_it_can(place: Place) -> None:
    node = place.process()
    file = place.directory / "cache" / "facts.db"
    file.mkdir()
    assert await listed(node) == SIZES
    file.rmdir()
    assert await listed(node) == SIZES
    assert file.exists()
