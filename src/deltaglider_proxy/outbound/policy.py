"""Whether a URL that somebody wrote may be called: its form, its scheme, its host.

This is the early answer, for whoever writes the URL. A name may lead anywhere, and elsewhere each time, so what counts
is asked again of each address, when it is connected to.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from deltaglider_proxy.outbound.addresses import REMEDY, Kind, Network, refusal
from deltaglider_proxy.outbound.hosts import Host, NoHost, parse_host

_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 2048
_UNUSABLE: Final = re.compile(r"[\x00-\x20\x7f\\]")
"""Parsers differ in what they make of these: some drop them."""
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^][]*\]|[^][:]+)(?::(?P<port>[0-9]{0,5}))?")

_METADATA_NAMES: Final = frozenset(
    (
        "metadata",
        "metadata.aws",
        "metadata.goog",
        "metadata.google.internal",
        "instance-data",
        "instance-data.ec2.internal",
    )
)
_LOCAL_NAMES: Final = frozenset(("localhost", "ip6-localhost", "ip6-loopback"))
_LOCAL_SUFFIXES: Final = (".internal", ".local", ".localdomain", ".localhost")


class RefusedUrl(ValueError):
    """Says why. Of the URL it repeats the host at most: paths and queries hold secrets."""


@dataclass(frozen=True, slots=True)
class Target:
    scheme: str
    host: str
    """A name in lower-case ASCII, or an address; IPv6 without brackets."""
    port: int
    path: str
    """As it was written, with the query."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """As the Host header has it: with the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def secure(self) -> bool:
        return self.scheme == "https"


def check_url(text: str, kind: Kind, allow: Collection[Network] = ()) -> Target:
    """`allow`: networks that need not be public. Raises RefusedUrl."""
    if len(text) > _LONGEST:
        raise RefusedUrl(f"a URL must not be longer than {_LONGEST} characters")
    if _UNUSABLE.search(text):
        raise RefusedUrl("a URL must not hold spaces, control characters or backslashes; percent-encode them")
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise RefusedUrl("the host of the URL is malformed") from error
    if url.scheme not in _PORTS or not url.netloc:
        raise RefusedUrl("must be https://HOST[:PORT]" + (" or http://HOST[:PORT]" if kind is Kind.BACKEND_DEV else ""))
    if "@" in url.netloc:
        raise RefusedUrl("a URL must not hold credentials; there are settings for them")
    if url.fragment or not (url.path + url.query).isascii():
        raise RefusedUrl("a URL must end without `#` and hold no letters beyond ASCII behind its host")
    host, port = _authority(url.netloc, _PORTS[url.scheme])
    _check_host(host, kind, allow)
    if url.scheme != "https" and kind is not Kind.BACKEND_DEV:
        remedy = f"; {REMEDY[kind]}" if kind is Kind.BACKEND else ""
        raise RefusedUrl(f"{str(host)!r} would be called without TLS: use https{remedy}")
    return Target(url.scheme, str(host), port, url.path + (f"?{url.query}" if url.query else ""))


def _authority(text: str, usual_port: int) -> tuple[Host, int]:
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise RefusedUrl("what follows `://` must be HOST or HOST:PORT, with IPv6 in brackets")
    port = int(found["port"] or usual_port)
    if not 0 < port < 65536:
        raise RefusedUrl(f"the port must be 1 to 65535, not {port}")
    try:
        return parse_host(found["host"]), port
    except NoHost as error:
        raise RefusedUrl(str(error)) from error


def _check_host(host: Host, kind: Kind, allow: Collection[Network]) -> None:
    if not isinstance(host, str):
        why = refusal(host, kind, allow)
        if why is not None:
            raise RefusedUrl(f"the host is {str(host)!r}, {why}")
        return
    if host in _METADATA_NAMES:
        raise RefusedUrl(f"the host is {host!r}, which is a cloud's metadata service")
    if kind is Kind.BACKEND_DEV or allow:
        return  # a private network that is allowed has private names; its addresses are what is checked
    if host in _LOCAL_NAMES or host.endswith(_LOCAL_SUFFIXES):
        raise RefusedUrl(f"the host is {host!r}, which is not public; {REMEDY[kind]}")
