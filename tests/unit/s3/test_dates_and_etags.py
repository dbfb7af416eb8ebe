import hashlib
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.s3.protocol.dates import http_date, iso_date, parse_http_date, parse_iso
from deltaglider_proxy.s3.protocol.etags import multipart_etag, quote, unquote

MOMENTS = st.floats(0, 4_000_000_000)


@given(MOMENTS)
def test_formats(moment: float) -> None:
    assert http_date(moment) == formatdate(int(moment), usegmt=True)
    text = datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert iso_date(moment) == text
    assert parse_http_date(http_date(moment)) == int(moment)
    assert parse_iso(text) == int(moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun, 06 Nov 1994 09:49:37 +0100", 784111777),
        ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
def test_http_dates(text: str, expected: int | None) -> None:
    assert parse_http_date(text) == expected


@pytest.mark.parametrize("text", ["", "2030", "2030-01-01T00:00:00", "tomorrow", "2030-13-01T00:00:00Z"])
def test_iso_needs_a_whole_time_with_a_zone(text: str) -> None:
    assert parse_iso(text) is None


@pytest.mark.parametrize("text", ["e", '"e"', 'W/"e"', "&quot;e&quot;", ' "e" '])
def test_tags_without_quotes(text: str) -> None:
    assert unquote(text) == "e"
    assert unquote(quote("e")) == "e"


def test_multipart_etag() -> None:
    parts = [hashlib.md5(part).hexdigest() for part in (b"a", b"b")]
    joined = hashlib.md5(b"a").digest() + hashlib.md5(b"b").digest()
    assert multipart_etag(parts) == hashlib.md5(joined).hexdigest() + "-2"
