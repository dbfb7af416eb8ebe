"""Listings of older things: against a model that sorts, filters and rolls up what clients know of them."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.fixtures.legacy import older
from tests.fixtures.legacy.older import Thing
from tests.support.engine.explore import Storage
from tests.support.engine.nodes import BUCKET, Node, node
from tests.support.engine.nodes import settings as engine_settings
from tests.support.engine.place import Place
from tests.unit.engine.legacy.conftest import POLICIES
from tests.unit.engine.test_listing import listed, modelled

STORED = ("delta", "plain", "both", "ours", "ours over delta")
AROUND = ("deltaspaces", "deltaspaces-", "deltaspaces0", "deltaspaces0/a", "deltasp", "deltat", "a.de", "a.delta-")

letters = st.text(st.sampled_from("ad-./~"), min_size=1, max_size=5)
chains = st.text(st.sampled_from("a-"), min_size=1, max_size=3)
folders = st.tuples(st.sampled_from(["a/", "a/d/"]), st.sampled_from(["-", "a", "b", "s", "t", "zy"])).map("".join)
names = st.one_of(st.sampled_from(AROUND), letters, chains, folders).filter(
    lambda n: not n.endswith(("/", ".delta")) and "//" not in f"/{n}/" and not {".", ".."} & set(n.split("/"))
)
worlds = st.dictionaries(names, st.sampled_from(STORED), max_size=10).filter(
    lambda w: not any(a != b and b.startswith(f"{a}/") for a in w for b in w)
)
firsts = st.dictionaries(st.sampled_from(["", "a/", "a/d/"]), st.sampled_from(["aa", "reference", "zz"]), max_size=2)
delimiters = st.sampled_from(["", "/", "d", ".", "-", ".d", "delta"])


def things(key: str, how: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """What older programs left of a key; the delta is not one, but a listing does not decode."""
    fields = older.fields(key, b"new", "delta", b"base", delta_size=4)
    delta = (f"{key}.delta", b"\xd6\xc3\xc4\x00", fields)
    plain = (key, b"old", older.fields(key, b"old", "passthrough", created_at="2020-01-01T00:00:00Z"))
    return {"delta": [delta], "plain": [plain], "both": [delta, plain], "ours": [], "ours over delta": [delta]}[how]


def baseline(folder: str, name: str) -> tuple[str, bytes, dict[str, str]]:
    fields = older.fields("x", b"first", "reference", original_name=name)
    return f"{folder}reference.bin", b"first", fields


async def check(reader: Node, present: set[str], prefix: str, limit: int, delimiter: str) -> None:
    assert await listed(reader, prefix, "", limit, delimiter) == modelled(present, prefix, "", delimiter)
    page = await reader.engine.list(BUCKET, limit=1000)
    for entry in page.entries:
        assert isinstance(entry, ObjectInfo)
        assert await reader.engine.head(BUCKET, entry.key) == entry
    for key in ("a", "a.d", "a-", "reference.bin", "d/a"):
        try:
            await reader.engine.head(BUCKET, key)
        except errors.NoSuchKey:
            assert key not in present
        else:
            assert key in present


async def fill(reader: Node, world: dict[str, str]) -> None:
    for key, how in world.items():
        if how.startswith("ours"):
            await reader.put(key, b"ours")


async def in_service(
    world: dict[str, str], first: dict[str, str], prefix: str, limit: int, delimiter: str, bare: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), Storage(listing_has_metadata=not bare))
        await place.begin()
        reader = place.process(policies=POLICIES)
        stored = [t for key, how in world.items() for t in things(key, how)]
        stored += [baseline(f, name) for f, name in first.items()]
        await older.store(place.memory, BUCKET, [Thing(k, b, older.headers(f)) for k, b, f in stored])
        await fill(reader, world)
        present = set(world) | {f + name for f, name in first.items()}
        await check(reader, present, prefix, limit, delimiter)
        await place.close()


def _in_the_way(key: str, first: dict[str, str]) -> bool:
    """Whether no folder can hold both, this as a file and what a baseline stands for."""
    others = [folder + name for folder, name in first.items()]
    return any(f"{other}/".startswith(f"{key}/") or key.startswith(f"{other}/") for other in others)


async def in_files(world: dict[str, str], first: dict[str, str], prefix: str, limit: int, delimiter: str) -> None:
    pool = Pool(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        (root / BUCKET).mkdir(parents=True)
        backend: Backend = FilesystemBackend(root, pool, SystemClock(), fsync=False)
        reader = node(backend, SystemClock(), engine_settings(Path(folder), policies=POLICIES))
        clear = {key: how for key, how in world.items() if not _in_the_way(key, first)}
        for key, how in clear.items():
            for name, body, fields in things(key, how):
                older.lay(root, BUCKET, name, body, older.attribute(fields))
        for at, name in first.items():
            stored, body, fields = baseline(at, name)
            older.lay(root, BUCKET, stored, body, older.attribute(fields))
        await fill(reader, clear)
        present = set(clear) | {f + name for f, name in first.items()}
        await check(reader, present, prefix, limit, delimiter)
        await reader.engine.close()
        await backend.close()
    pool.close()


@given(worlds, firsts, st.one_of(st.just(""), names), st.integers(1, 4), delimiters, st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_service(
    world: dict[str, str], first: dict[str, str], prefix: str, limit: int, delimiter: str, bare: bool
) -> None:
    asyncio.run(in_service(world, first, prefix, limit, delimiter, bare))


@given(worlds, firsts, st.one_of(st.just(""), names), st.integers(1, 4), delimiters)
@settings(max_examples=150, deadline=None)
def test_files(world: dict[str, str], first: dict[str, str], prefix: str, limit: int, delimiter: str) -> None:
    asyncio.run(in_files(world, first, prefix, limit, delimiter))


@given(
    st.dictionaries(st.text(st.sampled_from("a-."), min_size=1, max_size=4), st.sampled_from(STORED[:3]), min_size=3),
    st.integers(1, 2),
)
@settings(max_examples=100, deadline=None)
def test_keys_that_begin_others(world: dict[str, str], limit: int) -> None:
    world = {key: how for key, how in world.items() if key not in (".", "..")}
    asyncio.run(in_service(world, {}, "", limit, "", bare=False))
