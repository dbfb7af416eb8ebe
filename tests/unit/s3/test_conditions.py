from itertools import product

import pytest

from deltaglider_proxy.s3.protocol.conditions import (
    Conditions,
    Outcome,
    if_range_holds,
    parse_conditions,
    parse_copy_source_conditions,
    parse_tags,
)
from deltaglider_proxy.s3.protocol.dates import http_date

T = 1_700_000_000
NOW = T + 0.75
"""The object's time has a fraction that clients never see."""


def conditions(**headers: str) -> Conditions:
    found = parse_conditions({name.replace("_", "-").encode(): value.encode() for name, value in headers.items()})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"if_match": '"e"'}, Outcome.PROCEED),
        ({"if_match": "e"}, Outcome.PROCEED),
        ({"if_match": "*"}, Outcome.PROCEED),
        ({"if_match": '"x", "e"'}, Outcome.PROCEED),
        ({"if_match": '"x"'}, Outcome.FAILED),
        ({"if_match": 'W/"e"'}, Outcome.FAILED),
        ({"if_match": ""}, Outcome.FAILED),
        ({"if_none_match": '"e"'}, Outcome.NOT_MODIFIED),
        ({"if_none_match": 'W/"e"'}, Outcome.NOT_MODIFIED),
        ({"if_none_match": '"x",W/"e"'}, Outcome.NOT_MODIFIED),
        ({"if_none_match": "*"}, Outcome.NOT_MODIFIED),
        ({"if_none_match": '"x"'}, Outcome.PROCEED),
        ({"if_modified_since": http_date(T)}, Outcome.NOT_MODIFIED),
        ({"if_modified_since": http_date(T - 1)}, Outcome.PROCEED),
        ({"if_unmodified_since": http_date(T)}, Outcome.PROCEED),
        ({"if_unmodified_since": http_date(T - 1)}, Outcome.FAILED),
        ({"if_modified_since": "yesterday"}, Outcome.PROCEED),
        ({"if_unmodified_since": "yesterday"}, Outcome.PROCEED),
        # A tag decides over its date.
        ({"if_match": '"e"', "if_unmodified_since": http_date(T - 1)}, Outcome.PROCEED),
        ({"if_none_match": '"x"', "if_modified_since": http_date(T)}, Outcome.PROCEED),
        ({"if_none_match": '"e"', "if_modified_since": http_date(T - 1)}, Outcome.NOT_MODIFIED),
        # What fails goes before what is not modified.
        ({"if_match": '"x"', "if_none_match": '"e"'}, Outcome.FAILED),
        ({"if_unmodified_since": http_date(T - 1), "if_none_match": '"e"'}, Outcome.FAILED),
    ],
)
def test_reads(headers: dict[str, str], expected: Outcome) -> None:
    assert conditions(**headers).for_read("e", NOW) is expected


def test_copy_sources_only_fail() -> None:
    headers = {b"x-amz-copy-source-if-none-match": b'"e"', b"x-amz-copy-source-if-modified-since": b"x"}
    found = parse_copy_source_conditions(headers)
    assert found is not None
    assert found.for_copy_source("e", NOW) is Outcome.FAILED
    assert found.for_copy_source("other", NOW) is Outcome.PROCEED
    assert parse_conditions(headers) is None


def test_copy_source_pairs() -> None:
    old, new = http_date(T - 10).encode(), http_date(T + 10).encode()
    name = b"x-amz-copy-source-if-"
    for match, unmodified in product((b"e", b"x"), (old, new)):
        found = parse_copy_source_conditions({name + b"match": match, name + b"unmodified-since": unmodified})
        assert found is not None
        assert (found.for_copy_source("e", NOW) is Outcome.PROCEED) == (match == b"e")
    for match, modified in product((b"e", b"x"), (old, new)):
        found = parse_copy_source_conditions({name + b"none-match": match, name + b"modified-since": modified})
        assert found is not None
        assert (found.for_copy_source("e", NOW) is Outcome.PROCEED) == (match == b"x")


@pytest.mark.parametrize(
    ("headers", "absent", "same", "other"),
    [
        ({"if_none_match": "*"}, Outcome.PROCEED, Outcome.FAILED, Outcome.FAILED),
        ({"if_none_match": '"e"'}, Outcome.PROCEED, Outcome.FAILED, Outcome.PROCEED),
        ({"if_match": '"e"'}, Outcome.MISSING, Outcome.PROCEED, Outcome.FAILED),
        ({"if_match": "*"}, Outcome.MISSING, Outcome.PROCEED, Outcome.PROCEED),
        ({"if_match": 'W/"e"'}, Outcome.MISSING, Outcome.FAILED, Outcome.FAILED),
        ({"if_modified_since": "x"}, Outcome.PROCEED, Outcome.PROCEED, Outcome.PROCEED),
    ],
)
def test_writes(headers: dict[str, str], absent: Outcome, same: Outcome, other: Outcome) -> None:
    found = conditions(**headers)
    assert (found.for_write(None), found.for_write("e"), found.for_write("o")) == (absent, same, other)


def test_no_conditions() -> None:
    assert parse_conditions({b"host": b"h", b"range": b"bytes=0-1"}) is None


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (None, True),
        ('"e"', True),
        ("e", True),
        ('W/"e"', False),
        ('"x"', False),
        ("*", False),
        (http_date(T), True),
        (http_date(T + 1), False),
    ],
)
def test_if_range(text: str | None, holds: bool) -> None:
    assert if_range_holds(text, "e", NOW) is holds


def test_tags_with_commas_inside() -> None:
    tags = parse_tags('"a,b" , c,W/"d",, "e')
    assert [(tag.value, tag.weak) for tag in tags.tags] == [("a,b", False), ("c", False), ("d", True), ("e", False)]
