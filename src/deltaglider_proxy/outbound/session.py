"""The only place that opens HTTP sessions, so that none is without the guard.

Nothing of the environment steers them: no proxy variables, no netrc. No cookies, and bodies as they were sent.
"""

from collections.abc import Collection
from ssl import SSLContext

import aiohttp
from aiohttp.abc import AbstractResolver

from deltaglider_proxy.outbound.addresses import Kind, Network
from deltaglider_proxy.outbound.resolver import GuardedResolver, guarded_socket

_READ_AHEAD = 64 << 10


def open_session(
    kind: Kind,
    allow: Collection[Network] = (),
    *,
    connections: int,
    idle: float,
    read_ahead: int = _READ_AHEAD,
    request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
    tls: SSLContext | None = None,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """Bound to the running loop; the caller closes it, and requests without redirects.

    `connections`: open at once. `idle`: seconds that an unused one is kept. `tls`: whom to trust in place of the
    system's authorities. `resolver`: who knows names in place of the host; it is asked for each connection.
    """
    connector = aiohttp.TCPConnector(
        limit=connections,
        resolver=GuardedResolver(kind, allow, resolver),
        use_dns_cache=resolver is None,
        socket_factory=guarded_socket(kind, allow),
        keepalive_timeout=idle,
        enable_cleanup_closed=False,
        ssl=tls if tls is not None else True,
    )
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=read_ahead,
        request_class=request_class,
        trust_env=False,
    )
