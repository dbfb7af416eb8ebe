"""Checks each address between resolving a name and connecting to it, when no answer can change any more.

aiohttp connects to the addresses that its resolver returns and keeps the name for TLS and the Host header, so what is
dropped here cannot be reached, and what passes is what is connected to. Hosts that are addresses see no resolver: the
check at the socket is for them.
"""

import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address

from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from typing_extensions import override

from deltaglider_proxy.outbound.addresses import Address, Kind, Network, acceptable, refusal


class AddressRefused(OSError):
    """No address that a name leads to is acceptable; says why and what to do."""


class GuardedResolver(AbstractResolver):
    def __init__(self, kind: Kind, allow: Collection[Network] = (), inner: AbstractResolver | None = None) -> None:
        """`inner`: owned from now on; without, the names are those that the host knows."""
        self._kind = kind
        self._allow = tuple(allow)
        self._inner = inner or ThreadedResolver()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises AddressRefused, or OSError for a name that nobody knows."""
        found = await self._inner.resolve(host, port, family)
        checked = [result for result in found if acceptable(_address(result["host"]), self._kind, self._allow)]
        if found and not checked:
            raise _refused(host, _address(found[0]["host"]), self._kind, self._allow)
        return checked

    @override
    async def close(self) -> None:
        await self._inner.close()


def guarded_socket(kind: Kind, allow: Collection[Network] = ()) -> Callable[[AddrInfoType], socket.socket]:
    """Makes sockets for connections, and raises AddressRefused for those that must not be."""

    def make(info: AddrInfoType) -> socket.socket:
        family, type_, protocol, _, where = info
        address = _address(str(where[0]))
        if not acceptable(address, kind, allow):
            raise _refused(str(where[0]), address, kind, allow)
        return socket.socket(family, type_, protocol)

    return make


def _address(text: str) -> Address:
    return ip_address(text.partition("%")[0])


def _refused(host: str, address: Address, kind: Kind, allow: Collection[Network]) -> AddressRefused:
    return AddressRefused(f"the {kind.value} {host!r} leads to {address}, {refusal(address, kind, allow)}")
