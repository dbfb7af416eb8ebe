from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backends.filesystem import paths
from tests.support.storage.objects import ODD_KEYS

some_keys = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
    st.text("ab./é", min_size=1, max_size=10),
    st.integers(95, 205).flatmap(lambda size: st.text("ab", min_size=size, max_size=size)),
    st.sampled_from(ODD_KEYS),
).filter(keys.is_key)


@given(some_keys)
def test_a_plain_path_is_safe(key: str) -> None:
    plain = paths.plain(key)
    if plain is not None:
        assert plain == key
        parts = PurePosixPath(plain).parts
        assert "/".join(parts) == key
        assert ".." not in parts
        assert parts[0] not in ("/", paths.RESERVED)
        assert all(len(part.encode()) <= 255 for part in parts)


@given(some_keys)
def test_an_escaped_path_is_safe_and_comes_back(key: str) -> None:
    escaped = paths.escape(key)
    assert paths.unescape(escaped) == key
    *directories, leaf = escaped.split("/")
    assert all(len(name) == 200 for name in directories)
    assert 1 <= len(leaf) <= 200
    assert set(escaped) <= set("0123456789abcdef/+")


@given(some_keys, some_keys)
@example("a" * 100, "a" * 101)
@example("a" * 99, "a" * 100 + "b")
def test_walking_escaped_names_in_order_yields_keys_in_order(left: str, right: str) -> None:
    names = [paths.escape(key).replace("/", "/\0").split("\0") for key in (left, right)]
    assert (names[0] < names[1]) == (left.encode() < right.encode())
    assert (paths.escape(left) < paths.escape(right)) == (left.encode() < right.encode())


@given(some_keys, some_keys)
def test_the_lower_bound_parts_keys(key: str, start: str) -> None:
    assert (paths.escape(key) >= paths.lower_bound(start)) == (key >= start)


@pytest.mark.parametrize(
    "path", ["", "+", "6", "61", "6+", "6G+", "61+x", "ff+", "61/62+", "6A+", "00+", "61" * 100 + "+", ".+"]
)
def test_files_that_are_not_ours(path: str) -> None:
    assert paths.unescape(path) is None


@pytest.mark.parametrize(
    "key", [".deltaglider.fs", ".deltaglider.fs/x", "a//b", "/a", "a/", ".", "a/..", "a/./b", "x" * 256]
)
def test_what_no_tree_can_hold(key: str) -> None:
    assert paths.plain(key) is None


@pytest.mark.parametrize("key", [".deltaglider.fsx", "a/.deltaglider.fs", "...", "..a", "a b", "x" * 255, "é" * 127])
def test_what_a_tree_can_hold(key: str) -> None:
    assert paths.plain(key) == key


@pytest.mark.parametrize("name", ["", ".", "..", ".deltaglider.fs", "lost+found", "a/b", "-a", "a\n", "é", "x" * 256])
def test_what_is_no_bucket(name: str) -> None:
    assert not paths.is_bucket(name)
