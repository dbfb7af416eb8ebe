from email.header import decode_header, make_header

import pytest

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.metadata import (
    MAX_USER_METADATA,
    check_create_bucket,
    parse_object_headers,
    refuse_unsupported,
    response_overrides,
    user_metadata_header,
)
from deltaglider_proxy.s3.protocol.tags import check_tags, parse_tagging_header


def test_what_belongs_to_the_object() -> None:
    parsed = parse_object_headers(
        {
            b"host": b"h",
            b"content-type": b"text/plain; charset=utf-8",
            b"content-encoding": b"aws-chunked, gzip",
            b"cache-control": b"no-cache",
            b"content-disposition": "attachment; filename=ä".encode(),
            b"content-language": b"de",
            b"expires": b"Thu, 01 Dec 1994 16:00:00 GMT",
            b"x-amz-website-redirect-location": b"/other",
            b"x-amz-meta-name": "größe".encode(),
            b"x-amz-meta-dg-encrypted": b"yes",
            b"x-amz-tagging": b"a=1&b=",
            b"x-amz-date": b"20130524T000000Z",
        }
    )
    assert parsed.system == {
        "content-type": "text/plain; charset=utf-8",
        "content-encoding": "gzip",
        "cache-control": "no-cache",
        "content-disposition": "attachment; filename=ä",
        "content-language": "de",
        "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
        "x-amz-website-redirect-location": "/other",
    }
    assert parsed.user == {"name": "größe", "dg-encrypted": "yes"}
    assert parsed.tags == {"a": "1", "b": ""}


@pytest.mark.parametrize("value", [b"aws-chunked", b"AWS-Chunked", b" aws-chunked ,", b""])
def test_framing_is_no_encoding_of_the_object(value: bytes) -> None:
    assert parse_object_headers({b"content-encoding": value}).system == {"content-type": "binary/octet-stream"}


def test_metadata_may_be_two_kilobytes() -> None:
    value = b"v" * (MAX_USER_METADATA - 4)
    assert parse_object_headers({b"x-amz-meta-name": value}).user == {"name": value.decode()}
    with pytest.raises(S3Error) as caught:
        parse_object_headers({b"x-amz-meta-name": value, b"x-amz-meta-b": b""})
    assert caught.value.code is Code.MetadataTooLarge
    assert caught.value.fields == {"Size": "2049", "MaxSizeAllowed": "2048"}


def test_metadata_must_be_utf_8() -> None:
    with pytest.raises(S3Error) as caught:
        parse_object_headers({b"x-amz-meta-name": b"\xe4"})
    assert caught.value.code is Code.InvalidArgument
    assert caught.value.fields == {"ArgumentName": "x-amz-meta-name"}


@pytest.mark.parametrize("value", ["", "plain", "größe", "日本語 😀", "=?UTF-8?Q?=C3=A4?="])
def test_metadata_in_a_response(value: str) -> None:
    header = user_metadata_header(value)
    assert header.isascii()
    assert str(make_header(decode_header(header.decode()))) == str(make_header(decode_header(value)))
    if value.isascii():
        assert header == value.encode()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({b"x-amz-server-side-encryption-customer-algorithm": b"AES256"}, Code.NotImplemented),
        ({b"x-amz-copy-source-server-side-encryption-customer-key": b"k"}, Code.NotImplemented),
        ({b"x-amz-server-side-encryption": b"aws:kms"}, Code.NotImplemented),
        ({b"x-amz-server-side-encryption": b"AES256"}, Code.NotImplemented),
        ({b"x-amz-server-side-encryption": b"ROT13"}, Code.InvalidArgument),
        ({b"x-amz-server-side-encryption-aws-kms-key-id": b"k"}, Code.NotImplemented),
        ({b"x-amz-object-lock-mode": b"GOVERNANCE"}, Code.NotImplemented),
        ({b"x-amz-write-offset-bytes": b"0"}, Code.NotImplemented),
        ({b"x-amz-if-match-size": b"0"}, Code.NotImplemented),
        ({b"x-amz-acl": b"public-read"}, Code.AccessControlListNotSupported),
        ({b"x-amz-grant-read": b"id=1"}, Code.AccessControlListNotSupported),
    ],
)
def test_refused_headers(headers: dict[bytes, bytes], code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        refuse_unsupported(headers)
    assert caught.value.code is code


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"x-amz-acl": b"private"},
        {b"x-amz-acl": b"bucket-owner-full-control"},
        {b"x-amz-storage-class": b"GLACIER", b"x-amz-expected-bucket-owner": b"1"},
    ],
)
def test_accepted_headers(headers: dict[bytes, bytes]) -> None:
    refuse_unsupported(headers)


def test_encryption_that_is_there() -> None:
    refuse_unsupported({b"x-amz-server-side-encryption": b"AES256"}, encrypted=True)
    with pytest.raises(S3Error):
        refuse_unsupported({b"x-amz-server-side-encryption": b"aws:kms"}, encrypted=True)


def test_headers_of_a_new_bucket() -> None:
    check_create_bucket({b"x-amz-acl": b"private", b"x-amz-bucket-object-lock-enabled": b"false"})
    for headers, code in (
        ({b"x-amz-bucket-object-lock-enabled": b"True"}, Code.NotImplemented),
        ({b"x-amz-acl": b"public-read"}, Code.AccessControlListNotSupported),
    ):
        with pytest.raises(S3Error) as caught:
            check_create_bucket(headers)
        assert caught.value.code is code


def test_response_overrides() -> None:
    parameters = {"response-content-type": "text/html", "response-expires": "0", "x-id": "GetObject"}
    assert response_overrides(parameters, signed=True) == {"content-type": "text/html", "expires": "0"}
    assert response_overrides({"x-id": "GetObject"}, signed=False) == {}
    assert response_overrides({}, signed=False) == {}
    for bad, signed, code in (
        (parameters, False, Code.InvalidRequest),
        ({"response-content-type": "a\r\nset-cookie: b"}, True, Code.InvalidArgument),
        ({"response-content-type": "ä"}, True, Code.InvalidArgument),
    ):
        with pytest.raises(S3Error) as caught:
            response_overrides(bad, signed=signed)
        assert caught.value.code is code


def test_good_tags() -> None:
    tags = {f"key {n}": "wert-ä_./=+:@" for n in range(10)}
    assert check_tags(tags.items()) == tags
    assert check_tags([("k" * 128, "v" * 256)]) == {"k" * 128: "v" * 256}
    assert parse_tagging_header("a+b=c%2Fd&e=") == {"a b": "c/d", "e": ""}
    assert parse_tagging_header("") == {}


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "1"), ("a", "2")],
        [("", "1")],
        [("k" * 129, "")],
        [("k", "v" * 257)],
        [("aws:x", "1")],
        [("k<", "1")],
        [("k", "a&b")],
        [("k", "a\nb")],
        [(f"k{n}", "") for n in range(11)],
    ],
)
def test_bad_tags(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(S3Error) as caught:
        check_tags(pairs)
    assert caught.value.code is Code.InvalidTag


def test_buckets_may_have_more_tags() -> None:
    pairs = [(f"k{n}", "") for n in range(50)]
    assert len(check_tags(pairs, 50)) == 50


@pytest.mark.parametrize("text", ["=", "a=%ff", "a%", "a=1&a=2"])
def test_bad_tagging_headers(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_tagging_header(text)
    assert caught.value.code is Code.InvalidArgument


@pytest.mark.parametrize("text", ["a&b=2", "&a=&&b=2&"])
def test_sloppy_tagging_headers(text: str) -> None:
    assert parse_tagging_header(text) == {"a": "", "b": "2"}


@pytest.mark.parametrize("target", ["/page", "http://other/", "https://other/"])
def test_website_redirects(target: str) -> None:
    found = parse_object_headers({b"x-amz-website-redirect-location": target.encode()})
    assert found.system["x-amz-website-redirect-location"] == target


def test_a_website_redirect_that_is_no_place() -> None:
    with pytest.raises(S3Error) as caught:
        parse_object_headers({b"x-amz-website-redirect-location": b"javascript:alert(1)"})
    assert caught.value.code is Code.InvalidRedirectLocation
