"""Requests to the service, each with a deadline, and the line between what may be repeated and what must not be.

A request that was begun may be executed even if no answer comes. So a mutation whose answer was lost is `Uncertain` and
never sent again, neither here nor by aiohttp, whose own repeat of "idempotent" methods is off: a late PUT or DELETE
would undo somebody's newer one. Repeated, with growing random pauses, is what was surely not executed (no connection,
503) and what changes nothing.

aiohttp and not aiobotocore: the bytes on the connection decide what becomes visible, so they must be ours.
"""

import asyncio
import hashlib
import secrets
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from typing_extensions import override
from yarl import URL

from deltaglider_proxy.outbound.resolver import AddressRefused
from deltaglider_proxy.outbound.session import open_session
from deltaglider_proxy.storage.backends.s3 import credentials, gate
from deltaglider_proxy.storage.backends.s3.answers import Answer, Busy, meaning
from deltaglider_proxy.storage.backends.s3.gate import Gate
from deltaglider_proxy.storage.backends.s3.settings import S3Settings, endpoint_of, kind_of
from deltaglider_proxy.storage.backends.s3.signing import (
    CHUNKED,
    EMPTY_SHA256,
    Chunks,
    Signer,
    encoded_path,
    encoded_query,
    framed_size,
)
from deltaglider_proxy.storage.errors import StorageError, Unavailable, Uncertain
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

_ATTEMPTS: Final = 5
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 3.0
_MOST_BODY: Final = 64 << 20
_IN_LINE: Final = 64 << 10
"""Up to here hashing is cheaper than going to a thread."""
CHUNK: Final = 1 << 20
"""Of what is signed in chunks."""
_SLOWEST: Final = 1 << 20
"""Bytes per second; a body prolongs the deadline by the time that it takes at this rate."""
_SLICE: Final = 256 << 10
_READ_AHEAD: Final = 512 << 10
"""aiohttp lets twice this much wait in its buffer."""
_IDLE_CONNECTION: Final = 4.0
"""Seconds; a service that closes a connection earlier than we do costs a lost answer."""
_UNSENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No connection was made, so nothing was sent."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `headers` are in lower case; `body` is sent as it is and must stay so until the answer."""

    method: str
    bucket: str = ""
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | bytearray = b""
    checked: bool = False
    """The service is told the MD5 of the body, which it compares before it acts."""

    @property
    def subject(self) -> str:
        """For messages."""
        return f"{self.method} {self.bucket}" + (f"/{self.key[:200]!r}" if self.key else "")


class Client:
    """Speaks to one service. The session begins with the first request, on the loop that sends it."""

    def __init__(self, settings: S3Settings, pool: Pool, clock: Clock) -> None:
        """Raises ValueError for an endpoint that cannot be."""
        self.settings = settings
        self.pool = pool
        self.clock = clock
        self._endpoint = endpoint_of(settings)
        self._signer = Signer(settings.region)
        self._credentials = credentials.source_of(settings.key_pair, pool, clock)
        self._session: aiohttp.ClientSession | None = None
        self._gate = Gate(settings.name, clock)

    async def send(self, call: Call, *, mutation: bool, deadline: float | None = None) -> Answer:
        """The answer, unless it says that nothing, or nobody knows what, was done.

        `deadline`: seconds, in place of the usual; the service may be silent until then. Raises Unavailable, and
        Uncertain if it is a mutation.
        """
        end = self.clock.monotonic() + (deadline or self.settings.deadline) + len(call.body) / _SLOWEST
        digests = await self._digests(call)
        silence = self.settings.read_timeout if deadline is None else None
        for attempt in range(_ATTEMPTS):
            try:
                return await self._attempt(call, digests, end, silence, mutation=mutation)
            except Busy as error:
                wait = pause(attempt)
                was_silent = isinstance(error.__cause__, aiohttp.SocketTimeoutError)
                if was_silent or attempt == _ATTEMPTS - 1 or self.clock.monotonic() + wait >= end:
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def read(self, call: Call) -> Answer:
        """As `send` for what changes nothing."""
        return await self.send(call, mutation=False)

    async def change(self, call: Call, *, deadline: float | None = None) -> Answer:
        """As `send` for a mutation, with anything but a success raised as what it means."""
        answer = await self.send(call, mutation=True, deadline=deadline)
        if not answer.good:
            raise meaning(answer, call.subject, mutation=True)
        return answer

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET with its body still to come, as long as the block lasts. Leaving it early cuts the
        connection. One attempt. An answer that is no success is raised as what it means; what goes wrong with the
        connection in the block, as Busy.
        """
        with _translated(call.subject, mutation=False), self._noted():
            async with asyncio.timeout(self.settings.deadline):
                response = await self._request(call, EMPTY_SHA256, None, self.settings.idle_timeout)
        try:
            with _translated(call.subject, mutation=False):
                if response.status >= 300:
                    answer = Answer(response.status, response.headers, await _bounded(response, call.subject))
                    raise meaning(answer, call.subject, mutation=False)
                yield response
        finally:
            response.close()

    async def upload(self, call: Call, pieces: AsyncIterator[bytes], size: int) -> Answer:
        """Send a body that is produced meanwhile, signed in chunks, in one attempt; without a deadline, which is the
        caller's. All `pieces` but the last have CHUNK bytes. If it is cancelled, the connection is cut.
        """
        with _translated(call.subject, mutation=True), _cut_on_error(), self._noted():
            response = await self._request(call, CHUNKED, pieces, None, size=size)
            try:
                answer = Answer(response.status, response.headers, await _bounded(response, call.subject))
            finally:
                response.close()
        if not answer.good:
            raise meaning(answer, call.subject, mutation=True)
        return answer

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _attempt(
        self, call: Call, digests: tuple[str, str], end: float, silence: float | None, *, mutation: bool
    ) -> Answer:
        sha256, md5 = digests
        left = end - self.clock.monotonic()
        with _translated(call.subject, mutation=mutation), _cut_on_error(), self._noted():
            async with asyncio.timeout(left):
                body = call.body if len(call.body) <= _IN_LINE else _sliced(call.body)
                response = await self._request(call, sha256, body or None, silence, size=len(call.body), md5=md5)
                try:
                    answer = Answer(response.status, response.headers, await _bounded(response, call.subject))
                    response.release()
                finally:
                    if not response.closed:
                        response.close()
        if not answer.good:
            error = meaning(answer, call.subject, mutation=mutation)
            if isinstance(error, Busy | Uncertain):
                raise error
        return answer

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Around a request: whether the service can be reached. Raises Away if that is known."""
        self._gate.check()
        try:
            yield
        except aiohttp.ConnectionTimeoutError:
            self._gate.failed(gate.UNREACHABLE)
            raise
        except aiohttp.ClientConnectorError:
            self._gate.failed(gate.REFUSED)
            raise
        except TimeoutError:
            self._gate.failed(gate.SILENT)
            raise

    async def _request(
        self,
        call: Call,
        payload: str,
        body: bytes | bytearray | AsyncIterator[bytes] | None,
        silence: float | None,
        *,
        size: int | None = None,
        md5: str = "",
    ) -> aiohttp.ClientResponse:
        host, path = self._place(call)
        encoded, query = encoded_path(path), encoded_query(call.query)
        headers = {**call.headers, "host": host}
        if md5:
            headers["content-md5"] = md5
        if payload == CHUNKED:
            headers["x-amz-decoded-content-length"] = str(size)
        granted = await self._credentials.current()
        signed = self._signer.sign(granted, self.clock.now(), call.method, encoded, query, headers, payload)
        signed["accept-encoding"] = "identity"
        signed["user-agent"] = "deltaglider_proxy"
        if size and payload == CHUNKED and isinstance(body, AsyncIterator):
            body = self._framed(body, self._signer.chunks(granted, signed))
            signed["content-length"] = str(framed_size(size, CHUNK))
        elif size:
            signed["content-length"] = str(size)
        url = URL(f"{self._endpoint.scheme}://{host}{encoded}" + (f"?{query}" if query else ""), encoded=True)
        settings = self.settings
        response = await self._opened().request(
            call.method,
            url,
            headers=signed,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("content-type", "accept"),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=settings.connect_timeout + settings.read_timeout / 2,  # until one of them is free
                sock_connect=settings.connect_timeout,
                sock_read=silence,
            ),
        )
        self._gate.reached()
        return response

    async def _framed(self, pieces: AsyncIterator[bytes], chunks: Chunks) -> AsyncIterator[bytes]:
        async for piece in pieces:
            yield chunks.head(len(piece), await self.pool.run(_sha256, piece))
            yield piece
            yield b"\r\n"
        yield chunks.head(0, EMPTY_SHA256) + b"\r\n"

    def _place(self, call: Call) -> tuple[str, str]:
        """Host and path. A bucket with a dot in its name fits no wildcard certificate, so it goes into the path."""
        host = self._endpoint.authority
        if not call.bucket:
            return host, "/"
        if self.settings.path_style or (self._endpoint.secure and "." in call.bucket):
            return host, f"/{call.bucket}" + (f"/{call.key}" if call.key else "")
        return f"{call.bucket}.{host}", f"/{call.key}"

    async def _digests(self, call: Call) -> tuple[str, str]:
        """SHA-256 in hex, and MD5 in base64 where it is sent."""
        if len(call.body) <= _IN_LINE:
            return _sha256(call.body), _md5(call.body) if call.checked else ""
        md5 = self.pool.submit(_md5, call.body) if call.checked else None
        sha256 = await self.pool.run(_sha256, call.body)
        return sha256, await self.pool.wait(md5) if md5 is not None else ""

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = open_session(
                kind_of(self.settings),
                connections=self.settings.connections,
                idle=_IDLE_CONNECTION,
                read_ahead=_READ_AHEAD,
                request_class=_Request,
                tls=_tls(self.settings.ca_bundle),
            )
            assert self._session._retry_connection, "aiohttp has changed how it repeats requests"
            self._session._retry_connection = False
        return self._session


def _tls(ca_bundle: Path | None) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=ca_bundle) if ca_bundle is not None else None


_connections: ContextVar[list[asyncio.Transport] | None] = ContextVar("connections", default=None)


@contextmanager
def _cut_on_error() -> Iterator[None]:
    """End connections of the block at once if it fails; in order, they would wait for a service that reads no more."""
    connections: list[asyncio.Transport] = []
    token = _connections.set(connections)
    try:
        yield
    except BaseException:
        for connection in connections:
            connection.abort()
        raise
    finally:
        _connections.reset(token)


class _Request(aiohttp.ClientRequest):
    """Tells which connection it goes over."""

    @override
    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        connections = _connections.get()
        if connections is not None and isinstance(conn.transport, asyncio.Transport):
            connections.append(conn.transport)
        return await super().send(conn)


async def _sliced(data: bytes | bytearray) -> AsyncIterator[bytes]:
    """What aiohttp is given as one value it hands on at once, and the loop would stand still for it."""
    for start in range(0, len(data), _SLICE):
        yield bytes(data[start : start + _SLICE])


async def _bounded(response: aiohttp.ClientResponse, subject: str) -> bytes:
    parts = []
    room = _MOST_BODY
    async for part in response.content.iter_any():
        room -= len(part)
        if room < 0:
            response.close()
            raise Unavailable(f"{subject}: the answer is longer than {_MOST_BODY} bytes")
        parts.append(part)
    return b"".join(parts)


class _translated:  # noqa: N801 - reads as a word in `with`
    """Raises what went wrong with a connection as the storage error that it stands for."""

    __slots__ = ("_mutation", "_subject")

    def __init__(self, subject: str, *, mutation: bool) -> None:
        self._subject = subject
        self._mutation = mutation

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, aiohttp.ClientError | TimeoutError | OSError):
            raise lost(error, self._subject, mutation=self._mutation) from error


def lost(error: Exception, subject: str, *, mutation: bool) -> StorageError:
    """What it means that a request failed with an error of the connection."""
    said = f"{subject}: {str(error) or type(error).__name__}"
    if isinstance(error.__cause__, AddressRefused):
        return Unavailable(f"{subject}: {error.__cause__}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return Unavailable(said)
    if isinstance(error, _UNSENT) or not mutation:
        return Busy(said)
    return Uncertain(f"{said}; the answer was lost")


def pause(attempt: int) -> float:
    """Between half and the whole of a time that doubles: many who were refused together do not return together."""
    longest: float = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
    return longest * (0.5 + secrets.randbelow(1000) / 2000)


def _sha256(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()


def _md5(data: bytes | bytearray) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
