"""Whose address it is: the peer's, or what trusted proxies say, and never what a client makes up."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.client_address import ClientAddresses, customer, parse_address

PEER = "10.0.0.1"
INSIDE = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


def of(addresses: ClientAddresses, forwarded: bytes = b"", real: bytes = b"", peer: str = PEER) -> str:
    headers = {name: value for name, value in ((b"x-forwarded-for", forwarded), (b"x-real-ip", real)) if value}
    return str(addresses.of(peer, headers))


def test_without_trust_headers_are_nothing() -> None:
    assert of(ClientAddresses(), b"192.0.2.1", b"192.0.2.2") == PEER
    assert of(ClientAddresses(proxies=INSIDE), b"192.0.2.1") == PEER


@pytest.mark.parametrize(
    ("forwarded", "real", "expected"),
    [
        (b"192.0.2.1", b"", "192.0.2.1"),
        (b"203.0.113.9, 192.0.2.1", b"", "192.0.2.1"),
        (b"192.0.2.1, 10.1.1.1, 2001:db8::1", b"", "192.0.2.1"),
        (b"192.0.2.1, unknown , ", b"", "192.0.2.1"),
        (b"", b"192.0.2.7", "192.0.2.7"),
        (b"10.1.1.1", b"192.0.2.7", "192.0.2.7"),
        (b"unknown", b"nonsense", PEER),
        (b"::ffff:192.0.2.1", b"", "192.0.2.1"),
        (b"", b"", PEER),
        (b"\xff", b"\xff", PEER),
    ],
)
def test_behind_proxies_that_are_named(forwarded: bytes, real: bytes, expected: str) -> None:
    assert of(ClientAddresses(trust_headers=True, proxies=INSIDE), forwarded, real) == expected


def test_a_peer_that_is_no_proxy_speaks_for_itself() -> None:
    assert of(ClientAddresses(trust_headers=True, proxies=INSIDE), b"192.0.2.1", peer="198.51.100.1") == "198.51.100.1"


def test_a_proxy_without_a_name_is_the_only_one() -> None:
    addresses = ClientAddresses(trust_headers=True)
    assert of(addresses, b"203.0.113.9, 192.0.2.1") == "192.0.2.1"
    assert of(addresses) == PEER


@given(st.lists(st.ip_addresses() | st.text("abc .:,", max_size=8), max_size=4), st.ip_addresses())
def test_what_the_client_wrote_itself_is_never_believed(forged: list[object], true: object) -> None:
    addresses = ClientAddresses(trust_headers=True)
    written = ", ".join(map(str, [*forged, true])).encode()
    assert addresses.of(PEER, {b"x-forwarded-for": written}) == parse_address(str(true))


def test_addresses() -> None:
    assert parse_address("::ffff:192.0.2.1") == ip_address("192.0.2.1")
    assert parse_address("-") is None
    assert parse_address("") is None


def test_whom_failures_are_counted_for() -> None:
    names = [customer(ip_address(text)) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1")]
    assert len(set(names)) == 4
    assert customer(ip_address("2001:db8::1")) == customer(ip_address("2001:db8::ffff:1"))
