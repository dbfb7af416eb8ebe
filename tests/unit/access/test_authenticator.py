from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from deltaglider_proxy.access.authenticator import Authenticator, Moment
from deltaglider_proxy.access.authorize import Action, allowed, authorize
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.failure_limit import FailureLimit, Limits
from deltaglider_proxy.access.identity import ANONYMOUS, BOOTSTRAP, OPEN, StaticCredentials
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.replay import ReplayWindow
from deltaglider_proxy.access.sigv4 import epoch_of
from deltaglider_proxy.access.state import OPEN_STATE, AccessState, Mode
from tests.support.s3_app import captured_log

Headers = Mapping[bytes, bytes]


def signed(method: str) -> tuple[Headers, float]:
    request = AWSRequest(method=method, url="http://h/b/k", headers={})
    S3SigV4Auth(BotoCredentials("id", "secret"), "s3", "us-east-1").add_auth(request)
    headers = {name.lower().encode(): str(value).encode() for name, value in request.headers.items()}
    headers[b"host"] = b"h"
    return headers, float(epoch_of(headers[b"x-amz-date"]) or 0)


CREDENTIALS = StaticCredentials("id", b"secret")
STATE = AccessState(Mode.BOOTSTRAP, CREDENTIALS)
CONTEXT = Context(now=0.0)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Authenticator]:
    replay = ReplayWindow(tmp_path / "replay", 2.0, capacity=32)
    yield Authenticator(replay=replay)
    replay.close()


def test_a_change_counts_once(door: Authenticator) -> None:
    headers, now = signed("PUT")
    assert door.request(STATE, "PUT", b"/b/k", b"", headers, Moment(now, 10.0)).identity is BOOTSTRAP
    with pytest.raises(AccessError) as caught:
        door.request(STATE, "PUT", b"/b/k", b"", headers, Moment(now, 11.0))
    assert caught.value.reason is Reason.REPLAYED
    assert door.request(STATE, "PUT", b"/b/k", b"", headers, Moment(now, 12.0)).identity is BOOTSTRAP


def test_a_refused_request_is_not_remembered(door: Authenticator) -> None:
    headers, now = signed("PUT")
    with pytest.raises(AccessError):
        door.request(STATE, "PUT", b"/b/other", b"", headers, Moment(now, 10.0))
    assert door.request(STATE, "PUT", b"/b/k", b"", headers, Moment(now, 10.0)).identity is BOOTSTRAP


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_may_be_repeated(door: Authenticator, method: str) -> None:
    headers, now = signed(method)
    for _ in range(3):
        assert door.request(STATE, method, b"/b/k", b"", headers, Moment(now, 10.0)).identity is BOOTSTRAP


def test_a_change_that_cannot_be_remembered_is_refused(tmp_path: Path) -> None:
    replay = ReplayWindow(tmp_path / "replay", 2.0, capacity=32)
    for number in range(32):
        replay.look(b"%d" % number, 10.0)
    door = Authenticator(replay=replay)
    headers, now = signed("PUT")
    with pytest.raises(AccessError) as caught:
        door.request(STATE, "PUT", b"/b/k", b"", headers, Moment(now, 11.0))
    assert caught.value.reason is Reason.CROWDED
    assert door.request(STATE, "PUT", b"/b/k", b"", headers, Moment(now, 12.0)).identity is BOOTSTRAP
    replay.close()


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Authenticator]:
    failures = FailureLimit(tmp_path / "failures", Limits(attempts=4, window=60.0, lockout=600.0), rows=32)
    yield Authenticator(failures=failures)
    failures.close()


def guess(door: Authenticator, at: Moment) -> AccessError:
    headers, _ = signed("GET")
    with pytest.raises(AccessError) as caught:
        door.request(STATE, "GET", b"/b/another", b"", headers, at)
    return caught.value


def test_who_guesses_is_locked_out_even_with_the_right_signature(limited: Authenticator) -> None:
    headers, now = signed("GET")
    at, elsewhere = Moment(now, 10.0, ip_address("192.0.2.1")), Moment(now, 10.0, ip_address("192.0.2.2"))
    with captured_log() as logs:
        assert [guess(limited, at).reason for _ in range(5)] == [Reason.BAD_SIGNATURE] * 4 + [Reason.LOCKED_OUT]
    assert [line["event"] for line in logs] == [
        "SECURITY | event=repeated_auth_failure",
        "SECURITY | event=brute_force_lockout",
    ]
    assert {line["ip"] for line in logs} == {"192.0.2.1"}
    with pytest.raises(AccessError) as caught:
        limited.request(STATE, "GET", b"/b/k", b"", headers, Moment(now, 100.0, ip_address("192.0.2.1")))
    assert (caught.value.reason, caught.value.retry_after) == (Reason.LOCKED_OUT, 510.0)
    with pytest.raises(AccessError) as caught:
        limited.form(STATE, {}, at)
    assert caught.value.reason is Reason.LOCKED_OUT
    assert limited.request(STATE, "GET", b"/b/k", b"", headers, elsewhere).identity is BOOTSTRAP
    assert limited.request(STATE, "GET", b"/b/k", b"", {}, at).identity is ANONYMOUS
    assert (
        limited.request(STATE, "GET", b"/b/k", b"", headers, Moment(now, 610.0, ip_address("192.0.2.1"))).identity
        is BOOTSTRAP
    )


def test_who_guesses_from_everywhere_waits_and_the_owner_does_not(tmp_path: Path) -> None:
    accounts = FailureLimit(tmp_path / "accounts", Limits(attempts=15, window=60.0, lockout=600.0), rows=32)
    door = Authenticator(accounts=accounts)
    headers, now = signed("GET")
    delays = [guess(door, Moment(now, 10.0, ip_address(f"192.0.2.{number}"))).delay for number in range(30)]
    assert delays[:10] == [0.0] * 10
    assert delays[10] > 0
    assert delays[11:] == sorted(delays[11:])
    owner = Moment(now, 10.0, ip_address("198.51.100.1"))
    assert door.request(STATE, "GET", b"/b/k", b"", headers, owner).identity is BOOTSTRAP
    assert guess(door, owner).delay > 0, "one right signature does not make guesses cheap again"
    accounts.close()


def test_a_success_forgives_what_was_before(limited: Authenticator) -> None:
    headers, now = signed("GET")
    at = Moment(now, 10.0, ip_address("192.0.2.1"))
    for _ in range(3):
        for _ in range(3):
            assert guess(limited, at).reason is Reason.BAD_SIGNATURE
        assert limited.request(STATE, "GET", b"/b/k", b"", headers, at).identity is BOOTSTRAP


def test_what_honest_clients_are_refused_for_is_no_guess(limited: Authenticator) -> None:
    headers, now = signed("GET")
    for _ in range(10):
        with pytest.raises(AccessError) as caught:
            limited.request(STATE, "GET", b"/b/k", b"", headers, Moment(now + 1000, 10.0, ip_address("192.0.2.1")))
        assert caught.value.reason is Reason.SKEWED


def test_forms_count_too(limited: Authenticator) -> None:
    reasons = []
    for _ in range(5):
        with pytest.raises(AccessError) as caught:
            limited.form(STATE, {}, Moment(0.0, 10.0, ip_address("192.0.2.1")))
        reasons.append(caught.value.reason)
    assert reasons == [Reason.INCOMPLETE_FORM] * 4 + [Reason.LOCKED_OUT]


def test_unsigned_is_anonymous(door: Authenticator) -> None:
    caller = door.request(STATE, "GET", b"/", b"", {}, Moment(0.0, 0.0))
    assert caller.identity is ANONYMOUS
    assert caller.signature is None


def test_open_mode_looks_at_no_signature() -> None:
    door = Authenticator()
    headers = {b"authorization": b"AWS4-HMAC-SHA256 nonsense"}
    caller = door.request(OPEN_STATE, "PUT", b"/b/k", b"", headers, Moment(0.0, 0.0))
    assert caller.identity is OPEN
    assert caller.signature is None
    assert door.form(OPEN_STATE, {}, Moment(0.0, 0.0)).identity is OPEN


def test_nobody_is_known_while_the_users_cannot_be_read(door: Authenticator) -> None:
    headers, now = signed("GET")
    locked = AccessState(Mode.LOCKED, None)
    for given in ({}, headers):
        with pytest.raises(AccessError) as caught:
            door.request(locked, "GET", b"/b/k", b"", given, Moment(now, 10.0))
        assert caught.value.reason is Reason.LOCKED_DATABASE
    with pytest.raises(AccessError) as caught:
        door.form(locked, {}, Moment(now, 10.0))
    with pytest.raises(AccessError, match="cannot be read"):
        door.stranger(locked)
    assert caught.value.reason is Reason.LOCKED_DATABASE


@pytest.mark.parametrize("action", list(Action))
def test_what_is_allowed(action: Action) -> None:
    assert allowed(BOOTSTRAP, action, "b", "k", CONTEXT)
    assert allowed(OPEN, action, "b", "", CONTEXT)
    assert allowed(ANONYMOUS, action, "b", "k", CONTEXT) is (action is Action.PUBLIC)


def test_an_unknown_action_is_denied() -> None:
    assert not allowed(BOOTSTRAP, "frobnicate", "b", "", CONTEXT)
    with pytest.raises(AccessError) as caught:
        authorize(ANONYMOUS, "read", "b", "k", CONTEXT)
    assert caught.value.reason is Reason.DENIED


def test_static_credentials() -> None:
    credentials = StaticCredentials("id", b"secret")
    assert credentials.secret_for("id", 0.0) == b"secret"
    assert credentials.secret_for("ID", 0.0) is None
    assert credentials.identity_for("id") is BOOTSTRAP
