"""Signatures: the published examples of AWS, requests signed by botocore, and what must be refused."""

import hashlib
import re
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.identity import StaticCredentials
from deltaglider_proxy.access.sigv4 import Verified, epoch_of, is_signed, parse_scope, verify_form, verify_request

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CREDENTIALS = StaticCredentials(KEY, SECRET)
MAY_24 = float(epoch_of(b"20130524T000000Z") or 0)
HOST = b"examplebucket.s3.amazonaws.com"
EMPTY = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def authorization(signed: str, signature: str) -> bytes:
    return (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders={signed},"
        f"Signature={signature}"
    ).encode()


EXAMPLES = {
    "get object": (
        "GET",
        b"/test.txt",
        b"",
        {b"range": b"bytes=0-9", b"x-amz-content-sha256": EMPTY},
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put object": (
        "PUT",
        b"/test%24file.text",
        b"",
        {
            b"date": b"Fri, 24 May 2013 00:00:00 GMT",
            b"x-amz-storage-class": b"REDUCED_REDUNDANCY",
            b"x-amz-content-sha256": b"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        },
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "lifecycle": (
        "GET",
        b"/",
        b"lifecycle",
        {b"x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list": (
        "GET",
        b"/",
        b"max-keys=2&prefix=J",
        {b"x-amz-content-sha256": EMPTY},
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_published_examples(name: str) -> None:
    method, path, query, extra, signed, signature = EXAMPLES[name]
    headers = {b"host": HOST, b"x-amz-date": b"20130524T000000Z", **extra}
    headers[b"authorization"] = authorization(signed, signature)
    verified = verify_request(method, path, query, headers, CREDENTIALS, MAY_24, 300)
    assert verified is not None
    assert verified.access_key == KEY
    assert verified.scope == b"20130524/us-east-1/s3/aws4_request"
    headers[b"authorization"] = authorization(signed, signature[:-1] + ("0" if signature[-1] != "0" else "1"))
    assert reason(method, path, query, headers) is Reason.BAD_SIGNATURE


PRESIGNED = (
    b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    b"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    b"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def verify_presigned(query: bytes, now: float = MAY_24) -> Verified | None:
    return verify_request("GET", b"/test.txt", query, {b"host": HOST}, CREDENTIALS, now, 300)


def test_published_presigned_example() -> None:
    verified = verify_presigned(PRESIGNED)
    assert verified is not None
    assert verified.presigned


@pytest.mark.parametrize(
    ("replace", "by", "offset", "expected"),
    [
        (b"X-Amz-Expires=86400", b"X-Amz-Expires=86401", 0, Reason.BAD_SIGNATURE),
        (b"X-Amz-Expires=86400", b"X-Amz-Expires=0", 0, Reason.MALFORMED_QUERY),
        (b"X-Amz-Expires=86400", b"X-Amz-Expires=604801", 0, Reason.MALFORMED_QUERY),
        (b"X-Amz-Expires=86400", b"X-Amz-Expires=-1", 0, Reason.MALFORMED_QUERY),
        (b"&X-Amz-Expires=86400", b"", 0, Reason.MALFORMED_QUERY),
        (b"X-Amz-Date=20130524T000000Z", b"X-Amz-Date=20130524", 0, Reason.MALFORMED_QUERY),
        (b"X-Amz-Date=20130524T000000Z", b"X-Amz-Date=20130525T000000Z", 0, Reason.MALFORMED_QUERY),
        (b"X-Amz-Algorithm=AWS4-HMAC-SHA256", b"X-Amz-Algorithm=AWS4", 0, Reason.MALFORMED_QUERY),
        (b"%2Fs3%2F", b"%2Fec2%2F", 0, Reason.MALFORMED_QUERY),
        (b"X-Amz-SignedHeaders=host", b"X-Amz-SignedHeaders=range", 0, Reason.UNSIGNED_HEADER),
        (b"X-Amz-SignedHeaders=host", b"X-Amz-SignedHeaders=host%3Brange", 0, Reason.BAD_SIGNATURE),
        (b"&X-Amz-Signature", b"&X-Amz-Security-Token=x&X-Amz-Signature", 0, Reason.SECURITY_TOKEN),
        (b"&X-Amz-Signature", b"&X-Amz-Date=20130524T000000Z&X-Amz-Signature", 0, Reason.MALFORMED_QUERY),
        (b"AKIAIOSFODNN7EXAMPLE", b"AKIAIOSFODNN7OTHER", 0, Reason.UNKNOWN_KEY),
        (b"", b"", 86_401, Reason.EXPIRED),
        (b"", b"", -301, Reason.SKEWED),
    ],
)
def test_presigned_refusals(replace: bytes, by: bytes, offset: int, expected: Reason) -> None:
    with pytest.raises(AccessError) as caught:
        verify_presigned(PRESIGNED.replace(replace, by) if replace else PRESIGNED, MAY_24 + offset)
    assert caught.value.reason is expected


def test_presigned_is_valid_to_its_last_second() -> None:
    assert verify_presigned(PRESIGNED, MAY_24 + 86_400) is not None
    assert verify_presigned(PRESIGNED, MAY_24 - 300) is not None


def boto_request(method: str, url: str, headers: dict[str, str], data: bytes = b"") -> AWSRequest:
    request = AWSRequest(method=method, url=url, headers=headers, data=data)
    credentials = BotoCredentials(KEY, SECRET.decode())
    S3SigV4Auth(credentials, "s3", "eu-west-9").add_auth(request)
    return request


def received(request: AWSRequest) -> tuple[str, bytes, bytes, dict[bytes, bytes], float]:
    """What arrives of a signed request."""
    url = urlsplit(str(request.url))
    headers = {b"host": url.netloc.encode()}
    for name, value in request.headers.items():
        text: str | bytes = value
        headers[name.lower().encode()] = text if isinstance(text, bytes) else text.encode()
    seconds = epoch_of(headers.get(b"x-amz-date", b""))
    return str(request.method), url.path.encode(), url.query.encode(), headers, float(seconds or 0)


def reason(method: str, path: bytes, query: bytes, headers: dict[bytes, bytes], now: float = MAY_24) -> Reason:
    with pytest.raises(AccessError) as caught:
        verify_request(method, path, query, headers, CREDENTIALS, now, 300)
    return caught.value.reason


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:9000/",
        "http://localhost:9000/bucket?acl",
        "http://localhost:9000/bucket/a%2Bb%20c/%C3%A4?uploads=",
        "http://localhost:9000/bucket//double/../dots/./?list-type=2&prefix=a%2Fb&delimiter=%2F",
        "http://localhost:9000/bucket/k?a=1&a-b=2&a=0",
        "http://localhost:9000/bucket/~tilde*star'(paren)",
        "http://localhost/bucket/key?partNumber=1&uploadId=abc%3D%3D",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE", "POST"])
def test_botocore_signs_what_we_verify(method: str, url: str) -> None:
    request = boto_request(method, url, {"x-amz-meta-a": "  several   spaces  "}, b"body")
    verb, path, query, headers, now = received(request)
    verified = verify_request(verb, path, query, headers, CREDENTIALS, now, 1)
    assert verified is not None
    assert verified.scope.split(b"/")[1] == b"eu-west-9"


@pytest.fixture
def signed() -> tuple[str, bytes, bytes, dict[bytes, bytes], float]:
    return received(boto_request("PUT", "http://localhost:9000/b/k?tagging", {"x-amz-meta-a": "1"}, b"x"))


Signed = tuple[str, bytes, bytes, dict[bytes, bytes], float]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({b"x-amz-meta-a": b"2"}, Reason.BAD_SIGNATURE),
        ({b"x-amz-meta-b": b"2"}, Reason.UNSIGNED_HEADER),
        ({b"x-amz-acl": b"public-read"}, Reason.UNSIGNED_HEADER),
        ({b"x-amz-copy-source": b"a/b"}, Reason.UNSIGNED_HEADER),
        ({b"x-amz-security-token": b"t"}, Reason.SECURITY_TOKEN),
        ({b"x-amz-date": b"yesterday"}, Reason.MISSING_HEADER),
        ({b"host": b"other"}, Reason.BAD_SIGNATURE),
        ({b"x-amz-content-sha256": EMPTY}, Reason.BAD_SIGNATURE),
        ({b"authorization": b"AWS AKID:abc="}, Reason.UNSUPPORTED_SCHEME),
        ({b"authorization": b"Bearer abc"}, Reason.UNSUPPORTED_SCHEME),
        ({b"authorization": b"AWS4-ECDSA-P256-SHA256 Credential=a"}, Reason.UNSUPPORTED_ALGORITHM),
        ({b"authorization": b"AWS4-HMAC-SHA256 Credential=a"}, Reason.MALFORMED_HEADER),
        ({b"authorization": b"AWS4-HMAC-SHA256 "}, Reason.MALFORMED_HEADER),
    ],
)
def test_changed_headers(signed: Signed, change: dict[bytes, bytes], expected: Reason) -> None:
    method, path, query, headers, now = signed
    assert reason(method, path, query, {**headers, **change}, now) is expected


@pytest.mark.parametrize("name", [b"x-amz-date", b"x-amz-content-sha256"])
def test_missing_headers(signed: Signed, name: bytes) -> None:
    method, path, query, headers, now = signed
    del headers[name]
    assert reason(method, path, query, headers, now) is Reason.MISSING_HEADER


def test_a_signed_header_that_did_not_arrive(signed: Signed) -> None:
    method, path, query, headers, now = signed
    del headers[b"x-amz-meta-a"]
    assert reason(method, path, query, headers, now) is Reason.BAD_SIGNATURE


def test_unknown_extra_headers_are_ignored(signed: Signed) -> None:
    method, path, query, headers, now = signed
    headers |= {b"x-amz-cf-id": b"abc", b"x-forwarded-for": b"1.2.3.4"}
    assert verify_request(method, path, query, headers, CREDENTIALS, now, 1) is not None


@pytest.mark.parametrize(("method", "path", "query"), [("GET", b"/b/k", b"tagging"), ("PUT", b"/b/j", b"tagging")])
def test_changed_line(signed: Signed, method: str, path: bytes, query: bytes) -> None:
    assert reason(method, path, query, signed[3], signed[4]) is Reason.BAD_SIGNATURE
    assert reason("PUT", b"/b/k", b"acl", signed[3], signed[4]) is Reason.BAD_SIGNATURE


def test_empty_values_of_subresources_are_the_same(signed: Signed) -> None:
    assert verify_request("PUT", b"/b/k", b"tagging=", signed[3], CREDENTIALS, signed[4], 1) is not None


@pytest.mark.parametrize("offset", [-301.0, 301.0])
def test_skew(signed: Signed, offset: float) -> None:
    method, path, query, headers, now = signed
    assert reason(method, path, query, headers, now + offset) is Reason.SKEWED
    assert verify_request(method, path, query, headers, CREDENTIALS, now + offset * 300 / 301, 300) is not None


def test_scope_of_another_day(signed: Signed) -> None:
    method, path, query, headers, now = signed
    day = headers[b"x-amz-date"][:8]
    headers[b"authorization"] = headers[b"authorization"].replace(b"/" + day + b"/", b"/20010101/")
    assert reason(method, path, query, headers, now) is Reason.BAD_SIGNATURE


def test_two_schemes_at_once(signed: Signed) -> None:
    assert reason("PUT", b"/b/k", PRESIGNED, signed[3], signed[4]) is Reason.SEVERAL_SCHEMES


def test_what_claims_to_be_signed() -> None:
    assert not is_signed(b"uploadId=1", {b"host": b"h"})
    assert is_signed(b"", {b"authorization": b"Basic 123"})
    assert is_signed(PRESIGNED, {})
    assert is_signed(b"AWSAccessKeyId=a&Signature=b", {})


def test_version_2_in_the_query() -> None:
    query = b"AWSAccessKeyId=a&Signature=b&Expires=1"
    assert reason("GET", b"/b/k", query, {b"host": b"h"}) is Reason.UNSUPPORTED_SCHEME


def test_the_error_shows_what_was_signed_and_no_secret(signed: Signed) -> None:
    method, path, query, headers, now = signed
    with pytest.raises(AccessError) as caught:
        verify_request(method, path, b"acl", headers, CREDENTIALS, now, 300)
    details = caught.value.details
    assert details["AWSAccessKeyId"] == KEY
    assert details["CanonicalRequest"].startswith("PUT\n/b/k\nacl=\n")
    assert details["StringToSign"].startswith("AWS4-HMAC-SHA256\n")
    digest = hashlib.sha256(details["CanonicalRequest"].encode()).hexdigest()
    assert details["StringToSign"].endswith(digest)
    assert SECRET.decode() not in str(caught.value) + str(details)
    verified = verify_request(method, path, query, headers, CREDENTIALS, now, 300)
    assert verified is not None
    assert repr(verified.signing_key) not in repr(verified)


def test_authorization_with_spaces_and_another_order(signed: Signed) -> None:
    method, path, query, headers, now = signed
    match = re.fullmatch(rb"AWS4-HMAC-SHA256 (\S+), (\S+), (\S+)", headers[b"authorization"])
    assert match is not None
    headers[b"authorization"] = b"AWS4-HMAC-SHA256   %s ,%s,  %s" % (match[3], match[1], match[2])
    assert verify_request(method, path, query, headers, CREDENTIALS, now, 1) is not None


@given(st.text(min_size=1, max_size=30), st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8)))
def test_any_key_and_query_that_botocore_signs(key: str, parameters: dict[str, str]) -> None:
    encodable = [key, *parameters, *parameters.values()]
    if any(0xD800 <= ord(c) <= 0xDFFF for text in encodable for c in text):
        return
    query = urlencode(parameters, quote_via=quote, safe="-_.~")
    if "X-Amz-Algorithm=" in query or "AWSAccessKeyId=" in query:
        return
    request = boto_request("GET", f"http://h/bucket/{quote(key, safe='/~')}?{query}", {})
    verb, path, got, headers, now = received(request)
    assert verify_request(verb, path, got, headers, CREDENTIALS, now, 1) is not None
    # Another spelling of the same resource verifies too: a client may sign the encoded form and send it otherwise.
    lower = re.sub(rb"%[0-9A-F]{2}", lambda m: m[0].lower(), path)
    assert verify_request(verb, lower, got, headers, CREDENTIALS, now, 1) is not None


@pytest.mark.parametrize("query", ["", "?response-content-type=text%2Fplain", "?versionId=null&x-id=GetObject"])
def test_botocore_presigns_what_we_verify(query: str) -> None:
    request = AWSRequest(method="GET", url=f"http://localhost:9000/b/a%20b{query}", headers={})
    S3SigV4QueryAuth(BotoCredentials(KEY, SECRET.decode()), "s3", "us-east-1", expires=60).add_auth(request)
    verb, path, got, headers, _ = received(request)
    match = re.search(rb"X-Amz-Date=(\w+)", got)
    now = float(epoch_of(match[1] if match else b"") or 0)
    verified = verify_request(verb, path, got, headers, CREDENTIALS, now, 1)
    assert verified is not None
    assert verified.presigned
    unsigned_body = {**headers, b"x-amz-content-sha256": b"UNSIGNED-PAYLOAD", b"x-amz-checksum-crc32": b"AAAAAA=="}
    assert verify_request(verb, path, got, unsigned_body, CREDENTIALS, now, 1) is not None
    assert reason(verb, path, got, {**headers, b"x-amz-meta-a": b"1"}, now) is Reason.UNSIGNED_HEADER


def form_fields() -> dict[str, str]:
    request = AWSRequest(method="POST", url="http://h/b")
    request.context["s3-presign-post-policy"] = {"expiration": "2030-01-01T00:00:00Z", "conditions": []}
    S3SigV4PostAuth(BotoCredentials(KEY, SECRET.decode()), "s3", "us-east-1").add_auth(request)
    fields = request.context["s3-presign-post-fields"]
    return {str(name): value.decode() if isinstance(value, bytes) else str(value) for name, value in fields.items()}


def test_botocore_signs_forms_that_we_verify() -> None:
    assert verify_form(form_fields(), CREDENTIALS, 0.0).access_key == KEY


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("policy", "e30=", Reason.BAD_SIGNATURE),
        ("policy", "", Reason.INCOMPLETE_FORM),
        ("x-amz-signature", "0" * 64, Reason.BAD_SIGNATURE),
        ("x-amz-algorithm", "AWS4", Reason.MALFORMED_FORM),
        ("x-amz-credential", "a/b", Reason.MALFORMED_FORM),
        ("x-amz-credential", "other/20130524/r/s3/aws4_request", Reason.INCOMPLETE_FORM),
        ("x-amz-date", "today", Reason.INCOMPLETE_FORM),
        ("x-amz-security-token", "t", Reason.SECURITY_TOKEN),
    ],
)
def test_form_refusals(name: str, value: str, expected: Reason) -> None:
    with pytest.raises(AccessError) as caught:
        verify_form({**form_fields(), name: value}, CREDENTIALS, 0.0)
    assert caught.value.reason is expected


@pytest.mark.parametrize(
    "text", [b"a/20130524/r/s3", b"a/20130524/r/s3/aws5", b"/20130524/r/s3/aws4_request", b"a/d/r/ec2/aws4_request"]
)
def test_bad_scopes(text: bytes) -> None:
    assert parse_scope(text) is None


def test_a_key_may_hold_slashes() -> None:
    scope = parse_scope(b"team/a/20130524/r/s3/aws4_request")
    assert scope is not None
    assert scope.access_key == "team/a"


@pytest.mark.parametrize(
    "text", [b"20130524T000000", b"2013-05-24T00:00Z", b"20131324T000000Z", b"20130524T250000Z", b""]
)
def test_bad_timestamps(text: bytes) -> None:
    assert epoch_of(text) is None
