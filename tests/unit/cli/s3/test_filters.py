import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.s3.filters import Filters
from deltaglider_proxy.cli.s3.locations import BadArgument


@pytest.mark.parametrize(
    ("include", "exclude", "key", "passes"),
    [
        ([], [], "a/b.bin", True),
        (["*.bin"], [], "a/b.bin", True),
        (["*.bin"], [], "a/b.txt", False),
        (["b.*"], [], "a/b.txt", True),
        (["a/*"], [], "a/b.txt", True),
        (["a/*"], [], "c/a/b.txt", False),
        (["*.bin", "*.txt"], [], "b.txt", True),
        ([], ["*.bin"], "a/b.bin", False),
        (["*.bin"], ["b.*"], "a/b.bin", False),
        (["*"], ["a/*"], "a/b", False),
        (["[ab].bin"], [], "x/b.bin", True),
        (["*.BIN"], [], "b.bin", False),
    ],
)
def test_what_passes(include: list[str], exclude: list[str], key: str, passes: bool) -> None:
    assert Filters.of(include, exclude).passes(key) is passes


@pytest.mark.parametrize("glob", ["[", "{a", "a\\"])
def test_bad_globs(glob: str) -> None:
    for include, exclude in (([glob], []), ([], [glob])):
        with pytest.raises(BadArgument) as refused:
            Filters.of(include, exclude)
        assert refused.value.code is ExitCode.USAGE
        assert repr(glob) in str(refused.value)


@given(st.text(), st.lists(st.sampled_from(["*.a", "b*", "c/*"])), st.lists(st.sampled_from(["*.a", "b*", "c/*"])))
def test_an_exclude_wins(key: str, include: list[str], exclude: list[str]) -> None:
    both, only = Filters.of(include, exclude), Filters.of(exclude, [])
    if exclude and only.passes(key):
        assert not both.passes(key)
    else:
        assert both.passes(key) == Filters.of(include, []).passes(key)
