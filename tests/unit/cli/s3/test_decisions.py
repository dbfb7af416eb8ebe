"""What `sync` transfers and what `migrate` copies."""

import pytest

from deltaglider_proxy.cli.s3.locations import BadArgument, Remote, parse
from deltaglider_proxy.cli.s3.migrate import destination, is_there
from deltaglider_proxy.cli.s3.sync import Comparison, check, differs
from deltaglider_proxy.cli.s3.transfer import Entry

AT = 1_700_000_000.25
USUAL, SIZE_ONLY, EXACT = Comparison(), Comparison(size_only=True), Comparison(exact_timestamps=True)


@pytest.mark.parametrize(
    ("size", "newer_by", "how", "transfers"),
    [
        (1, 0.0, USUAL, False),
        (2, 0.0, USUAL, True),
        (2, -5.0, USUAL, True),
        (1, 1.0, USUAL, False),
        (1, 1.001, USUAL, True),
        (1, -1000.0, USUAL, False),
        (1, None, USUAL, False),
        (1, 0.001, EXACT, True),
        (1, 0.0, EXACT, False),
        (1, -0.001, EXACT, False),
        (1, 1000.0, SIZE_ONLY, False),
        (2, 0.0, SIZE_ONLY, True),
    ],
)
def test_what_is_transferred(size: int, newer_by: float | None, how: Comparison, transfers: bool) -> None:
    target = Entry("a", 1, AT)
    source = Entry("a", size, None if newer_by is None else AT + newer_by)
    assert differs(source, target, how) is transfers


@pytest.mark.parametrize("how", [USUAL, SIZE_ONLY, EXACT])
def test_what_is_missing_is_transferred(how: Comparison) -> None:
    assert differs(Entry("a", 0, None), None, how)


def test_an_unknown_time_of_the_target_is_no_reason() -> None:
    assert not differs(Entry("a", 1, AT), Entry("a", 1, None), USUAL)


def test_two_folders_of_this_host_are_not_synced() -> None:
    with pytest.raises(BadArgument, match="s3://"):
        check(parse("a"), parse("b"))
    with pytest.raises(BadArgument, match="no folder"):
        check(parse("/nowhere/at/all"), parse("s3://releases"))


@pytest.mark.parametrize(
    ("target", "there"),
    [
        (None, False),
        (Entry("a", 1, AT, "x"), True),
        (Entry("a", 2, AT, "x"), False),
        (Entry("a", 1, AT, "y"), False),
        (Entry("a", 1, AT, "y-2"), True),
    ],
)
def test_what_is_migrated_already(target: Entry | None, there: bool) -> None:
    assert is_there(Entry("a", 1, AT, "x"), target) is there


@pytest.mark.parametrize(
    ("source", "target", "keep", "found"),
    [
        ("path/foo/", "archive/", True, "archive/foo/"),
        ("path/foo", "archive", True, "archive/foo/"),
        ("path/foo/", "archive/", False, "archive/"),
        ("", "archive", True, "archive/"),
        ("", "", True, ""),
        ("foo", "", True, "foo/"),
    ],
)
def test_where_a_prefix_goes(source: str, target: str, keep: bool, found: str) -> None:
    assert destination(Remote("abc", source), Remote("xyz", target), keep_prefix=keep) == Remote("xyz", found)
