from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.listing import (
    BucketsQuery,
    ListQuery,
    PartsQuery,
    decode_token,
    encode_token,
    parse_buckets,
    parse_objects_v1,
    parse_objects_v2,
    parse_parts,
    parse_uploads,
    parse_versions,
    part_number,
)

TEXT = st.text(st.characters(blacklist_categories=["Cs"]))


@given(TEXT)
def test_tokens(key: str) -> None:
    token = encode_token(key)
    assert token.isascii()
    assert decode_token(token) == key


@given(TEXT)
def test_a_foreign_token_is_a_key(text: str) -> None:
    assert decode_token(text) == text


@pytest.mark.parametrize("rest", ["", "????", "AAAA", urlsafe_b64encode(b"\0\0\0\1key").decode(), "ä"])
def test_a_damaged_token_is_a_key(rest: str) -> None:
    assert decode_token("dgp1." + rest) == "dgp1." + rest


def test_defaults() -> None:
    assert parse_objects_v1({}) == ListQuery()
    assert parse_objects_v2({"list-type": "2"}) == ListQuery()


def test_version_1() -> None:
    query = parse_objects_v1({"prefix": "p", "delimiter": "/", "marker": "m", "max-keys": "7", "encoding-type": "url"})
    assert query == ListQuery("p", "/", "m", 7, True, marker="m")


def test_version_2() -> None:
    query = parse_objects_v2({"start-after": "s", "fetch-owner": "true", "max-keys": "5000"})
    assert query == ListQuery(after="s", limit=1000, start_after="s", fetch_owner=True)
    token = encode_token("t")
    query = parse_objects_v2({"start-after": "s", "continuation-token": token})
    assert (query.after, query.token, query.start_after) == ("t", token, "s")


@pytest.mark.parametrize(("text", "limit"), [("0", 0), ("1", 1), ("1000", 1000), ("1001", 1000), ("", 1000)])
def test_max_keys(text: str, limit: int) -> None:
    assert parse_objects_v2({"max-keys": text}).limit == limit


Parser = Callable[[Mapping[str, str]], object]


@pytest.mark.parametrize(
    ("parser", "name", "value"),
    [
        (parse_objects_v1, "max-keys", "-1"),
        (parse_objects_v1, "max-keys", "x"),
        (parse_objects_v1, "max-keys", "1.5"),
        (parse_objects_v1, "max-keys", "9" * 30),
        (parse_objects_v1, "max-keys", "2147483648"),
        (parse_objects_v1, "max-keys", "٣"),
        (parse_objects_v1, "encoding-type", "base64"),
        (parse_objects_v1, "prefix", "a\0"),
        (parse_objects_v2, "continuation-token", ""),
        (parse_objects_v2, "start-after", "\0"),
        (parse_versions, "version-id-marker", "null"),
        (parse_uploads, "max-uploads", "-1"),
        (parse_buckets, "max-buckets", "0"),
        (part_number, "partNumber", "0"),
        (part_number, "partNumber", "10001"),
        (part_number, "partNumber", ""),
        (part_number, "partNumber", "one"),
    ],
)
def test_refused(parser: Parser, name: str, value: str) -> None:
    with pytest.raises(S3Error) as caught:
        parser({name: value})
    assert caught.value.code is Code.InvalidArgument
    assert caught.value.fields["ArgumentName"] == name


def test_others() -> None:
    assert parse_parts({"uploadId": "u", "part-number-marker": "3", "max-parts": "2"}) == PartsQuery("u", 3, 2)
    assert parse_parts({"uploadId": "u"}) == PartsQuery("u", 0, 1000)
    assert parse_buckets({"max-buckets": "99999", "prefix": "p", "continuation-token": "b"}) == BucketsQuery(
        "p", "b", 10_000
    )
    uploads = parse_uploads({"upload-id-marker": "u", "max-uploads": "3"})
    assert (uploads.upload_marker, uploads.limit) == ("", 3)
    assert parse_uploads({"upload-id-marker": "u", "key-marker": "k"}).upload_marker == "u"
    versions = parse_versions({"key-marker": "k", "version-id-marker": "null"})
    assert (versions.key_marker, versions.version_marker) == ("k", "null")
    assert part_number({}) is None
    assert part_number({"partNumber": "10000"}) == 10_000
