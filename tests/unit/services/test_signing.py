"""Held to botocore, which signs what the tests' clients send."""

from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.storage.services.http1 import Head
from tests.support.storage.services.signing import signed_again

SECRET = "secret"


def signed(url: str, fields: dict[str, str]) -> Head:
    request = AWSRequest("PUT", url, headers=fields)
    request.context["payload_signing_enabled"] = False
    S3SigV4Auth(Credentials("key", SECRET), "s3", "us-east-1").add_auth(request)
    target = url.removeprefix("http://host:1")
    found = [("Host", "host:1"), *((name, value) for name, value in request.headers.items())]
    return Head(f"PUT {target} HTTP/1.1", tuple(found))


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime(2026, 11, 25, tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)


def test_a_whole_head_gets_the_signature_that_it_has() -> None:
    url = "http://host:1/b/a%2Bb%20c?uploadId=x%2Fy&partNumber=1&acl="
    head = signed(url, {"If-Match": '"a"', "x-amz-meta-a": "b  c"})
    assert signed_again(head, SECRET) == head


def test_without_a_field_it_gets_the_one_of_a_head_that_never_had_it() -> None:
    head = signed("http://host:1/b/k", {"If-Match": '"a"', "x-amz-copy-source-if-match": "b"})
    again = signed_again(head.without(["if-match", "X-Amz-Copy-Source-If-Match"]), SECRET)
    assert again == signed("http://host:1/b/k", {})


def test_what_is_not_signed_is_left_alone() -> None:
    head = Head("GET / HTTP/1.1", (("Host", "a"), ("If-Match", "*")))
    assert signed_again(head, SECRET) is head
