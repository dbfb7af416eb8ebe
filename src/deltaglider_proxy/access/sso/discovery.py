"""What a provider says of itself. Source: OpenID Connect Discovery 1.0, section 4."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from deltaglider_proxy.outbound.addresses import Kind, Network
from deltaglider_proxy.outbound.client import CallFailed, OutboundClient
from deltaglider_proxy.outbound.policy import RefusedUrl, check_url

_NAMES: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class DiscoveryFailed(Exception):
    """Says why."""


@dataclass(frozen=True, slots=True)
class Discovered:
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


async def discover(issuer_url: str, allow: Collection[Network]) -> Discovered:
    """`allow`: private networks that providers may live in. Raises DiscoveryFailed."""
    issuer = issuer_url.rstrip("/")
    try:
        async with OutboundClient(Kind.OIDC, allow) as client:
            document = await client.get_json(f"{issuer}/.well-known/openid-configuration")
    except (RefusedUrl, CallFailed) as error:
        raise DiscoveryFailed(str(error)) from error
    return checked(document, issuer, allow)


def checked(document: object, issuer: str, allow: Collection[Network]) -> Discovered:
    """A document speaks for its own issuer only, and names places that may be called. Raises DiscoveryFailed."""
    if not isinstance(document, dict):
        raise DiscoveryFailed("the provider's metadata is no JSON object")
    said = document.get("issuer")
    if not isinstance(said, str) or said.rstrip("/") != issuer:
        raise DiscoveryFailed("the provider's metadata names another issuer than issuer_url")
    found = {name: document.get(name) for name in _NAMES}
    for name, url in found.items():
        if not isinstance(url, str):
            raise DiscoveryFailed(f"the provider's metadata lacks {name}")
        try:
            check_url(url, Kind.OIDC, allow)
        except RefusedUrl as error:
            raise DiscoveryFailed(f"{name}: {error}") from error
    return Discovered(said, *(str(found[name]) for name in _NAMES))
