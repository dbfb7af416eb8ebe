"""Whether an address lies in any of many networks: one look-up per length of prefix, however many there are."""

from collections.abc import Iterable
from ipaddress import IPv6Network, ip_network

from deltaglider_proxy.access.client_address import Address

_MAPPED_BITS = 96


class Networks:
    def __init__(self, texts: Iterable[str]) -> None:
        """Addresses and networks. IPv4 that is written as IPv6 is IPv4. Raises ValueError."""
        self._by_length: dict[tuple[int, int], set[int]] = {}
        for text in texts:
            network = ip_network(text, strict=False)
            version, length, start = network.version, network.prefixlen, int(network.network_address)
            if isinstance(network, IPv6Network) and length >= _MAPPED_BITS and network.network_address.ipv4_mapped:
                version, length = 4, length - _MAPPED_BITS
                start = int(network.network_address.ipv4_mapped)
            shift = (32 if version == 4 else 128) - length
            self._by_length.setdefault((version, shift), set()).add(start >> shift)

    def __contains__(self, address: Address) -> bool:
        number, version = int(address), address.version
        return any(
            wanted == version and number >> shift in starts for (wanted, shift), starts in self._by_length.items()
        )
