"""Which addresses may be connected to, decided on the address itself and not on the name that led to it.

What hands out a cloud's credentials is refused to everybody, however it is written; what is not public, to everybody
whom the operator has not sent there. The tables are ours and not `is_global`, whose answers change with the version of
Python.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry; RFC 6052 (NAT64),
RFC 3056 (6to4).
"""

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Kind(Enum):
    """On whose behalf, which decides what is allowed."""

    OIDC = "sign-in provider"
    WEBHOOK = "webhook"
    BACKEND = "backend"
    BACKEND_DEV = "local backend"
    """A backend of which the operator says that it is near."""


REMEDY: Final = {
    Kind.OIDC: "list its network in advanced.outbound_allow_cidrs to permit it",
    Kind.WEBHOOK: "list its network in advanced.outbound_allow_cidrs to permit it",
    Kind.BACKEND: "set allow_local to permit it",
    Kind.BACKEND_DEV: "name another host",
}

_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",  # AWS ECS
        "169.254.170.23",  # AWS EKS
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
    )
)
_NOT_PUBLIC: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_UNICAST: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_NAT64: Final = IPv6Network("64:ff9b::/96")
_CARRIERS: Final = tuple(IPv6Network(text) for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b:1::/48"))
"""Forms that end with an IPv4 address and are not public themselves."""


def acceptable(address: Address, kind: Kind, allow: Iterable[Network] = ()) -> bool:
    """Whether a connection of this kind may be made to the address. `allow`: networks of the operator's choice, which
    need not be public; metadata services stay refused in them.
    """
    return refusal(address, kind, allow) is None


def refusal(address: Address, kind: Kind, allow: Iterable[Network] = ()) -> str | None:
    """Why it is not acceptable, with what to do; None if it is."""
    final = _final(address)
    if not _METADATA.isdisjoint((address, final, _carried(address))):
        return "which is a cloud's metadata service"
    if kind is Kind.BACKEND_DEV or _is_public(final) or any(final in network for network in allow):
        return None
    return f"which is not public; {REMEDY[kind]}"


def _final(address: Address) -> Address:
    """Where packets arrive in the end, after the gateways that everybody may use."""
    if isinstance(address, IPv4Address):
        return address
    return _last_bits(address) if address in _NAT64 else address.sixtofour or address


def _carried(address: Address) -> Address | None:
    if isinstance(address, IPv6Address) and any(address in network for network in _CARRIERS):
        return _last_bits(address)
    return None


def _last_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    return address in _UNICAST and not any(address in network for network in _NOT_PUBLIC_6)
