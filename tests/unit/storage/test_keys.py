import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.storage import keys

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))

short = st.text("ab/", max_size=6)


@pytest.mark.parametrize(("key", "expected"), [("", False), ("a", True), ("x" * 1025, True), ("x" * 1026, False)])
def test_length(key: str, expected: bool) -> None:
    assert keys.is_key(key) is expected


@given(st.text())
def test_is_key_is_what_its_bytes_say(key: str) -> None:
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        assert not keys.is_key(key)
    else:
        assert keys.is_key(key) is (0 < len(encoded) <= 1025 and b"\0" not in encoded)


@given(text, text)
def test_successor_is_above_all_with_the_prefix_and_below_the_rest(prefix: str, other: str) -> None:
    after = keys.successor(prefix)
    assert after is None or prefix <= prefix + other < after
    if not other.startswith(prefix) and other > prefix:
        assert after is not None
        assert after <= other


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("", None), ("a", "b"), ("a/", "a0"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None)],
    ids=ascii,
)
def test_successor(prefix: str, expected: str | None) -> None:
    assert keys.successor(prefix) == expected


@given(
    st.text("ab/", max_size=6),
    st.text("ab/", max_size=3),
    st.text("ab/", max_size=6),
    st.sampled_from(["", "/", "a", "b/"]),
)
def test_first_wanted_is_at_or_below_what_is_wanted(key: str, prefix: str, after: str, delimiter: str) -> None:
    key = prefix + key
    wanted = (keys.common_prefix(key, prefix, delimiter) or key) > after
    start = keys.first_wanted(prefix, after, delimiter)
    assert (start is not None and key >= start) == wanted
