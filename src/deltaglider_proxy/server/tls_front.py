"""What TLS changes about requests, seen once and before any part of the server: the scheme that the client speaks,
which only a proxy that ended TLS can tell, and the promise to browsers that this host speaks HTTPS.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from deltaglider_proxy.access.client_address import ClientAddresses

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_STRICT: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Front:
    def __init__(self, app: App, addresses: ClientAddresses, *, tls: bool, ready: int | None = None) -> None:
        """`tls`: it is ended here. `ready`: a pipe that is told, and closed, when `app` can serve."""
        self._app = app
        self._addresses = addresses
        self._tls = tls
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._addresses.trust_headers:
                client = scope.get("client")
                scope["scheme"] = self._addresses.scheme(
                    client[0] if client else "",
                    [value for name, value in scope["headers"] if name == b"x-forwarded-proto"],
                    scope["scheme"],
                )
            await self._app(scope, receive, _promising(send) if self._tls else send)
        else:
            await self._app(scope, receive, self._telling(send) if self._ready is not None else send)

    def _telling(self, send: Send) -> Send:
        async def tell(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete" and self._ready is not None:
                os.write(self._ready, b"1")
                os.close(self._ready)
                self._ready = None

        return tell


def _promising(send: Send) -> Send:
    async def promise(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], _STRICT]
        await send(message)

    return promise
