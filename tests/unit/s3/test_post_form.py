import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.post_form import MAX_FIELDS, FormParser, parse_boundary

BOUNDARY = b"----WebKitFormBoundary7MA4"


def form(
    fields: dict[str, str], file: bytes, name: str = "a.txt", tail: bytes = b"--\r\n", boundary: bytes = BOUNDARY
) -> bytes:
    body = b""
    for field, value in fields.items():
        body += b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (
            boundary,
            field.encode(),
            value.encode(),
        )
    body += (
        b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: text/plain\r\n\r\n'
        % (boundary, name.encode())
    )
    return body + file + b"\r\n--" + boundary + tail


def parse(pieces: list[bytes], boundary: bytes = BOUNDARY) -> tuple[dict[str, str], str, bytes]:
    parser = FormParser(boundary)
    out = b"".join(piece for data in pieces for piece in parser.feed(data))
    parser.finish()
    return parser.fields, parser.file_name, out


FIELDS = {"key": "user/${filename}", "x-amz-meta-a": "größe", "empty": "", "lines": "a\r\nb"}
FILE = b"\r\n--\r\n------WebKitFormBoundary7MA4x\r\n--" + BOUNDARY[:-1] + b"\r\n" + bytes(range(256))
BODY = form(FIELDS, FILE)


def test_at_every_split() -> None:
    expected = (FIELDS, "a.txt", FILE)
    assert parse([BODY]) == expected
    assert parse([BODY[n : n + 1] for n in range(len(BODY))]) == expected
    for cut in range(len(BODY)):
        assert parse([BODY[:cut], BODY[cut:]]) == expected


def test_truncated_at_every_byte() -> None:
    whole = len(BODY) - len(b"\r\n")
    for cut in range(whole):
        with pytest.raises(S3Error) as caught:
            parse([BODY[:cut]])
        assert caught.value.code in (Code.IncompleteBody, Code.MalformedPOSTRequest)
    assert parse([BODY[:whole]])[2] == FILE


@given(st.binary(max_size=200), st.integers(1, 9))
def test_any_file_in_any_steps(data: bytes, step: int) -> None:
    body = form({"key": "k"}, data)
    assert parse([body[n : n + step] for n in range(0, len(body), step)]) == ({"key": "k"}, "a.txt", data)


@given(st.lists(st.sampled_from([b"\r\n--B", b"\r\n--Bx", b"\r", b"\n", b"--B", b"B", b"-", b"x"]), max_size=12))
def test_a_file_full_of_almost_boundaries(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    ends = re.search(rb"\r\n--B(--|\r\n)", data + b"\r\n--B--")
    if ends is None or ends.start() < len(data):
        return
    body = form({"key": "k"}, data, boundary=b"B")
    assert parse([body[n : n + 1] for n in range(len(body))], b"B")[2] == data


def test_what_follows_the_file_is_ignored() -> None:
    body = form({"key": "k"}, b"data", tail=b"\r\n")
    body += b'Content-Disposition: form-data; name="key"\r\n\r\nother\r\n--' + BOUNDARY + b"--\r\n"
    assert parse([body]) == ({"key": "k"}, "a.txt", b"data")


def test_fields_are_known_before_the_file() -> None:
    parser = FormParser(BOUNDARY)
    head = BODY.index(b"text/plain\r\n\r\n") + len(b"text/plain\r\n\r\n")
    assert parser.feed(BODY[:head]) == []
    assert parser.file_started
    assert parser.fields == FIELDS
    assert not parser.done


def test_a_large_file_is_not_kept() -> None:
    parser = FormParser(BOUNDARY)
    parser.feed(form({"key": "k"}, b"")[: -len(BOUNDARY) - 8])
    for _ in range(100):
        assert sum(map(len, parser.feed(bytes(1 << 16)))) >= (1 << 16) - len(BOUNDARY) - 6


@pytest.mark.parametrize(
    ("sent", "name"),
    [("C:\\\\dir\\\\a.txt", "a.txt"), ("/tmp/ä b.txt", "ä b.txt"), ("a%22b", 'a"b'), ('a\\"b', 'a"b'), ("", "")],
)
def test_file_names(sent: str, name: str) -> None:
    assert parse([form({"key": "k"}, b"", name=sent)])[1] == name


def test_field_names_are_in_lower_case() -> None:
    assert parse([form({"Key": "k", "X-Amz-Date": "d"}, b"")])[0] == {"key": "k", "x-amz-date": "d"}


def disposition(text: bytes) -> bytes:
    return b"--%s\r\n%s\r\n\r\nvalue\r\n--%s--\r\n" % (BOUNDARY, text, BOUNDARY)


@pytest.mark.parametrize(
    "body",
    [
        b"no form at all, only text that is long enough to be looked at",
        b"--" + BOUNDARY + b"--\r\n",
        b"--" + BOUNDARY + b"xx\r\n",
        disposition(b'Content-Disposition: form-data; name="key"'),
        disposition(b"Content-Type: text/plain"),
        disposition(b'Content-Disposition: form-data; name=""'),
        disposition(b'Content-Disposition: form-data; name="\xff"'),
        form({"key": "a", "KEY": "b"}, b""),
        form({"key": "a"}, b"").replace(b"\r\na\r\n", b"\r\n\xff\r\n"),
        form({"key": "a"}, b"").replace(b"\r\na\r\n--" + BOUNDARY, b"\r\na\r\n--" + BOUNDARY + b"xx"),
    ],
)
def test_malformed(body: bytes) -> None:
    for pieces in ([body], [body[n : n + 1] for n in range(len(body))]):
        with pytest.raises(S3Error) as caught:
            parse(pieces)
        assert caught.value.code is Code.MalformedPOSTRequest


def test_too_much_before_the_file() -> None:
    assert parse([form({"key": "k" * (MAX_FIELDS - 500)}, b"")])[2] == b""
    for body in (form({"key": "k" * MAX_FIELDS}, b""), b"--" + BOUNDARY + b"\r\n" + b"x" * MAX_FIELDS):
        for step in (len(body), 100):
            with pytest.raises(S3Error) as caught:
                parse([body[n : n + step] for n in range(0, len(body), step)])
            assert caught.value.code is Code.MaxPostPreDataLengthExceededError


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('multipart/form-data; boundary="a b c"', b"a b c"),
        ("Multipart/Form-Data; charset=utf-8; Boundary=abc; x=y", b"abc"),
    ],
)
def test_boundaries(text: str, boundary: bytes) -> None:
    assert parse_boundary(text) == boundary


@pytest.mark.parametrize(
    "text", ["", "multipart/form-data", "text/plain; boundary=a", "multipart/form-data; boundary="]
)
def test_no_boundary(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_boundary(text)
    assert caught.value.code is Code.MalformedPOSTRequest
