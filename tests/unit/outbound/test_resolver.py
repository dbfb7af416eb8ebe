"""What a name leads to is what is checked, each time."""

import socket
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.outbound.addresses import Kind, acceptable
from deltaglider_proxy.outbound.resolver import AddressRefused, GuardedResolver, guarded_socket
from tests.unit.outbound.names import NAME, Names


async def through(kind: Kind, *addresses: str) -> list[str]:
    found = await GuardedResolver(kind, (), Names(addresses)).resolve(NAME, 443)
    return [result["host"] for result in found]


async def test_what_is_not_acceptable_is_dropped() -> None:
    mixed = ("10.0.0.1", "8.8.8.8", "::1", "fe80::1%eth0", "169.254.169.254", "2600:1f00::1", "::ffff:8.8.8.8")
    for kind in (Kind.OIDC, Kind.WEBHOOK, Kind.BACKEND):
        assert await through(kind, *mixed) == ["8.8.8.8", "2600:1f00::1"]
    assert await through(Kind.BACKEND_DEV, *mixed) == [address for address in mixed if address != "169.254.169.254"]


@pytest.mark.parametrize(
    ("kind", "remedy"), [(Kind.OIDC, "outbound_allow_cidrs"), (Kind.BACKEND, "set allow_local to permit it")]
)
async def test_nothing_left_is_an_error_that_helps(kind: Kind, remedy: str) -> None:
    with pytest.raises(AddressRefused, match=rf"{NAME}' leads to 10\.0\.0\.1, which is not public; .*{remedy}"):
        await through(kind, "10.0.0.1", "127.0.0.1")


async def test_metadata_services_hide_behind_no_name() -> None:
    for kind in Kind:
        with pytest.raises(AddressRefused, match="metadata"):
            await through(kind, "169.254.169.254")


async def test_an_unknown_name_is_no_refusal() -> None:
    assert await through(Kind.OIDC) == []
    real = GuardedResolver(Kind.OIDC)
    with pytest.raises(OSError, match=r".") as caught:
        await real.resolve("does-not-exist.invalid", 443)
    assert not isinstance(caught.value, AddressRefused)
    await real.close()


async def test_the_names_of_this_host() -> None:
    with pytest.raises(AddressRefused):
        await GuardedResolver(Kind.OIDC).resolve("localhost", 443)
    assert await GuardedResolver(Kind.BACKEND_DEV).resolve("localhost", 443)
    assert await GuardedResolver(Kind.OIDC, (ip_network("127.0.0.0/8"),)).resolve("localhost", 443)


async def test_it_closes_what_it_owns() -> None:
    names = Names(("8.8.8.8",))
    await GuardedResolver(Kind.OIDC, (), names).close()
    assert names.asked == ["closed"]


@given(st.lists(st.ip_addresses(), max_size=6))
async def test_exactly_what_is_acceptable_passes(addresses: list[object]) -> None:
    texts = [str(address) for address in addresses]
    for kind in Kind:
        wanted = [text for text in texts if acceptable(ip_address(text.partition("%")[0]), kind)]
        if texts and not wanted:
            with pytest.raises(AddressRefused):
                await through(kind, *texts)
        else:
            assert await through(kind, *texts) == wanted


def test_sockets_are_the_last_gate() -> None:
    make = guarded_socket(Kind.OIDC)
    with pytest.raises(AddressRefused):
        make((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 443)))
    with pytest.raises(AddressRefused):
        make((socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("fe80::1%lo", 443, 0, 1)))
    made = make((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 443)))
    assert made.family is socket.AF_INET
    made.close()
