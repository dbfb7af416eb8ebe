"""Metadata survives HTTP headers exactly, and what S3 has to count stays below its limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.storage.backends.s3.metadata import MAX, from_headers, to_headers
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import MetadataTooLarge

values = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(["", " ", " a", "a ", "a  b", "a\tb", "a\r\nb", "=?UTF-8?B?aGk=?=", "=?", "=?x?q?_?=", "é", "\0"]),
)
CAREFUL = [
    Verdicts(empty_values=empty, utf8_values=utf8)
    for empty in (Verdict.WORKS, Verdict.LACKING)
    for utf8 in (Verdict.WORKS, Verdict.UNTESTED)
]
names = st.text("abc0-", min_size=1, max_size=8).map("x-amz-meta-{}".format)


@given(
    st.dictionaries(names, values, max_size=5),
    st.dictionaries(st.sampled_from(["content-type", "cache-control", "content-disposition"]), values, max_size=2),
)
def test_what_is_sent_comes_back(user: dict[str, str], system: dict[str, str]) -> None:
    system = {name: value.strip() for name, value in system.items() if value != "binary/octet-stream"}
    metadata = {**user, **system}
    headers = to_headers(metadata)
    for value in headers.values():
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()
    assert from_headers({name.title(): value for name, value in headers.items()}) == metadata


@given(st.dictionaries(names, values, max_size=5), st.sampled_from(CAREFUL))
def test_what_a_service_keeps_is_sent_as_it_is(user: dict[str, str], verdicts: Verdicts) -> None:
    """As bytes that neither HTTP nor a signature changes, and so that it comes back."""
    headers = to_headers(user, verdicts)
    for name, value in user.items():
        sent = headers[name]
        assert sent == " ".join(sent.split())
        assert sent.isprintable()
        if value == "" and verdicts.empty_values is Verdict.WORKS:
            assert sent == ""
        if not value.isascii() and value.isalpha() and verdicts.utf8_values is Verdict.WORKS:
            assert sent == value
        if verdicts.utf8_values is not Verdict.WORKS:
            assert sent.isascii()
        if verdicts.empty_values is not Verdict.WORKS:
            assert sent
    assert from_headers(headers) == user


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=6), values), max_size=60))
def test_what_we_accept_s3_accepts(entries: list[tuple[str, str]]) -> None:
    metadata = {f"x-amz-meta-{number}-{name}": value for number, (name, value) in enumerate(entries)}
    try:
        headers = to_headers(metadata)
    except MetadataTooLarge:
        assert sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items()) > MAX
        return
    counted = sum(len(n) - len("x-amz-meta-") + len(v) for n, v in headers.items() if n != "content-type")
    assert counted <= 2048


@pytest.mark.parametrize(
    ("stored", "meant"),
    [
        ("=?UTF-8?B?w6k=?=", "é"),
        ("=?UTF-8?Q?=C3=A9_b?=", "é b"),
        ("=?utf-8?b?w6k=?= =?UTF-8?B?w6k=?=", "éé"),
        ("=?ISO-8859-1?Q?=E9?=", "é"),
        ("=?no-such-charset?B?w6k=?=", "=?no-such-charset?B?w6k=?="),
        ("=?UTF-8?B?***?=", "=?UTF-8?B?***?="),
        ("plain", "plain"),
    ],
)
def test_what_other_programs_stored(stored: str, meant: str) -> None:
    assert from_headers({"x-amz-meta-a": stored}) == {"x-amz-meta-a": meant}


def test_the_type_that_says_nothing_is_not_shown() -> None:
    assert to_headers({}) == {"content-type": "binary/octet-stream"}
    assert from_headers({"Content-Type": "binary/octet-stream", "ETag": '"x"', "Server": "y"}) == {}


def test_names() -> None:
    with pytest.raises(MetadataTooLarge, match="name"):
        to_headers({"x-amz-meta-ü": "v"})
    with pytest.raises(ValueError, match="x-amz-meta-"):
        to_headers({"color": "v"})
