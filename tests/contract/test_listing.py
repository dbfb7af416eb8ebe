"""Listings are exact, in byte order, whatever the keys, limits, delimiters and pages."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.storage.keys import is_key
from tests.support.storage.kinds import FILESYSTEM, MEMORY, Kind
from tests.support.storage.objects import (
    BUCKET,
    ODD_KEYS,
    expected_page,
    in_byte_order,
    keys,
    names,
    put,
)

ALPHABET = "ab/.-0é\U0001f600"
some_keys = st.one_of(
    st.text(ALPHABET, min_size=1, max_size=8),
    st.sampled_from(ODD_KEYS),
    st.lists(st.sampled_from(["a", "b", "", ".", "..", "é", "x" * 260]), min_size=1, max_size=4)
    .map("/".join)
    .filter(is_key),
)
prefixes = st.text(ALPHABET, max_size=4)
delimiters = st.sampled_from(["", "/", "/", "/", "-", "//", "a", "a/", "é"])
hiddens = st.sampled_from(["", "", "a", "a/", "a/b", ".", "/"])


@pytest.mark.parametrize("kind", [MEMORY, FILESYSTEM], ids=lambda kind: kind.name)
@given(
    existing=st.sets(some_keys, max_size=14),
    prefix=prefixes,
    after=st.one_of(prefixes, some_keys),
    delimiter=delimiters,
    hidden=hiddens,
    limit=st.integers(0, 6),
)
@settings(max_examples=250, deadline=None)
async def test_a_page_is_what_the_model_says(
    kind: Kind, existing: set[str], prefix: str, after: str, delimiter: str, hidden: str, limit: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        async with kind.make(Path(root)) as backend:
            await backend.create_bucket(BUCKET)
            for key in existing:
                await put(backend, key, b"")
            page = await backend.list(BUCKET, prefix, after, limit, delimiter, hidden)
            assert (names(page), page.truncated) == expected_page(existing, prefix, after, limit, delimiter, hidden)
            await _page_through(backend, existing, prefix, delimiter, hidden, max(limit, 1))


async def _page_through(
    backend: Backend, existing: set[str], prefix: str, delimiter: str, hidden: str, limit: int
) -> None:
    found: list[str] = []
    while True:
        page = await backend.list(BUCKET, prefix, found[-1] if found else "", limit, delimiter, hidden)
        assert len(page.entries) == limit or not page.truncated
        found.extend(names(page))
        if not page.truncated:
            break
    assert found == expected_page(existing, prefix, "", 1000, delimiter, hidden)[0]


@pytest.mark.parametrize("delimiter", ["", "/", "é", "//"])
async def test_all_odd_keys_in_pages(backend: Backend, kind: Kind, delimiter: str) -> None:
    for key in kind.odd_keys:
        await put(backend, key)
    for prefix in ("", "a", "a/", "/", ".", "d/d/", "x" * 1000, "\U0010ffff", "a/b/c", "nothing/here"):
        for limit in (1, 2, 3, 1000):
            await _page_through(backend, set(kind.odd_keys), prefix, delimiter, "", limit)


async def test_hidden_keys_count_for_nothing(backend: Backend) -> None:
    hidden = ".deltaglider/"
    for number in range(30):
        await put(backend, f"{hidden}v1/refs/{number}")
    await put(backend, "a")
    await put(backend, "b/c")
    page = await backend.list(BUCKET, limit=2, hidden=hidden)
    assert (names(page), page.truncated) == (["a", "b/c"], False)
    page = await backend.list(BUCKET, delimiter="/", hidden=hidden)
    assert names(page) == ["a", "b/"]
    page = await backend.list(BUCKET, delimiter="/", hidden=hidden + "v1/")
    assert names(page) == ["a", "b/"]
    assert len(names(await backend.list(BUCKET, prefix=hidden))) == 30


async def test_no_common_prefix_without_a_key(backend: Backend) -> None:
    await put(backend, "a/b/c")
    await put(backend, "a/b/d")
    await backend.delete(BUCKET, "a/b/c")
    assert names(await backend.list(BUCKET, delimiter="/")) == ["a/"]
    await backend.delete(BUCKET, "a/b/d")
    assert names(await backend.list(BUCKET, delimiter="/")) == []


async def test_keys_that_stay_are_listed_once_while_others_change(backend: Backend, kind: Kind) -> None:
    directories = [directory for directory in ("", "d/", "d//", "e/") if kind.holds(f"{directory}x")]
    lasting = [
        f"{directory}{number:03}" for directory in directories if directory != "e/" for number in range(0, 60, 2)
    ]
    for key in lasting:
        await put(backend, key)
    done = asyncio.Event()

    async def churn(offset: int) -> None:
        while not done.is_set():
            for number in range(offset, 60, 4):
                for directory in directories:
                    await put(backend, f"{directory}{number:03}")
                    await put(backend, lasting[number % len(lasting)])
                    await backend.delete(BUCKET, f"{directory}{number:03}")
                await asyncio.sleep(0)

    async def watch() -> None:
        try:
            for _ in range(15):
                found = await keys(backend)
                assert found == in_byte_order(set(found))
                assert set(lasting) <= set(found)
                tops = names(await backend.list(BUCKET, delimiter="/"))
                assert "d/" in tops
        finally:
            done.set()

    await asyncio.gather(churn(1), churn(3), watch())


async def test_a_write_is_listed_at_once(backend: Backend) -> None:
    written: list[str] = []
    for number in range(25):
        written.append(f"{'d/' if number % 2 else ''}{number:02}")
        await put(backend, written[-1])
        assert await keys(backend) == in_byte_order(written)
    for key in list(written):
        written.remove(key)
        await backend.delete(BUCKET, key)
        assert await keys(backend) == in_byte_order(written)
