"""What proxies write into X-Forwarded-For: some add the port, and then the address must count all the same."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.client_address import ClientAddresses

PROXIES = (ip_network("10.0.0.0/8"),)
TRUSTING = ClientAddresses(trust_headers=True, proxies=PROXIES)


def of(forwarded: str) -> str:
    return str(TRUSTING.of("10.0.0.1", {b"x-forwarded-for": forwarded.encode()}))


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("203.0.113.9, 192.0.2.1:4711, 10.2.3.4:80", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("::", "::"),
    ],
)
def test_ports(forwarded: str, expected: str) -> None:
    assert of(forwarded) == expected


@given(
    forged=st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=30),
    true=st.ip_addresses().filter(lambda address: address not in PROXIES[0]),
    port=st.integers(0, 65535),
)
def test_what_the_client_wrote_never_counts_before_an_address_with_a_port(
    forged: str, true: IPv4Address | IPv6Address, port: int
) -> None:
    written = f"{true}:{port}" if true.version == 4 else f"[{true}]:{port}"
    expected = true.ipv4_mapped or true if isinstance(true, IPv6Address) else true
    if expected not in PROXIES[0]:
        assert of(f"{forged}, {written}") == str(expected)
