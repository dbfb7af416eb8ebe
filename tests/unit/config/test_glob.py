import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.config.glob import GlobError, compile_glob


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*.zip", ["a.zip", "a/b.zip", ".zip"], ["a.zipx", "a.ZIP"]),
        ("a?c", ["abc", "a/c"], ["ac", "abbc"]),
        ("[a-c]x", ["ax", "cx"], ["dx"]),
        ("[!a-c]x", ["dx", "^x"], ["ax"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("{a,b*}/c", ["a/c", "bbb/c"], ["c/c", "a,b/c"]),
        ("{a,{b,c}}", ["a", "b", "c"], [""]),
        (".deltaglider/**", [".deltaglider/a", ".deltaglider/a/b"], [".deltaglider", "x/.deltaglider/a"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        (r"\*", ["*"], ["a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a,b", ["a,b"], ["a"]),
        ("*", ["", "a\nb"], []),
    ],
)
def test_matching(glob: str, matching: list[str], others: list[str]) -> None:
    pattern = compile_glob(glob)
    assert [key for key in matching if not pattern.fullmatch(key)] == []
    assert [key for key in others if pattern.fullmatch(key)] == []


@pytest.mark.parametrize("glob", ["[a", "[", "[]", "{a", "a}", "[z-a]", "a\\"])
def test_what_is_no_glob(glob: str) -> None:
    with pytest.raises(GlobError):
        compile_glob(glob)


@given(st.text(st.sampled_from("ab/*?[]!-^{},\\."), max_size=12))
def test_every_text_compiles_or_is_refused(glob: str) -> None:
    try:
        compile_glob(glob)
    except GlobError:
        return


@given(st.text(st.characters(exclude_characters="*?[]{},\\"), max_size=20))
def test_a_text_without_special_characters_matches_itself_only(text: str) -> None:
    pattern = compile_glob(text)
    assert pattern.fullmatch(text)
    assert not pattern.fullmatch(text + "x")


def test_many_stars_and_a_long_text_take_no_time() -> None:
    assert not compile_glob("*/" * 30 + "*.sql").fullmatch("/" * 10_000)
