import json
from base64 import b64encode

import pytest

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.post_policy import (
    Policy,
    Success,
    check_fields,
    final_key,
    form_headers,
    parse_policy,
    parse_success,
    redirect_location,
)

EXPIRES = 1_900_000_000.0
SIGNED = {"policy": "p", "x-amz-signature": "s", "x-amz-credential": "c", "x-amz-algorithm": "a", "x-amz-date": "d"}


def policy(*conditions: object, expiration: object = "2030-03-17T17:46:40.000Z") -> Policy:
    document = {"expiration": expiration, "conditions": conditions}
    return parse_policy(b64encode(json.dumps(document).encode()).decode())


KEY = ["starts-with", "$key", "user/"]
BUCKET = {"bucket": "bucket"}


@pytest.mark.parametrize(
    ("conditions", "fields"),
    [
        ([KEY], {"key": "user/a"}),
        ([KEY], {"key": "user/a", "bucket": "bucket"}),
        ([{"key": "k", "acl": "private"}], {"key": "k", "acl": "private"}),
        ([["eq", "$key", "k"]], {"key": "k"}),
        ([["EQ", "$Key", "k"]], {"key": "k"}),
        ([KEY, ["starts-with", "$x-amz-meta-a", ""]], {"key": "user/a", "x-amz-meta-a": "any"}),
        ([KEY, ["starts-with", "$x-amz-meta-a", ""]], {"key": "user/a"}),
        ([KEY, ["starts-with", "$Content-Type", "image/"]], {"key": "user/a", "content-type": "image/png, image/gif"}),
        ([KEY], {"key": "user/a", "x-ignore-b": "1", "submit": "Go", "file": "x"}),
        ([KEY, {"success_action_status": "201"}], {"key": "user/a", "success_action_status": "201"}),
    ],
)
def test_allowed(conditions: list[object], fields: dict[str, str]) -> None:
    policy(BUCKET, *conditions).check({**SIGNED, **fields}, "bucket", EXPIRES - 1)


@pytest.mark.parametrize(
    ("conditions", "fields"),
    [
        ([KEY], {"key": "other/a"}),
        ([KEY], {}),
        ([KEY, {"bucket": "other"}], {"key": "user/a"}),
        ([KEY, {"bucket": "other"}], {"key": "user/a", "bucket": "other"}),
        ([KEY], {"key": "user/a", "content-type": "text/html"}),
        ([KEY], {"key": "user/a", "x-amz-meta-a": "1"}),
        ([KEY, {"acl": "private"}], {"key": "user/a"}),
        ([KEY, ["starts-with", "$Content-Type", "image/"]], {"key": "user/a", "content-type": "image/png, text/html"}),
        ([KEY, ["starts-with", "$Content-Type", "image/"]], {"key": "user/a"}),
        ([], {"key": "user/a"}),
    ],
)
def test_denied(conditions: list[object], fields: dict[str, str]) -> None:
    with pytest.raises(S3Error) as caught:
        policy(BUCKET, *conditions).check({**SIGNED, **fields}, "bucket", EXPIRES - 1)
    assert caught.value.code is Code.AccessDenied


def test_a_policy_that_names_no_bucket_is_good_for_none() -> None:
    with pytest.raises(S3Error, match="bucket") as caught:
        policy(KEY).check({**SIGNED, "key": "user/a"}, "bucket", EXPIRES - 1)
    assert caught.value.code is Code.AccessDenied


def test_expiration() -> None:
    policy(BUCKET, KEY).check({"key": "user/a"}, "bucket", EXPIRES - 0.001)
    with pytest.raises(S3Error, match="expired") as caught:
        policy(BUCKET, KEY).check({"key": "user/a"}, "bucket", EXPIRES)
    assert caught.value.code is Code.AccessDenied


def test_sizes() -> None:
    bounded = policy(["content-length-range", 2, "10"], ["content-length-range", 1, 20])
    bounded.check_size(1, complete=False)
    bounded.check_size(2, complete=True)
    bounded.check_size(10, complete=True)
    for size, complete, code in ((11, False, Code.EntityTooLarge), (1, True, Code.EntityTooSmall)):
        with pytest.raises(S3Error) as caught:
            bounded.check_size(size, complete=complete)
        assert caught.value.code is code
    policy().check_size(1 << 40, complete=True)


@pytest.mark.parametrize(
    "condition",
    [
        "key",
        {},
        {"key": 1},
        {"key": None},
        ["eq", "$key"],
        ["eq", "key", "k"],
        ["matches", "$key", "k"],
        ["eq", "$key", 5],
        ["content-length-range", -1, 5],
        ["content-length-range", "a", 5],
        ["content-length-range", True, 5],
        ["content-length-range", 1.5, 5],
        [["eq"], "$key", "k"],
        None,
    ],
)
def test_malformed_conditions(condition: object) -> None:
    with pytest.raises(S3Error) as caught:
        policy(condition)
    assert caught.value.code is Code.InvalidPolicyDocument


@pytest.mark.parametrize(
    "text", ["", "!", "bm8ganNvbg==", b64encode(b"[]").decode(), b64encode(b"{}").decode(), b64encode(b"\xff").decode()]
)
def test_malformed_documents(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_policy(text)
    assert caught.value.code is Code.InvalidPolicyDocument


@pytest.mark.parametrize("expiration", [None, 5, "tomorrow", "2030-01-01T00:00:00"])
def test_malformed_expirations(expiration: object) -> None:
    with pytest.raises(S3Error) as caught:
        policy(KEY, expiration=expiration)
    assert caught.value.code is Code.InvalidPolicyDocument


def test_deeply_nested_policy() -> None:
    with pytest.raises(S3Error) as caught:
        parse_policy(b64encode(b"[" * 100_000).decode())
    assert caught.value.code is Code.InvalidPolicyDocument


def test_final_key() -> None:
    assert final_key({"key": "user/${filename}"}, "a.txt") == "user/a.txt"
    assert final_key({"key": "k"}, "a.txt") == "k"
    for fields, name, code in (
        ({}, "a", Code.InvalidArgument),
        ({"key": ""}, "a", Code.InvalidArgument),
        ({"key": "${filename}"}, "", Code.InvalidArgument),
        ({"key": "${filename}"}, "\0", Code.InvalidArgument),
        ({"key": "k" * 1025}, "", Code.KeyTooLongError),
    ):
        with pytest.raises(S3Error) as caught:
            final_key(fields, name)
        assert caught.value.code is code


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Success(204)),
        ({"success_action_status": "200"}, Success(200)),
        ({"success_action_status": "201"}, Success(201)),
        ({"success_action_status": "404"}, Success(204)),
        ({"success_action_redirect": "https://e.x/"}, Success(303, "https://e.x/")),
        ({"redirect": "http://e.x/?a=b", "success_action_status": "201"}, Success(303, "http://e.x/?a=b")),
        ({"redirect": "javascript:alert(1)"}, Success(204)),
        ({"redirect": "https://e.x/\r\nset-cookie: a"}, Success(204)),
    ],
)
def test_success(fields: dict[str, str], expected: Success) -> None:
    assert parse_success(fields) == expected


def test_redirect_tells_the_page_what_was_stored() -> None:
    assert redirect_location("https://e.x/", "b", "a b", "e") == "https://e.x/?bucket=b&key=a+b&etag=%22e%22"
    assert redirect_location("https://e.x/?q=1", "b", "k", "e").startswith("https://e.x/?q=1&bucket=b&")


def test_fields_as_headers() -> None:
    fields = {**SIGNED, "key": "k", "content-type": "text/plain", "x-amz-meta-a": "ä", "x-amz-checksum-crc32": "x"}
    assert form_headers(fields) == {
        b"content-type": b"text/plain",
        b"x-amz-meta-a": "ä".encode(),
        b"x-amz-checksum-crc32": b"x",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("content-type", "a\r\nb: c"), ("x-amz-meta-a b", "1"), ("x-amz-meta-a\r\nb", "1"), ("x-amz-meta-ä", "1")],
)
def test_fields_that_no_header_can_hold(name: str, value: str) -> None:
    with pytest.raises(S3Error) as caught:
        form_headers({name: value})
    assert caught.value.code is Code.MalformedPOSTRequest


def test_acl() -> None:
    check_fields({})
    check_fields({"acl": "bucket-owner-read"})
    with pytest.raises(S3Error) as caught:
        check_fields({"acl": "public-read"})
    assert caught.value.code is Code.NotImplemented
