"""Small calls to others' services: documents of sign-in providers, events to webhooks.

Each URL is checked anew, as it may come from the answer to another call. An answer is bounded in time and size, is not
compressed, and redirects nowhere: where to call is the operator's decision, not the other side's.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from yarl import URL

from deltaglider_proxy.outbound.addresses import Kind, Network
from deltaglider_proxy.outbound.policy import Target, check_url
from deltaglider_proxy.outbound.resolver import AddressRefused
from deltaglider_proxy.outbound.session import open_session

_CONNECTIONS: Final = 16
_IDLE: Final = 15.0
_MOST: Final = 1 << 20
_TIMEOUT: Final = 10.0
_OURS: Final = frozenset(("host", "content-length", "transfer-encoding", "connection", "accept-encoding"))


class CallFailed(Exception):
    """There is no answer to be used. Names host and reason; never the path or the body, which may hold secrets."""


@dataclass(frozen=True, slots=True)
class Reply:
    host: str
    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> object:
        """The document of a success. Raises CallFailed."""
        if not self.good:
            raise CallFailed(f"{self.host} answered {self.status}")
        try:
            document: object = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise CallFailed(f"{self.host} answered with what is no JSON") from error
        return document


class OutboundClient:
    """Calls of one kind, in `async with`."""

    def __init__(
        self,
        kind: Kind,
        allow: Collection[Network] = (),
        *,
        timeout: float = _TIMEOUT,
        most: int = _MOST,
        tls: SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`allow`: networks that need not be public. `timeout`: seconds for a call, looking up the name included.
        `most`: bytes of an answer. `tls`, `resolver`: see `open_session`.
        """
        self._kind = kind
        self._allow = tuple(allow)
        self._timeout = timeout
        self._most = most
        self._tls = tls
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = open_session(
            self._kind, self._allow, connections=_CONNECTIONS, idle=_IDLE, tls=self._tls, resolver=self._resolver
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Raises RefusedUrl, CallFailed. Any status but that of a redirect is a reply."""
        return await self._call("GET", url, headers or {}, None)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """As `get`; `headers` say what the body is."""
        return await self._call("POST", url, headers, body)

    async def get_json(self, url: str) -> object:
        """The document. Raises RefusedUrl, CallFailed."""
        return (await self.get(url, {"accept": "application/json"})).json()

    async def post_json(self, url: str, document: object, headers: Mapping[str, str] | None = None) -> Reply:
        """As `post`."""
        return await self.post(url, orjson.dumps(document), {**(headers or {}), "content-type": "application/json"})

    async def _call(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        target = check_url(url, self._kind, self._allow)
        wrong = sorted(_OURS.intersection(name.lower() for name in headers))
        if wrong:
            raise CallFailed(f"{target.authority}: the header {wrong[0]!r} cannot be chosen; remove it")
        try:
            return await self._send(target, method, headers, body)
        except TimeoutError as error:
            raise CallFailed(f"{target.authority} did not answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, AddressRefused):
                raise CallFailed(str(error.__cause__)) from error
            raise CallFailed(f"{target.authority}: {_said(error)}") from error

    async def _send(self, target: Target, method: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
        assert self._session is not None, "used outside of `async with`"
        async with self._session.request(
            method,
            URL(target.url, encoded=True),
            headers={"user-agent": "deltaglider_proxy", **headers, "accept-encoding": "identity"},
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
        ) as response:
            if 300 <= response.status < 400:
                raise CallFailed(f"{target.authority} redirects ({response.status}), which is not followed")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise CallFailed(f"{target.authority} compresses its answer although it was asked not to")
            content = bytearray()
            async for piece in response.content.iter_any():
                content += piece
                if len(content) > self._most:
                    response.close()
                    raise CallFailed(f"{target.authority} answers with more than {self._most} bytes")
            return Reply(target.authority, response.status, response.headers.copy(), bytes(content))


def _said(error: Exception) -> str:
    """What went wrong, without a URL."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error}"
    return type(error).__name__
