"""Which scheme a client speaks: the peer's, or what a trusted proxy says, and never what somebody else claims."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.client_address import ClientAddresses
from deltaglider_proxy.server.tls_front import Front, Message, Receive, Scope, Send

PROXIES = (ip_network("10.0.0.0/8"),)
TRUSTING = ClientAddresses(trust_headers=True, proxies=PROXIES)


@pytest.mark.parametrize(
    ("forwarded", "own", "expected"),
    [
        ([], "http", "http"),
        ([], "https", "https"),
        ([b"https"], "http", "https"),
        ([b"HTTPS "], "http", "https"),
        ([b"http"], "https", "http"),
        ([b"https, https"], "http", "https"),
        ([b"https, http"], "http", "http"),
        ([b"https", b"http"], "http", "http"),
        ([b"http,https"], "http", "http"),
        ([b""], "https", "http"),
        ([b"wss"], "http", "http"),
    ],
)
def test_a_trusted_proxy_is_believed(forwarded: list[bytes], own: str, expected: str) -> None:
    assert TRUSTING.scheme("10.0.0.1", forwarded, own) == expected


@given(forwarded=st.lists(st.binary(max_size=12) | st.just(b"https")), own=st.sampled_from(["http", "https"]))
def test_others_are_not(forwarded: list[bytes], own: str) -> None:
    assert TRUSTING.scheme("192.0.2.1", forwarded, own) == own
    assert ClientAddresses(proxies=PROXIES).scheme("10.0.0.1", forwarded, own) == own


@given(before=st.binary(max_size=20))
def test_what_a_client_puts_before_the_word_of_its_proxy_makes_nothing_secure(before: bytes) -> None:
    assert TRUSTING.scheme("10.0.0.1", [before, b"http"], "http") == "http"
    assert TRUSTING.scheme("10.0.0.1", [before + b", http"], "http") == "http"


async def _seen(addresses: ClientAddresses, *, tls: bool, headers: list[tuple[bytes, bytes]]) -> tuple[str, Message]:
    """What the application behind a front is told, and the head that a client gets."""
    seen: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["scheme"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "scheme": "https" if tls else "http", "client": ("10.0.0.1", 1), "headers": headers}
    await Front(app, addresses, tls=tls)(scope, receive, send)
    return seen[0], sent[0]


async def test_the_application_sees_the_scheme_of_the_client() -> None:
    said = [(b"host", b"x"), (b"x-forwarded-proto", b"https")]
    assert (await _seen(TRUSTING, tls=False, headers=said))[0] == "https"
    assert (await _seen(ClientAddresses(), tls=False, headers=said))[0] == "http"


async def test_browsers_are_told_to_stay_with_https_where_tls_is_ended_here() -> None:
    strict = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
    assert (await _seen(TRUSTING, tls=True, headers=[]))[1]["headers"] == [(b"a", b"b"), strict]
    assert (await _seen(TRUSTING, tls=False, headers=[]))[1]["headers"] == [(b"a", b"b")]
