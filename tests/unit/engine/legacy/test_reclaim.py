"""Baselines go when nothing needs them, and not before."""

from pathlib import Path

import pytest

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.facts import Facts
from deltaglider_proxy.engine.legacy import reclaim, removal, resolve
from deltaglider_proxy.storage.backend import IfAbsent, IfMatch, Stored
from tests.fixtures.legacy import older
from tests.fixtures.legacy.older import Thing
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place


def baseline(folder: str, original_name: str = "__reference__") -> Thing:
    fields = older.fields("x", b"base", "reference", original_name=original_name)
    return Thing(f"{folder}reference.bin", b"base", older.headers(fields))


def delta(key: str, ref_path: str = "reference.bin") -> Thing:
    fields = older.fields(key, b"d", "delta", b"base", ref_path=ref_path)
    return Thing(f"{key}.delta", b"\xd6\xc3\xc4\x00", older.headers(fields))


@pytest.fixture
def facts(reader: Node) -> Facts:
    return reader.engine._facts


async def test_a_baseline_goes_with_its_last_delta(service: Place, reader: Node, facts: Facts) -> None:
    await older.store(service.memory, BUCKET, [baseline("a/"), delta("a/x"), delta("a/y"), baseline("b/")])
    assert await reclaim.collect(reader.engine.ctx, facts, BUCKET) == 1
    assert await service.keys("") == ["a/reference.bin", "a/x.delta", "a/y.delta"]
    await reader.engine.delete(BUCKET, "a/x")
    assert await reclaim.collect(reader.engine.ctx, facts, BUCKET) == 0
    await reader.engine.delete(BUCKET, "a/y")
    assert await reclaim.collect(reader.engine.ctx, facts, BUCKET) == 1
    assert not await service.keys("")


async def test_a_baseline_that_another_folder_names_stays(service: Place, reader: Node, facts: Facts) -> None:
    await older.store(service.memory, BUCKET, [baseline("a/"), delta("b/x", ref_path="a/reference.bin")])
    assert await reclaim.collect(reader.engine.ctx, facts, BUCKET) == 0
    assert await service.keys("") == ["a/reference.bin", "b/x.delta"]


async def test_a_baseline_that_is_an_object_stays(service: Place, reader: Node, facts: Facts) -> None:
    await older.store(service.memory, BUCKET, [baseline("a/", "first")])
    assert await reclaim.collect(reader.engine.ctx, facts, BUCKET) == 0
    assert (await reader.engine.head(BUCKET, "a/first")).size == 4
    await reader.put("a/first", b"newer")
    assert await reclaim.collect(reader.engine.ctx, facts, BUCKET) == 1
    assert await reader.read("a/first") == b"newer"
    await reader.engine.delete(BUCKET, "a/first")
    with pytest.raises(errors.NoSuchKey):
        await reader.engine.head(BUCKET, "a/first")


async def test_what_others_call_a_baseline_stays(service: Place, reader: Node, facts: Facts) -> None:
    await older.store(service.memory, BUCKET, [Thing("a/reference.bin", b"mine", {})])
    assert await reclaim.collect(reader.engine.ctx, facts, BUCKET) == 0
    assert await reader.read("a/reference.bin") == b"mine"


async def test_tidy_removes_what_is_hidden_and_nothing_else(service: Place, reader: Node) -> None:
    ctx = reader.engine.ctx
    await older.store(service.memory, BUCKET, [delta("x"), delta("y")])
    await removal.tidy(ctx, BUCKET, "x")
    await removal.tidy(ctx, BUCKET, "z")
    assert await service.keys("") == ["x.delta", "y.delta"]
    await reader.put("x", b"ours")
    await removal.tidy(ctx, BUCKET, "x")
    assert await service.keys("") == ["x", "y.delta"]
    assert await reader.read("x") == b"ours"


async def test_purge_leaves_what_clients_see(service: Place, reader: Node, facts: Facts) -> None:
    things = [baseline(""), delta("a/x"), baseline("a/"), Thing(".dg/locks/one", b"", {}), Thing("mine", b"", {})]
    await older.store(service.memory, BUCKET, things)
    await reclaim.purge(reader.engine.ctx, facts, BUCKET)
    assert await service.keys("") == ["a/reference.bin", "a/x.delta", "mine"]
    for key in ("a/x", "mine"):
        await reader.engine.delete(BUCKET, key)
    await reclaim.purge(reader.engine.ctx, facts, BUCKET)
    assert not await service.keys("")


async def test_purge_of_files(files: Node, root: Path) -> None:
    older.lay(root, BUCKET, "a/.tmpAbCd12", b"left by a crash")
    older.lay(root, BUCKET, "a/reference.bin", b"base", older.attribute(older.fields("x", b"base", "reference")))
    older.lay(root, BUCKET, "b", b"mine")
    await reclaim.purge(files.engine.ctx, files.engine._facts, BUCKET)
    page = await files.engine.ctx.backend.list(BUCKET)
    assert [entry.key for entry in page.entries if isinstance(entry, Stored)] == ["deltaspaces/b"]


@pytest.mark.parametrize("ours", [True, False])
async def test_conditions_on_what_a_key_holds(service: Place, reader: Node, ours: bool) -> None:
    """The object is what clients see; the storage condition is about the key's own place."""
    ctx = reader.engine.ctx
    assert await resolve.held(ctx, BUCKET, "x") == (None, IfAbsent())
    await older.store(service.memory, BUCKET, [delta("x"), baseline("a/", "first")])
    assert await resolve.held(ctx, BUCKET, "x") == (await reader.engine.head(BUCKET, "x"), IfAbsent())
    assert await resolve.held(ctx, BUCKET, "a/first") == (await reader.engine.head(BUCKET, "a/first"), IfAbsent())
    if ours:
        await reader.put("x", b"ours")
    else:
        earlier = older.fields("x", b"plain", "passthrough", created_at="2020-01-01T00:00:00Z")
        await older.store(service.memory, BUCKET, [Thing("x", b"plain", older.headers(earlier))])
    stored = await service.memory.head(BUCKET, "x")
    head = await reader.engine.head(BUCKET, "x")
    assert (head.size == 4) is ours
    assert await resolve.held(ctx, BUCKET, "x") == (head, IfMatch(stored.etag))
