from collections.abc import Mapping

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from deltaglider_proxy.access.authenticator import Authenticator
from deltaglider_proxy.access.authorize import Action, allowed, authorize
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.identity import ANONYMOUS, BOOTSTRAP, OPEN, StaticCredentials
from deltaglider_proxy.access.replay import ReplayWindow
from deltaglider_proxy.access.sigv4 import epoch_of

Headers = Mapping[bytes, bytes]


def signed(method: str) -> tuple[Headers, float]:
    request = AWSRequest(method=method, url="http://h/b/k", headers={})
    S3SigV4Auth(BotoCredentials("id", "secret"), "s3", "us-east-1").add_auth(request)
    headers = {name.lower().encode(): str(value).encode() for name, value in request.headers.items()}
    headers[b"host"] = b"h"
    return headers, float(epoch_of(headers[b"x-amz-date"]) or 0)


@pytest.fixture
def door() -> Authenticator:
    return Authenticator(StaticCredentials("id", b"secret"))


def test_a_change_counts_once(door: Authenticator) -> None:
    headers, now = signed("PUT")
    assert door.request("PUT", b"/b/k", b"", headers, now, 10.0).identity is BOOTSTRAP
    with pytest.raises(AccessError) as caught:
        door.request("PUT", b"/b/k", b"", headers, now, 11.0)
    assert caught.value.reason is Reason.REPLAYED
    assert door.request("PUT", b"/b/k", b"", headers, now, 12.0).identity is BOOTSTRAP


def test_a_refused_request_is_not_remembered(door: Authenticator) -> None:
    headers, now = signed("PUT")
    with pytest.raises(AccessError):
        door.request("PUT", b"/b/other", b"", headers, now, 10.0)
    assert door.request("PUT", b"/b/k", b"", headers, now, 10.0).identity is BOOTSTRAP


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_may_be_repeated(door: Authenticator, method: str) -> None:
    headers, now = signed(method)
    for _ in range(3):
        assert door.request(method, b"/b/k", b"", headers, now, 10.0).identity is BOOTSTRAP


def test_unsigned_is_anonymous(door: Authenticator) -> None:
    caller = door.request("GET", b"/", b"", {}, 0.0, 0.0)
    assert caller.identity is ANONYMOUS
    assert caller.signature is None
    assert not door.is_open


def test_open_mode_looks_at_no_signature() -> None:
    door = Authenticator(None)
    headers = {b"authorization": b"AWS4-HMAC-SHA256 nonsense"}
    caller = door.request("PUT", b"/b/k", b"", headers, 0.0, 0.0)
    assert caller.identity is OPEN
    assert caller.signature is None
    assert door.form({}).identity is OPEN
    assert door.is_open


@pytest.mark.parametrize("action", list(Action))
def test_what_is_allowed(action: Action) -> None:
    assert allowed(BOOTSTRAP, action, "b", "k")
    assert allowed(OPEN, action, "b")
    assert allowed(ANONYMOUS, action, "b", "k") is (action is Action.PUBLIC)


def test_an_unknown_action_is_denied() -> None:
    assert not allowed(BOOTSTRAP, "frobnicate", "b")
    with pytest.raises(AccessError) as caught:
        authorize(ANONYMOUS, "read", "b", "k")
    assert caught.value.reason is Reason.DENIED


def test_static_credentials() -> None:
    credentials = StaticCredentials("id", b"secret")
    assert credentials.secret_for("id") == b"secret"
    assert credentials.secret_for("ID") is None
    assert credentials.identity_for("id") is BOOTSTRAP


def test_replay_window_is_bounded_and_forgets() -> None:
    window = ReplayWindow(2.0, capacity=3)
    assert [window.is_first(b"%d" % n, 0.0) for n in range(4)] == [True] * 4
    assert len(window) == 3
    assert window.is_first(b"0", 0.0)
    assert not window.is_first(b"3", 1.9)
    assert window.is_first(b"3", 2.0)
    assert len(window) == 1


def test_duplicates_do_not_extend_the_window() -> None:
    window = ReplayWindow(2.0)
    assert window.is_first(b"a", 0.0)
    assert not window.is_first(b"a", 1.5)
    assert window.is_first(b"a", 2.1)


def test_replay_window_may_be_off() -> None:
    window = ReplayWindow(0)
    assert window.is_first(b"a", 0.0)
    assert window.is_first(b"a", 0.0)
