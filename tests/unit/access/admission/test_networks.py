"""Whether an address lies in one of many networks, held to the plain loop."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.admission.networks import Networks
from deltaglider_proxy.access.client_address import Address, Network

NEAR_4 = st.integers(0x0A000000, 0x0A0003FF).map(IPv4Address)
NEAR_6 = st.integers(0x2001 << 112, (0x2001 << 112) + 0x3FF).map(IPv6Address)
ADDRESSES = st.ip_addresses() | NEAR_4 | NEAR_6


def network(address: Address, length: int) -> Network:
    return ip_network((address, min(length, address.max_prefixlen)), strict=False)


NETWORKS = st.builds(network, ADDRESSES, st.integers(0, 128) | st.integers(22, 32))


@given(st.lists(NETWORKS, max_size=12), ADDRESSES)
def test_they_hold_what_the_loop_finds(networks: list[Network], address: Address) -> None:
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    found = address in Networks(map(str, networks))
    assert found is any(address in one for one in networks)


@given(NETWORKS)
def test_the_ends_are_inside_and_their_neighbours_are_not(one: Network) -> None:
    held = Networks([str(one)])
    first, last = int(one.network_address), int(one.broadcast_address)
    make = type(one.network_address)
    assert make(first) in held
    assert make(last) in held
    assert first == 0 or make(first - 1) not in held
    assert last == 2**one.max_prefixlen - 1 or make(last + 1) not in held


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("10.0.0.9/8", "10.255.0.0", "11.0.0.0"),
        ("::ffff:10.0.0.0/104", "10.255.0.0", "11.0.0.0"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("::ffff:0:0/96", "10.0.0.1", "::1"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "ffff::", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
    ],
)
def test_how_they_are_written(text: str, inside: str, outside: str) -> None:
    held = Networks([text])
    assert ip_address(inside) in held
    assert ip_address(outside) not in held


def test_none_hold_nothing() -> None:
    assert ip_address("10.0.0.1") not in Networks([])


@pytest.mark.parametrize("text", ["", "x", "10.0.0.0/33", "10.0.0", "::1/129", "10.0.0.1:80"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Networks([text])


def test_a_long_list_costs_a_few_lookups() -> None:
    """Counted and not timed: each length of prefix is one look-up, however many networks have it."""
    held = Networks(f"10.{a}.{b}.0/24" for a in range(64) for b in range(64))
    assert len(held._by_length) == 1
    assert ip_address("10.63.63.7") in held
    assert ip_address("10.64.0.0") not in held
