"""The body of a request as the server hands it on: bounded waits, and a client that breaks off is an error."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from deltaglider_proxy.s3.protocol.errors import Code, S3Error

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_DRAIN = 16 << 20
_DRAIN_SECONDS = 2.0
"""The answer is known: a client that sends nothing more must not wait for it until it counts as idle."""


class RequestBody:
    """Can be read once."""

    def __init__(self, receive: Receive, idle_timeout: float, length: int | None, *, waits: bool = False) -> None:
        """`length`: what Content-Length says; None where the body has a length of its own kind or none. `waits`: the
        client sends it only when it is told to, by 100 (Continue).
        """
        self._receive = receive
        self._idle_timeout = idle_timeout
        self.length = length
        self.waits = waits
        self._seen = 0
        self.ended = length == 0
        self.asked_for = False
        """Whether any of it was; only then is a client that waits told to go on."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises IncompleteBody when the client breaks off, RequestTimeout when it sends nothing for too long."""
        while not self.ended:
            yield await self._next()

    async def _next(self) -> bytes:
        self.asked_for = True
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_timeout)
        except TimeoutError as error:
            self.ended = True
            raise S3Error(Code.RequestTimeout) from error
        if message["type"] != "http.request":
            self.ended = True
            raise S3Error(Code.IncompleteBody)
        data: bytes = message.get("body", b"")
        self._seen += len(data)
        self.ended = not message.get("more_body", False)
        if self.ended and self.length is not None and self._seen != self.length:
            raise S3Error(Code.IncompleteBody)
        return data

    async def read(self, limit: int) -> bytes:
        """All of a small body. Raises MalformedXML for a larger one."""
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                raise S3Error(Code.MalformedXML, f"The document is larger than {limit} bytes.")
            parts.append(chunk)
        return b"".join(parts)

    async def drain(self) -> None:
        """Take a bounded rest, so that a client that still sends can read the answer: Python's clients send all of a
        part before they look, and a proxy has told them already that it takes it.
        """
        rest = _DRAIN
        with contextlib.suppress(S3Error, TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self.ended and rest > 0:
                    rest -= len(await self._next())
