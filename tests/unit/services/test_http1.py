import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.storage.services.http1 import (
    NO_BODY,
    BadMessage,
    Framing,
    Head,
    Kind,
    answer_framing,
    pieces,
    read_head,
    request_framing,
)

NAMES = st.text("ABCdef-", min_size=1, max_size=12)
VALUES = st.text("aZ09 =/;\xe9", max_size=20).map(str.strip)


def fed(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def whole(data: bytes, framing: Framing) -> bytes:
    return b"".join([piece async for piece in pieces(fed(data), framing)])


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_a_head_comes_back_with_its_spelling_and_order(fields: list[tuple[str, str]]) -> None:
    head = Head("GET /a?b=c HTTP/1.1", tuple(fields))

    async def read() -> Head | None:
        return await read_head(fed(head.encoded()))

    assert asyncio.run(read()) == head


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_a_chunked_body_comes_back_without_its_framing(chunks: list[bytes]) -> None:
    framing = Framing(Kind.CHUNKED)
    data = b"".join(framing.wrapped(chunk) for chunk in chunks) + framing.end
    assert asyncio.run(whole(data, framing)) == b"".join(chunks)


async def test_sizes_of_chunks_may_have_extensions_and_trailers_may_follow() -> None:
    data = b"3;name=value\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"
    assert await whole(data, Framing(Kind.CHUNKED)) == b"abc"


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost: a"])
async def test_an_end_between_messages_is_told_from_one_inside_a_head(data: bytes) -> None:
    if data:
        with pytest.raises(asyncio.IncompleteReadError):
            await read_head(fed(data))
    else:
        assert await read_head(fed(data)) is None


async def test_a_line_that_is_no_field_is_refused() -> None:
    with pytest.raises(BadMessage, match="no field"):
        await read_head(fed(b"GET / HTTP/1.1\r\nnonsense\r\n\r\n"))


async def test_a_body_that_is_too_short_is_told() -> None:
    for framing in (Framing(Kind.LENGTH, 5), Framing(Kind.CHUNKED)):
        with pytest.raises(asyncio.IncompleteReadError):
            await whole(b"5\r\nabc" if framing.kind is Kind.CHUNKED else b"abc", framing)


async def test_a_size_of_a_chunk_that_is_none_is_refused() -> None:
    with pytest.raises(BadMessage, match="size of a chunk"):
        await whole(b"zz\r\n\r\n", Framing(Kind.CHUNKED))


def head(start: str, **fields: str) -> Head:
    return Head(start, tuple((name.replace("_", "-"), value) for name, value in fields.items()))


def test_framing_of_requests() -> None:
    assert request_framing(head("GET / HTTP/1.1")) == NO_BODY
    assert request_framing(head("PUT / HTTP/1.1", content_LENGTH="7")) == Framing(Kind.LENGTH, 7)
    assert request_framing(head("PUT / HTTP/1.1", transfer_encoding="Chunked", content_length="7")).kind is Kind.CHUNKED
    with pytest.raises(BadMessage, match="Content-Length is"):
        request_framing(head("PUT / HTTP/1.1", content_length="-1"))


@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (204, "GET"), (304, "GET"), (100, "PUT")])
def test_answers_that_have_no_body_whatever_they_announce(status: int, method: str) -> None:
    assert answer_framing(head(f"HTTP/1.1 {status} X", content_length="7"), method) == NO_BODY


def test_an_answer_that_announces_nothing_lasts_until_the_connection_ends() -> None:
    assert answer_framing(head("HTTP/1.1 200 OK"), "GET").kind is Kind.UNTIL_CLOSE


def test_fields_are_found_and_taken_out_in_any_case() -> None:
    found = head("PUT / HTTP/1.1", If_Match='"a"', X="1", if_match='"b"')
    assert found.get("IF-MATCH") == '"a", "b"'
    assert found.without(["if-match"]).fields == (("X", "1"),)


@pytest.mark.parametrize(
    ("start", "fields", "last"),
    [
        ("GET / HTTP/1.1", {}, False),
        ("GET / HTTP/1.0", {}, True),
        ("HTTP/1.1 200 OK", {"connection": "Close"}, True),
        ("HTTP/1.1 200 OK", {"connection": "keep-alive"}, False),
    ],
)
def test_who_ends_the_connection(start: str, fields: dict[str, str], last: bool) -> None:
    assert head(start, **fields).last is last
