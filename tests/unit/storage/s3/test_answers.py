"""What answers of a service mean, by status and code."""

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from deltaglider_proxy.outbound.resolver import AddressRefused
from deltaglider_proxy.storage.backends.s3.answers import Answer, Busy, hidden_error, md5_of, meaning
from deltaglider_proxy.storage.backends.s3.client import lost
from deltaglider_proxy.storage.backends.s3.documents import Malformed, complete_upload, error_of, parse, timestamp
from deltaglider_proxy.storage.backends.s3.settings import S3Settings, endpoint_of
from deltaglider_proxy.storage.errors import (
    BucketExists,
    ConditionFailed,
    Denied,
    DiskFull,
    KeyRejected,
    MetadataTooLarge,
    NoSuchBucket,
    NoSuchKey,
    StorageError,
    Unavailable,
    Uncertain,
    Unsupported,
)

MD5 = "0" * 32


def answer(status: int, code: str = "") -> Answer:
    return Answer(status, {}, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode() if code else b"")


@pytest.mark.parametrize(
    ("status", "code", "read", "changed"),
    [
        (404, "NoSuchKey", NoSuchKey, NoSuchKey),
        (404, "NoSuchBucket", NoSuchBucket, NoSuchBucket),
        (412, "", ConditionFailed, ConditionFailed),
        (412, "PreconditionFailed", ConditionFailed, ConditionFailed),
        (409, "ConditionalRequestConflict", ConditionFailed, ConditionFailed),
        (409, "BucketAlreadyOwnedByYou", BucketExists, BucketExists),
        (409, "OperationAborted", Busy, Busy),
        (400, "MetadataTooLarge", MetadataTooLarge, MetadataTooLarge),
        (400, "KeyTooLongError", KeyRejected, KeyRejected),
        (400, "RequestTimeout", Busy, Busy),
        (501, "", Unsupported, Unsupported),
        (507, "", DiskFull, DiskFull),
        (503, "", Busy, Busy),
        (503, "SlowDown", Busy, Busy),
        (429, "", Busy, Busy),
        (500, "", Busy, Uncertain),
        (500, "InternalError", Busy, Uncertain),
        (502, "", Busy, Uncertain),
        (504, "", Busy, Uncertain),
        (403, "AccessDenied", Denied, Denied),
        (401, "", Denied, Denied),
        (400, "ExpiredToken", Denied, Denied),
        (301, "PermanentRedirect", Unavailable, Unavailable),
        (400, "Whatever", Unavailable, Unavailable),
    ],
)
def test_meaning(status: int, code: str, read: type[StorageError], changed: type[StorageError]) -> None:
    assert type(meaning(answer(status, code), "GET x", mutation=False)) is read
    assert type(meaning(answer(status, code), "PUT x", mutation=True)) is changed


def test_a_message_is_never_looked_at() -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>SlowDown NoSuchKey</Message></Error>"
    assert type(meaning(Answer(403, {}, body), "x", mutation=True)) is Denied


def test_an_error_behind_a_200() -> None:
    assert hidden_error(answer(200), "x", mutation=True) is None
    assert isinstance(hidden_error(answer(200, "InternalError"), "x", mutation=True), Uncertain)
    assert isinstance(hidden_error(answer(200, "SlowDown"), "x", mutation=True), Busy)
    assert isinstance(hidden_error(answer(200, "PreconditionFailed"), "x", mutation=True), ConditionFailed)
    assert isinstance(hidden_error(answer(200, "InternalError"), "x", mutation=False), Busy)


def test_errors_of_connections() -> None:
    assert isinstance(lost(aiohttp.ConnectionTimeoutError(), "x", mutation=True), Busy)
    for error in (
        aiohttp.ServerDisconnectedError(),
        TimeoutError(),
        ConnectionResetError(),
        aiohttp.ClientPayloadError(),
    ):
        assert isinstance(lost(error, "x", mutation=True), Uncertain)
        assert isinstance(lost(error, "x", mutation=False), Busy)
    wrapped = aiohttp.ClientConnectionError("cannot connect")
    wrapped.__cause__ = AddressRefused("not public")
    refused = lost(wrapped, "x", mutation=True)
    assert type(refused) is Unavailable
    assert "not public" in str(refused)


@pytest.mark.parametrize(
    ("headers", "md5"),
    [
        ({"etag": f'"{MD5}"'}, MD5),
        ({"etag": f'"{MD5}-3"'}, None),
        ({"etag": '"whatever"'}, None),
        ({"etag": f'"{MD5}"', "x-amz-server-side-encryption": "AES256"}, MD5),
        ({"etag": f'"{MD5}"', "x-amz-server-side-encryption": "aws:kms"}, None),
        ({"etag": f'"{MD5}"', "x-amz-server-side-encryption-customer-algorithm": "AES256"}, None),
        ({}, None),
    ],
)
def test_which_etags_are_digests(headers: dict[str, str], md5: str | None) -> None:
    assert md5_of(headers) == md5


@pytest.mark.parametrize("host", ["10.0.0.1", "127.1", "[::1]", "[64:ff9b::7f00:1]", "localhost", "minio.internal"])
def test_endpoints_that_are_not_public(host: str) -> None:
    for scheme in ("http", "https"):
        settings = S3Settings(Path(), f"{scheme}://{host}:9000")
        with pytest.raises(ValueError, match=r"endpoint.*not public; set allow_local"):
            endpoint_of(settings)
        assert endpoint_of(replace(settings, allow_local=True)).port == 9000


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "metadata"])
def test_metadata_services_are_never_storage(host: str) -> None:
    for local in (True, False):
        with pytest.raises(ValueError, match="metadata"):
            endpoint_of(S3Settings(Path(), f"https://{host}", allow_local=local))


def test_only_who_is_near_is_called_without_tls() -> None:
    with pytest.raises(ValueError, match=r"without TLS.*allow_local"):
        endpoint_of(S3Settings(Path(), "http://s3.example.com"))


@pytest.mark.parametrize(
    ("endpoint", "region", "host", "secure"),
    [
        (None, "us-east-1", "s3.us-east-1.amazonaws.com", True),
        (None, "cn-north-1", "s3.cn-north-1.amazonaws.com.cn", True),
        ("http://localhost:9000", "x", "localhost:9000", False),
        ("https://s3.example.com:443/", "x", "s3.example.com", True),
        ("http://[::1]:80", "x", "[::1]", False),
    ],
)
def test_endpoints(endpoint: str | None, region: str, host: str, secure: bool) -> None:
    found = endpoint_of(S3Settings(Path(), endpoint, region, allow_local=not secure))
    assert (found.authority, found.secure) == (host, secure)


@pytest.mark.parametrize(
    "endpoint", ["ftp://x", "s3.example.com", "https://", "https://x/path", "https://x?q", "https://u:p@x"]
)
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        endpoint_of(S3Settings(Path(), endpoint))


def test_documents() -> None:
    assert error_of(b"") == error_of(b"<html/>") == error_of(b"<Error") == error_of(b"no xml") == ("", "")
    assert timestamp("2026-01-02T03:04:05.678Z") == timestamp("2026-01-02T03:04:05Z") == 1767323045.0
    with pytest.raises(Malformed):
        timestamp("yesterday")
    with pytest.raises(Malformed):
        parse(b"<a>")
    entity = b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'
    assert parse(entity).text is None
    assert parse(complete_upload(['a"<b'])) is not None


def _error(code: str, more: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>m</Message>{more}</Error>".encode()


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (Answer(301, {"x-amz-bucket-region": "eu-west-1"}, b""), ["region 'eu-west-1'"]),
        (Answer(301, {}, _error("PermanentRedirect", "<Endpoint>s3.x.com</Endpoint>")), ["endpoint 's3.x.com'"]),
        (Answer(307, {"location": "https://b.s3.x.com/k"}, b""), ["endpoint 'https://b.s3.x.com/k'"]),
        (Answer(302, {}, b""), []),
        (Answer(400, {}, _error("AuthorizationHeaderMalformed", "<Region>eu-1</Region>")), ["region 'eu-1'"]),
        (Answer(400, {"x-amz-bucket-region": "eu-1"}, b""), ["region 'eu-1'"]),
    ],
)
@pytest.mark.parametrize("mutation", [True, False])
def test_a_bucket_that_is_elsewhere(answer: Answer, named: list[str], mutation: bool) -> None:
    error = meaning(answer, "HEAD b", mutation=mutation)
    assert type(error) is Unavailable
    assert "HEAD b" in str(error)
    assert "the endpoint or the region of this backend is wrong" in str(error)
    assert all(f"the service names {each}" in str(error) for each in named)


def test_what_a_redirect_names_is_told_but_not_at_length() -> None:
    told = str(meaning(Answer(307, {"location": "https://x/" + "y" * 5000}, b""), "GET b", mutation=False))
    assert len(told) < 500


@pytest.mark.parametrize("status", [400, 403])
def test_a_clock_that_is_wrong_is_told_as_that(status: int) -> None:
    moment = "Mon, 01 Jan 2029 00:00:00 GMT"
    error = meaning(Answer(status, {"date": moment}, _error("RequestTimeTooSkewed")), "GET b", mutation=True)
    assert type(error) is Denied
    assert f"set the clock of this host: the time of the service is {moment}" in str(error)
    assert "key pair" not in str(error)
