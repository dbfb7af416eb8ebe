"""From which address a request comes, and how: the peer's, or what proxies that are trusted say of it.

`X-Forwarded-For` is read from its end, because each proxy appends the address it saw: whatever a client wrote itself
stands before that, and is never believed. `X-Forwarded-Proto` has no order that proxies agree on, so a request came by
HTTPS only if all who say something say so.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = Mapping[bytes, bytes]


class ClientAddresses:
    def __init__(self, *, trust_headers: bool = False, proxies: Iterable[Network] = ()) -> None:
        """`proxies`: who may speak for others and is never a client; without any, the peer alone is one."""
        self.trust_headers = trust_headers
        self._proxies = tuple(proxies)

    def of(self, peer: str, headers: Headers) -> Address | None:
        """None where even the peer has none, as behind a Unix socket."""
        direct = parse_address(peer)
        if not self._believes(direct):
            return direct
        for hop in reversed(headers.get(b"x-forwarded-for", b"").split(b",")):
            address = parse_address(_without_port(hop.decode("latin-1").strip()))
            if address is not None and not self._is_proxy(address):
                return address
        return parse_address(headers.get(b"x-real-ip", b"").decode("latin-1").strip()) or direct

    def scheme(self, peer: str, forwarded: Sequence[bytes], scheme: str) -> str:
        """`http` or `https`: what the client speaks. `forwarded`: the values of X-Forwarded-Proto; `scheme`: what the
        peer speaks to us.
        """
        if not forwarded or not self._believes(parse_address(peer)):
            return scheme
        said = {part.strip().lower() for value in forwarded for part in value.split(b",")}
        return "https" if said == {b"https"} else "http"

    def _believes(self, peer: Address | None) -> bool:
        return self.trust_headers and (not self._proxies or self._is_proxy(peer))

    def _is_proxy(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._proxies)


def _without_port(hop: str) -> str:
    """Some proxies write it. Were such a hop passed over, the one before it would count, which the client wrote."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


@lru_cache(4096)
def parse_address(text: str) -> Address | None:
    """An IPv4 address that is written as IPv6 is that IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def customer(address: Address) -> bytes:
    """What of the address one client cannot choose freely: all of IPv4, and the network of IPv6."""
    return address.packed if isinstance(address, IPv4Address) else address.packed[:8]
