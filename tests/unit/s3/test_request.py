from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.names import is_bucket_name
from deltaglider_proxy.s3.protocol.request import MAX_KEY, Request, parse_request

KEYS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=200)


def parse(path: bytes, query: bytes = b"", host: bytes = b"localhost:9000", domain: bytes = b"") -> Request:
    return parse_request("GET", path, query, [(b"host", host)], domain)


def code(path: bytes, query: bytes = b"") -> Code:
    with pytest.raises(S3Error) as caught:
        parse(path, query)
    return caught.value.code


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        (b"/", "", ""),
        (b"", "", ""),
        (b"/bucket", "bucket", ""),
        (b"/bucket/", "bucket", ""),
        (b"/bucket/a", "bucket", "a"),
        (b"/bucket//a", "bucket", "/a"),
        (b"/bucket/a//b/../c/./d/", "bucket", "a//b/../c/./d/"),
        (b"/bucket/a+b%20c", "bucket", "a+b c"),
        (b"/bucket/a%2Fb%2fc", "bucket", "a/b/c"),
        (b"/bucket/%C3%A4", "bucket", "ä"),
        (b"/bucket/\xc3\xa4", "bucket", "ä"),
        (b"/bucket/%01%7F", "bucket", "\x01\x7f"),
        (b"/bucket/%25%32%35", "bucket", "%25"),
        (b"/my.bucket-1/k", "my.bucket-1", "k"),
        (b"/buc%6bet/k", "bucket", "k"),
    ],
)
def test_path_style(path: bytes, bucket: str, key: str) -> None:
    request = parse(path)
    assert (request.bucket, request.key) == (bucket, key)


@given(KEYS)
def test_every_key_comes_back(key: str) -> None:
    if len(key.encode()) <= MAX_KEY:
        assert parse(f"/bucket/{quote(key, safe='/')}".encode()).key == key
        assert parse(b"/bucket/" + key.replace("%", "%25").encode()).key == key


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/bucket/%ff", Code.InvalidURI),
        (b"/bucket/%C3", Code.InvalidURI),
        (b"/bucket/%ED%A0%80", Code.InvalidURI),
        (b"/bucket/%zz", Code.InvalidURI),
        (b"/bucket/a%4", Code.InvalidURI),
        (b"/bucket/a%", Code.InvalidURI),
        (b"/bucket/a%00b", Code.InvalidArgument),
        (b"/bucket/a\0b", Code.InvalidArgument),
        (b"//bucket/key", Code.InvalidBucketName),
        (b"/Bucket/key", Code.InvalidBucketName),
        (b"/_/health", Code.InvalidBucketName),
        (b"/a%2Fb/key", Code.InvalidBucketName),
        (b"/../etc", Code.InvalidBucketName),
        (b"/bucket/" + b"k" * (MAX_KEY + 1), Code.KeyTooLongError),
        (b"/bucket/" + b"%C3%A4" * (MAX_KEY // 2 + 1), Code.KeyTooLongError),
    ],
)
def test_refused_paths(path: bytes, expected: Code) -> None:
    assert code(path) is expected


@pytest.mark.parametrize("key", [b"k" * MAX_KEY, b"%C3%A4" * (MAX_KEY // 2), b"%F0%9F%98%80" * (MAX_KEY // 4)])
def test_longest_keys(key: bytes) -> None:
    assert len(parse(b"/bucket/" + key).key.encode()) == MAX_KEY


@pytest.mark.parametrize(
    ("host", "path", "bucket", "key"),
    [
        (b"bucket.s3.example.com", b"/a/b", "bucket", "a/b"),
        (b"bucket.s3.example.com:9000", b"/", "bucket", ""),
        (b"BUCKET.S3.example.com", b"//a", "bucket", "/a"),
        (b"my.bucket.s3.example.com", b"/k", "my.bucket", "k"),
        (b"s3.example.com", b"/bucket/k", "bucket", "k"),
        (b"10.0.0.1:9000", b"/bucket/k", "bucket", "k"),
        (b"[::1]:9000", b"/bucket/k", "bucket", "k"),
        (b"other.example.com", b"/bucket/k", "bucket", "k"),
        (b"notas3.example.com", b"/bucket/k", "bucket", "k"),
        (b"", b"/bucket/k", "bucket", "k"),
    ],
)
def test_virtual_hosts(host: bytes, path: bytes, bucket: str, key: str) -> None:
    request = parse(path, host=host, domain=b"s3.example.com")
    assert (request.bucket, request.key) == (bucket, key)


def test_hosts_mean_nothing_without_a_domain() -> None:
    assert parse(b"/bucket/k", host=b"a.s3.example.com").bucket == "bucket"


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (b"acl", {"acl": ""}),
        (b"acl=", {"acl": ""}),
        (b"prefix=a%2Fb+c&marker=%C3%A4", {"prefix": "a/b c", "marker": "ä"}),
        (b"a=1&a=2", {"a": "1"}),
        (b"&&a=1&", {"a": "1"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"%61cl", {"acl": ""}),
        (b"", {}),
    ],
)
def test_query(query: bytes, parameters: dict[str, str]) -> None:
    assert parse(b"/bucket", query).parameters == parameters


@pytest.mark.parametrize("query", [b"prefix=%ff", b"prefix=100%", b"%zz=1", b"prefix=\xff"])
def test_refused_queries(query: bytes) -> None:
    assert code(b"/bucket", query) is Code.InvalidURI


def test_repeated_headers_are_joined_in_order() -> None:
    headers = [(b"host", b"h"), (b"if-match", b'"a"'), (b"x", b"1"), (b"if-match", b'"b"')]
    request = parse_request("GET", b"/bucket", b"", headers)
    assert request.headers == {b"host": b"h", b"if-match": b'"a","b"', b"x": b"1"}


def test_header_as_text() -> None:
    request = parse_request("GET", b"/", b"", [(b"a", "ä".encode()), (b"b", b"\xff")])
    assert request.header(b"a") == "ä"
    assert request.header(b"none") is None
    with pytest.raises(S3Error) as caught:
        request.header(b"b")
    assert caught.value.code is Code.InvalidArgument


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a.b.c", "a-b", "1a2", "123", "1.2.3", "a--b", "0x7g.1"])
def test_good_bucket_names(name: str) -> None:
    assert is_bucket_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "ab", "a" * 64, "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "a.-b", "a-.b", "a/b", "xn--abc"),
        *("1.2.3.4", "127.1", "0x7f.1", "0x7f.0x0.0x0.0x1", "010.0.0.1", "abc\n", "äbc", "a b", "..."),
    ],
)
def test_bad_bucket_names(name: str) -> None:
    assert not is_bucket_name(name)
