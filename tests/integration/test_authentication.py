"""Who is let in: signatures in headers and in URLs, and every way in which they can be wrong."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED as ANONYMOUSLY
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.integration.expect import check_refused, refused
from tests.integration.wire import UNSIGNED, Signer, Wire
from tests.support.server import ACCESS_KEY, Server

SKEW = 300


def routes(bucket: str) -> list[tuple[str, str, str]]:
    """Every kind of operation: method, path, query."""
    key = f"/{bucket}/key"
    return [
        ("GET", "/", ""),
        ("GET", f"/{bucket}", ""),
        ("GET", f"/{bucket}", "list-type=2"),
        ("GET", f"/{bucket}", "versions"),
        ("GET", f"/{bucket}", "uploads"),
        ("GET", f"/{bucket}", "location"),
        ("GET", f"/{bucket}", "policy"),
        ("HEAD", f"/{bucket}", ""),
        ("PUT", f"/{bucket}-2", ""),
        ("PUT", f"/{bucket}", "versioning"),
        ("PUT", f"/{bucket}", "acl"),
        ("PUT", f"/{bucket}", "policy"),
        ("POST", f"/{bucket}", "delete"),
        ("DELETE", f"/{bucket}", ""),
        ("GET", key, ""),
        ("HEAD", key, ""),
        ("PUT", key, ""),
        ("DELETE", key, ""),
        ("GET", key, "tagging"),
        ("PUT", key, "tagging"),
        ("DELETE", key, "tagging"),
        ("GET", key, "acl"),
        ("PUT", key, "acl"),
        ("GET", key, "attributes"),
        ("POST", key, "uploads"),
        ("PUT", key, "partNumber=1&uploadId=x"),
        ("POST", key, "uploadId=x"),
        ("DELETE", key, "uploadId=x"),
        ("GET", key, "uploadId=x"),
        ("PUT", key, "retention"),
    ]


def status_only(method: str) -> bool:
    return method == "HEAD"


def test_nothing_is_done_for_nobody(wire: Wire, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"kept")
    for method, path, query in routes(bucket):
        answer = wire.plain(method, f"{path}?{query}" if query else path, body=b"<x/>" if method == "POST" else b"")
        assert answer.status == 403, (method, path, query)
        if not status_only(method):
            check_refused(answer, "AccessDenied", 403)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"kept"


def test_nobody_learns_what_is_there(wire: Wire, bucket: str) -> None:
    answers = [wire.plain("GET", path).code for path in (f"/{bucket}/key", "/no-such-bucket-here/key", f"/{bucket}")]
    assert answers == ["AccessDenied"] * 3


@pytest.mark.parametrize(
    "payload",
    ["", UNSIGNED, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64],
)
def test_the_signature_is_checked_on_every_route(wire: Wire, s3: S3Client, bucket: str, payload: str) -> None:
    """Whatever the header says about the payload."""
    s3.put_object(Bucket=bucket, Key="key", Body=b"kept")
    forger = replace(wire, signer=Signer(secret="not the secret"))
    digest = payload or hashlib.sha256(b"").hexdigest()
    for method, path, query in routes(bucket):
        answer = forger.request(method, path, query, payload=digest)
        assert answer.status == 403, (method, path, query, answer)
        if not status_only(method):
            check_refused(answer, "SignatureDoesNotMatch", 403)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"kept"


def test_an_unknown_key(wire: Wire) -> None:
    answer = replace(wire, signer=Signer(access_key="NOBODYSACCESSKEY")).request("GET", "/")
    check_refused(answer, "InvalidAccessKeyId", 403)
    assert answer.element("AWSAccessKeyId") == "NOBODYSACCESSKEY"


def test_a_wrong_signature_shows_what_was_expected_to_be_signed(wire: Wire, bucket: str) -> None:
    answer = replace(wire, signer=Signer(secret="wrong")).request("GET", f"/{bucket}", "list-type=2")
    check_refused(answer, "SignatureDoesNotMatch", 403)
    assert answer.element("AWSAccessKeyId") == ACCESS_KEY
    assert (answer.element("StringToSign") or "").startswith("AWS4-HMAC-SHA256\n")
    assert (answer.element("CanonicalRequest") or "").startswith(f"GET\n/{bucket}\nlist-type=2\n")
    assert b"test-secret-key" not in answer.body


@pytest.mark.parametrize("offset", [-SKEW - 60, SKEW + 60, -86_400 * 2, 86_400 * 2])
def test_clocks_that_are_off(wire: Wire, offset: int) -> None:
    answer = replace(wire, signer=Signer(offset=offset)).request("GET", "/")
    check_refused(answer, "RequestTimeTooSkewed", 403)


@pytest.mark.parametrize("offset", [-SKEW + 60, SKEW - 60])
def test_clocks_that_are_off_a_little(wire: Wire, offset: int) -> None:
    assert replace(wire, signer=Signer(offset=offset)).request("GET", "/").status == 200


def test_everything_that_is_signed_counts(wire: Wire, bucket: str) -> None:
    head = wire.head("PUT", f"/{bucket}/key", headers={"x-amz-meta-a": "1", "content-type": "text/plain"}).headers
    changes: list[tuple[str, str, dict[str, str]]] = [
        ("PUT", f"/{bucket}/key2", {}),
        ("PUT", f"/{bucket}/key?x=1", {}),
        ("PUT", f"/{bucket}/key?acl", {}),
        ("DELETE", f"/{bucket}/key", {}),
        ("PUT", f"/{bucket}/key", {"x-amz-meta-a": "2"}),
        ("PUT", f"/{bucket}/key", {"content-type": "text/html"}),
        ("PUT", f"/{bucket}/key", {"x-amz-content-sha256": UNSIGNED}),
        ("PUT", f"/{bucket}/key", {"host": "other.example.com"}),
    ]
    for method, target, headers in changes:
        answer = wire.exchange(method, target, {**head, "content-length": "0", **headers})
        check_refused(answer, "SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("name", ["x-amz-meta-evil", "x-amz-tagging", "x-amz-copy-source", "x-amz-acl"])
def test_what_matters_must_be_signed(wire: Wire, bucket: str, name: str) -> None:
    answer = wire.request("PUT", f"/{bucket}/key", body=b"x", unsigned_headers={name: f"{bucket}/other"})
    check_refused(answer, "AccessDenied", 403)
    assert answer.element("HeadersNotSigned") == name


def test_a_signed_header_that_does_not_come(wire: Wire, bucket: str) -> None:
    head = wire.head("GET", f"/{bucket}", headers={"x-amz-meta-a": "1"}).headers
    del head["x-amz-meta-a"]
    check_refused(wire.exchange("GET", f"/{bucket}", head), "SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("missing", ["x-amz-date", "x-amz-content-sha256"])
def test_headers_that_every_signed_request_needs(wire: Wire, bucket: str, missing: str) -> None:
    head = wire.head("GET", f"/{bucket}").headers
    del head[missing]
    check_refused(wire.exchange("GET", f"/{bucket}", head), "InvalidRequest", 400)


@pytest.mark.parametrize(
    ("authorization", "code", "status"),
    [
        ("AWS AKID:c2lnbmF0dXJl", "InvalidRequest", 400),
        ("Basic YTpi", "InvalidRequest", 400),
        ("Bearer token", "InvalidRequest", 400),
        ("", "InvalidRequest", 400),
        ("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed", 400),
        ("AWS4-HMAC-SHA512 Credential=a", "NotImplemented", 501),
        ("AWS4-HMAC-SHA256 nonsense", "AuthorizationHeaderMalformed", 400),
        ("AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=x", "AuthorizationHeaderMalformed", 400),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=x",
            "AuthorizationHeaderMalformed",
            400,
        ),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", "NotImplemented", 501),
    ],
)
def test_other_schemes(wire: Wire, authorization: str, code: str, status: int) -> None:
    head = {**wire.head("GET", "/").headers, "authorization": authorization}
    check_refused(wire.exchange("GET", "/", head), code, status)


def test_signature_version_2_in_a_url(wire: Wire, bucket: str) -> None:
    target = f"/{bucket}/key?AWSAccessKeyId={ACCESS_KEY}&Expires=9999999999&Signature=abc"
    answer = wire.plain("GET", target)
    check_refused(answer, "InvalidRequest", 400)
    assert "AWS4-HMAC-SHA256" in (answer.element("Message") or "")


def test_session_tokens_were_never_issued(wire: Wire) -> None:
    check_refused(wire.request("GET", "/", headers={"x-amz-security-token": "t"}), "InvalidToken", 400)


def test_any_region_will_do(server: Server) -> None:
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="ap-southeast-2",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=Signer().secret,
    )
    assert client.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_folded_spaces_and_repeated_headers(wire: Wire, bucket: str) -> None:
    """A signature covers values with runs of spaces folded, and repeated headers joined by a comma."""
    head = wire.head("PUT", f"/{bucket}/key", headers={"x-amz-meta-a": "one   two", "x-amz-meta-b": "1,2"}).headers
    del head["x-amz-meta-b"]
    lines = [f"PUT /{bucket}/key HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    lines += ["x-amz-meta-b: 1", "x-amz-meta-b: 2", "content-length: 0", "", ""]
    assert wire.send("PUT", "\r\n".join(lines).encode()).status == 200
    assert wire.request("HEAD", f"/{bucket}/key").headers["x-amz-meta-b"] == "1,2"


def test_presigned_reads_and_writes(wire: Wire, s3: S3Client, bucket: str) -> None:
    target = wire.presign("PUT", f"/{bucket}/a%20b")
    assert wire.plain("PUT", target, body=b"first").status == 200
    assert wire.plain("PUT", target, body=b"second").status == 200
    read = wire.presign("GET", f"/{bucket}/a%20b", query="response-content-type=text%2Fhtml")
    for _ in range(2):
        answer = wire.plain("GET", read)
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"second", "text/html")
    assert wire.plain("HEAD", wire.presign("HEAD", f"/{bucket}/a%20b")).status == 200
    assert wire.plain("DELETE", wire.presign("DELETE", f"/{bucket}/a%20b")).status == 204
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="a b")


def test_a_presigned_url_may_fix_its_body(wire: Wire, bucket: str) -> None:
    digest = hashlib.sha256(b"approved").hexdigest()
    target = wire.presign("PUT", f"/{bucket}/fixed", query=f"X-Amz-Content-Sha256={digest}", payload=digest)
    other = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    for headers in ({}, other):
        answer = wire.plain("PUT", target, headers, b"something else")
        check_refused(answer, "XAmzContentSHA256Mismatch", 400)
    assert wire.plain("PUT", target, body=b"approved").status == 200


def test_urls_of_the_sdk_in_its_old_signature_say_what_to_do(wire: Wire, s3: S3Client, bucket: str) -> None:
    """Left alone, boto3 still signs URLs for unknown endpoints as version 2."""
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
    answer = wire.plain("GET", url.removeprefix(wire.server.endpoint))
    check_refused(answer, "InvalidRequest", 400)
    assert "AWS4-HMAC-SHA256" in (answer.element("Message") or "")


def test_urls_of_the_sdk(wire: Wire, s3: S3Client, bucket: str) -> None:
    signing: S3Client = boto3.client(
        "s3",
        endpoint_url=wire.server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=Signer().secret,
        config=Config(signature_version="s3v4"),
    )
    parameters = {"Bucket": bucket, "Key": "a b/ü", "ContentType": "text/plain", "Metadata": {"a": "1"}}
    put = signing.generate_presigned_url("put_object", Params=parameters, HttpMethod="PUT")
    target = put.removeprefix(wire.server.endpoint)
    check_refused(
        wire.plain("PUT", target, {"content-type": "text/html", "x-amz-meta-a": "1"}, b"x"),
        "SignatureDoesNotMatch",
        403,
    )
    answer = wire.plain("PUT", target, {"content-type": "text/plain", "x-amz-meta-a": "1"}, b"x")
    assert answer.status == 200, answer
    found = s3.head_object(Bucket=bucket, Key="a b/ü")
    assert (found["ContentType"], found["Metadata"]) == ("text/plain", {"a": "1"})


def test_presigned_urls_that_were_changed(wire: Wire, bucket: str) -> None:
    target = wire.presign("GET", f"/{bucket}/key")
    for changed in (
        target.replace("/key?", "/other?"),
        target.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        f"{target}&response-content-type=text/html",
        target[:-1] + ("0" if target[-1] != "0" else "1"),
    ):
        check_refused(wire.plain("GET", changed), "SignatureDoesNotMatch", 403)
    assert wire.plain("HEAD", target).status == 403
    check_refused(wire.plain("DELETE", target), "SignatureDoesNotMatch", 403)


def test_presigned_urls_in_time(wire: Wire, bucket: str) -> None:
    past = replace(wire, signer=Signer(offset=-100)).presign("GET", f"/{bucket}", expires=60)
    answer = wire.plain("GET", past)
    check_refused(answer, "AccessDenied", 403)
    assert answer.element("Message") == "Request has expired"
    still = replace(wire, signer=Signer(offset=-100)).presign("GET", f"/{bucket}", expires=160)
    assert wire.plain("GET", still).status == 200
    future = replace(wire, signer=Signer(offset=SKEW + 60)).presign("GET", f"/{bucket}")
    check_refused(wire.plain("GET", future), "RequestTimeTooSkewed", 403)


@pytest.mark.parametrize("expires", [0, 604_801, -1])
def test_how_long_a_url_may_last(wire: Wire, bucket: str, expires: int) -> None:
    answer = wire.plain("GET", wire.presign("GET", f"/{bucket}", expires=expires))
    check_refused(answer, "AuthorizationQueryParametersError", 400)


@pytest.mark.parametrize(
    "field", ["X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"]
)
def test_presigned_urls_that_lack_something(wire: Wire, bucket: str, field: str) -> None:
    path, _, query = wire.presign("GET", f"/{bucket}").partition("?")
    left = "&".join(pair for pair in query.split("&") if not pair.startswith(f"{field}="))
    check_refused(wire.plain("GET", f"{path}?{left}"), "AuthorizationQueryParametersError", 400)


def test_both_ways_at_once(wire: Wire, bucket: str) -> None:
    target = wire.presign("GET", f"/{bucket}")
    answer = wire.plain("GET", target, {"authorization": wire.head("GET", f"/{bucket}").headers["authorization"]})
    check_refused(answer, "InvalidArgument", 400)


def test_a_header_added_to_a_presigned_put(wire: Wire, s3: S3Client, bucket: str) -> None:
    answer = wire.plain("PUT", wire.presign("PUT", f"/{bucket}/key"), {"x-amz-meta-evil": "1"}, b"x")
    check_refused(answer, "AccessDenied", 403)
    signed = wire.presign("PUT", f"/{bucket}/key", headers={"x-amz-meta-good": "1"})
    assert wire.plain("PUT", signed, {"x-amz-meta-good": "1"}, b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="key")["Metadata"] == {"good": "1"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As it comes, with a window in which signatures count once."""
    with Server(tmp_path_factory.mktemp("strict")) as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


def test_a_change_counts_once(strict: Server) -> None:
    wire = Wire(strict)
    head = {**wire.head("PUT", "/bucket/key", payload=UNSIGNED).headers, "content-length": "1"}
    assert wire.exchange("PUT", "/bucket/key", head, b"1").status == 200
    again = wire.exchange("PUT", "/bucket/key", head, b"2")
    check_refused(again, "SlowDown", 503)
    assert again.headers["retry-after"] == "1"
    assert strict.client().get_object(Bucket="bucket", Key="key")["Body"].read() == b"1"
    read = wire.head("GET", "/bucket/key").headers
    for _ in range(2):
        assert wire.exchange("GET", "/bucket/key", read).status == 200


def test_a_change_counts_once_over_all_workers(tmp_path: Path) -> None:
    """Connections are spread over the workers, so of this many none is likely to serve them all."""
    with Server(tmp_path, workers=3, environment={"DGP_REPLAY_WINDOW_SECS": "300"}) as server:
        server.client().create_bucket(Bucket="bucket")
        wire = Wire(server)
        heads = {f"/bucket/key{n}": wire.head("PUT", f"/bucket/key{n}", payload=UNSIGNED).headers for n in range(4)}
        for path, head in heads.items():

            def put(_: int, path: str = path, head: dict[str, str] = head) -> int:
                return wire.exchange("PUT", path, {**head, "content-length": "1"}, b"1").status

            with ThreadPoolExecutor(16) as threads:
                assert sorted(threads.map(put, range(16))) == [200] + [503] * 15
        server.restart()
        for path, head in heads.items():
            check_refused(wire.exchange("PUT", path, {**head, "content-length": "1"}, b"2"), "SlowDown", 503)


def test_a_forged_signature_takes_no_place_in_the_window(strict: Server) -> None:
    wire = Wire(strict)
    head = {**wire.head("PUT", "/bucket/key2").headers, "content-length": "0"}
    check_refused(wire.exchange("PUT", "/bucket/other", head), "SignatureDoesNotMatch", 403)
    assert wire.exchange("PUT", "/bucket/key2", head).status == 200


def test_the_sdk_gets_over_a_replay(strict: Server) -> None:
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=strict.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=Signer().secret,
    )
    for _ in range(2):
        client.delete_object(Bucket="bucket", Key="whatever")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    environment = {"DGP_RATE_LIMIT_MAX_ATTEMPTS": "8", "DGP_TRUST_PROXY_HEADERS": "true"}
    with Server(tmp_path, workers=3, environment=environment) as server:
        server.client().create_bucket(Bucket="bucket")
        yield server


def test_who_guesses_is_locked_out_by_all_workers(guarded: Server) -> None:
    wire = Wire(guarded)
    thief = replace(wire, signer=Signer(secret="guessed"))
    here = {"x-forwarded-for": "203.0.113.9, 192.0.2.1"}
    answers = [thief.request("GET", "/bucket", unsigned_headers=here) for _ in range(8)]
    assert [answer.code for answer in answers] == ["SignatureDoesNotMatch"] * 8
    for _ in range(12):  # over more connections than there are workers
        refused_ = wire.request("GET", "/bucket", unsigned_headers=here)
        check_refused(refused_, "SlowDown", 503)
        assert 500 < int(refused_.headers["retry-after"]) <= 600
    forged = {"x-forwarded-for": "192.0.2.1, 192.0.2.2"}  # what a client wrote stands before what the proxy saw
    assert wire.request("GET", "/bucket", unsigned_headers=forged).status == 200
    assert wire.request("GET", "/bucket").status == 200
    assert wire.plain("GET", "/bucket", here).code == "AccessDenied"
    assert "event=brute_force_lockout" in guarded.log.read_text()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("opened"), open_access=True) as server:
        yield server


def test_an_open_server_takes_signed_and_unsigned_requests(opened: Server) -> None:
    wire = replace(Wire(opened), signer=Signer("WHOEVER", "whatever"))
    assert wire.plain("PUT", "/bucket").status == 200
    assert wire.plain("PUT", "/bucket/unsigned", body=b"1").status == 200
    assert wire.request("PUT", "/bucket/signed", body=b"2").status == 200
    assert wire.plain("PUT", wire.presign("PUT", "/bucket/presigned", expires=1), body=b"3").status == 200
    old = replace(wire, signer=Signer("WHOEVER", "whatever", offset=-86_400))
    assert old.request("PUT", "/bucket/old", body=b"4").status == 200
    keys = [entry["Key"] for entry in opened.client().list_objects_v2(Bucket="bucket")["Contents"]]
    assert keys == ["old", "presigned", "signed", "unsigned"]


def test_an_open_server_still_verifies_digests(opened: Server) -> None:
    wire = Wire(opened)
    wire.plain("PUT", "/digests")
    wrong = wire.request("PUT", "/digests/key", body=b"x", payload=hashlib.sha256(b"y").hexdigest())
    check_refused(wrong, "XAmzContentSHA256Mismatch", 400)


def test_an_open_server_takes_signed_chunks(opened: Server) -> None:
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=opened.endpoint,
        region_name="us-east-1",
        aws_access_key_id="WHOEVER",
        aws_secret_access_key="whatever",
    )
    client.create_bucket(Bucket="sdk-bucket")
    client.put_object(Bucket="sdk-bucket", Key="key", Body=b"x" * 100_000, ChecksumAlgorithm="CRC32C")
    assert client.get_object(Bucket="sdk-bucket", Key="key")["Body"].read() == b"x" * 100_000


def test_an_open_server_takes_the_anonymous_sdk(opened: Server) -> None:
    client: S3Client = boto3.client(
        "s3", endpoint_url=opened.endpoint, region_name="us-east-1", config=Config(signature_version=ANONYMOUSLY)
    )
    client.create_bucket(Bucket="anonymous")
    client.put_object(Bucket="anonymous", Key="key", Body=b"x")
    assert (
        client.get_object(Bucket="anonymous", Key="key", ResponseContentType="text/html")["ContentType"] == "text/html"
    )
