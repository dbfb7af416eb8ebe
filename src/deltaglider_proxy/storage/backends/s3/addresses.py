"""Which addresses may be connected to, decided on the address itself and not on the name that led to it.

A name may resolve to a private address, and to another one each time, so the check stands between resolving and
connecting. Addresses of clouds' metadata services, which hand out credentials, are never storage.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from typing_extensions import override

_METADATA: Final = frozenset(
    ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "fd00:ec2::254")
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """The address is not one of storage; the message says why and what to do."""


def check(address: str, name: str, *, allow_local: bool) -> None:
    """Raises AddressRefused if the endpoint `name` may not be reached at `address`."""
    found = _meant(address)
    if found in _METADATA:
        raise AddressRefused(f"endpoint {name!r} leads to {address}, a cloud's metadata service, never storage")
    if not allow_local and (not found.is_global or found.is_multicast):
        raise AddressRefused(f"endpoint {name!r} leads to {address}, which is not public; set allow_local to permit it")


def check_literal(host: str, *, allow_local: bool) -> None:
    """The same for an endpoint that is an address itself, which no resolver sees. Raises AddressRefused."""
    try:
        ip_address(host)
    except ValueError:
        return
    check(host, host, allow_local=allow_local)


def _meant(address: str) -> IPv4Address | IPv6Address:
    """The address that is reached in the end: several IPv6 forms carry an IPv4 address."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found in _NAT64:
            return IPv4Address(int(found) & 0xFFFFFFFF)
        return found.ipv4_mapped or found.sixtofour or found
    return found


class CheckedResolver(AbstractResolver):
    """Resolves as the system does and refuses what `check` refuses; one bad address refuses the name."""

    def __init__(self, *, allow_local: bool) -> None:
        self._inner = ThreadedResolver()
        self._allow_local = allow_local

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            check(result["host"], host, allow_local=self._allow_local)
        return found

    @override
    async def close(self) -> None:
        await self._inner.close()
