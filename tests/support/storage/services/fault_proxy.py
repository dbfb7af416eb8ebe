"""A proxy on this event loop, between a client and a service, that breaks what its rules say and records what passed.

It changes no byte that no rule names, and passes `Host` on, so that a client that signs for the proxy's address is
understood by the service behind it. Bodies stream. Each request has a connection of its own to the service, so that a
fault of one is not felt by the next.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.support.storage.services.faults import (
    Corrupt,
    Cut,
    Delay,
    Drip,
    Fault,
    Hold,
    Keep,
    Kept,
    LoseAnswer,
    LoseRequest,
    Refuse,
    Request,
    Rule,
    Side,
    Strip,
)
from tests.support.storage.services.http1 import (
    HEAD_LIMIT,
    Head,
    Kind,
    answer_framing,
    pieces,
    read_head,
    request_framing,
)
from tests.support.storage.services.service import Service
from tests.support.storage.services.signing import signed_again

_KEPT_LIMIT = 64 << 20
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Passed:
    """A request that came, and how far it got."""

    request: Request
    faults: tuple[Fault, ...]
    forwarded: bool = False
    """The service was sent its head."""
    body: int = 0
    """Bytes of its body that the service was sent."""
    status: int | None = None
    """What the service answered, or what it was refused with."""
    answered: bool = False
    """The client was sent all of an answer."""


class _Broken(Exception):
    """A rule ends the connections of this exchange. `reset`: at once; otherwise in order."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("broken by a rule")
        self.reset = reset


class FaultProxy:
    """Use it with `async with`, in the loop of the client; `endpoint` is where the client goes.

    `rules` may be changed at any time; each counts for itself, and all that take a request happen to it together.
    Leaving the block raises what went wrong in the proxy itself.
    """

    def __init__(self, service: Service, rules: Sequence[Rule] = ()) -> None:
        self.service = service
        self.rules = list(rules)
        self.passed: list[Passed] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[Exception] = []
        self._closing = False

    @property
    def endpoint(self) -> str:
        assert self._server is not None, "the proxy is not running"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def add(self, rule: Rule) -> Rule:
        self.rules.append(rule)
        return rule

    def forwarded(self, method: str) -> list[str]:
        """Targets of the requests of a method that the service was sent, in their order."""
        return [
            passed.request.head.target for passed in self.passed if passed.forwarded and passed.request.method == method
        ]

    def repeated(self, method: str) -> dict[str, int]:
        """Targets that the service was sent more than once, and how often."""
        return {target: count for target, count in Counter(self.forwarded(method)).items() if count > 1}

    async def send(self, kept: Kept) -> int:
        """Send what `Keep` has kept to the service, as it was; the status of its answer."""
        async with _connection(self.service) as (reader, writer):
            writer.write(kept.head.encoded())
            framing = request_framing(kept.head)
            if kept.body:
                writer.write(framing.wrapped(kept.body))
            writer.write(framing.end)
            await writer.drain()
            head = await _final(reader, None)
            async for _ in pieces(reader, answer_framing(head, kept.head.method)):
                pass
            return head.status

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_LIMIT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._closing = True
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        if error is None and self._errors:
            raise ExceptionGroup("the fault proxy failed", self._errors)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection of the client's."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
            await _ended(writer)
        except _Broken as broken:
            if broken.reset:
                _reset(writer)
            else:
                await _ended(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            _reset(writer)
        except asyncio.CancelledError:
            if not self._closing:
                raise
        except Exception as unexpected:  # noqa: BLE001 - raised when the block is left
            self._errors.append(unexpected)
            _reset(writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection can take another."""
        head = await read_head(reader)
        if head is None:
            return False
        request = Request(head)
        taken = tuple(rule.fault for rule in self.rules if rule.takes(request))
        passed = Passed(request, taken)
        self.passed.append(passed)
        return await _Exchange(self.service, passed, reader, writer).run()


@dataclass(slots=True)
class _Exchange:
    service: Service
    passed: Passed
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    whole: bool = field(default=False)
    """The request's body was read to its end."""

    async def run(self) -> bool:
        head = self.passed.request.head
        body = pieces(self.reader, request_framing(head))
        await self._wait(Side.REQUEST)
        for fault in self.passed.faults:
            match fault:
                case LoseRequest():
                    raise _Broken(reset=True)
                case Refuse():
                    return await self._refuse(fault, body)
                case Keep():
                    body = await self._keep(fault, body)
                case _:
                    pass
        return await self._forward(self._stripped(head), body)

    async def _keep(self, fault: Keep, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        if self._awaits_word:
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        kept = await _whole(body)
        self.whole = True
        fault.kept.append(Kept(self.passed.request.head, kept))
        if not fault.passed:
            raise _Broken(reset=True)
        return _once(kept)

    @property
    def _awaits_word(self) -> bool:
        """Whether the client sends the body only when told to."""
        return "100-continue" in (self.passed.request.head.get("expect") or "").lower()

    def _stripped(self, head: Head) -> Head:
        names = self._names(Side.REQUEST)
        return signed_again(head.without(names), self.service.secret_key) if names else head

    def _names(self, side: Side) -> list[str]:
        return [name for f in self.passed.faults if isinstance(f, Strip) and f.side is side for name in f.names]

    async def _wait(self, side: Side) -> None:
        for fault in self.passed.faults:
            match fault:
                case Delay() if fault.side is side:
                    await asyncio.sleep(fault.seconds)
                case Hold() if fault.side is side:
                    fault.reached.set()
                    await fault.release.wait()
                case _:
                    pass

    async def _refuse(self, fault: Refuse, body: AsyncIterator[bytes]) -> bool:
        waits = self._awaits_word
        if not waits:
            async for _ in body:
                pass
        said = fault.body() if self.passed.request.method != "HEAD" else b""
        fields = [("Content-Type", "application/xml"), ("Content-Length", str(len(said))), *fault.fields]
        if waits:
            fields.append(("Connection", "close"))
        self.passed.status = fault.status
        self.writer.write(Head(f"HTTP/1.1 {fault.status} {fault.code}", tuple(fields)).encoded() + said)
        await self.writer.drain()
        self.passed.answered = True
        return not waits and not self.passed.request.head.last

    async def _forward(self, head: Head, body: AsyncIterator[bytes]) -> bool:
        """Both directions at once, since a service may answer before it has read all."""
        lasting = False
        try:
            async with _connection(self.service) as (reader, writer), asyncio.TaskGroup() as group:
                upload = group.create_task(self._upload(head, body, writer))
                lasting = await self._answer(reader)
                upload.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        return lasting and self.whole and not self.passed.request.head.last

    async def _upload(self, head: Head, body: AsyncIterator[bytes], writer: asyncio.StreamWriter) -> None:
        self.passed.forwarded = True
        framing = request_framing(head)
        try:
            writer.write(head.encoded())
            async for piece in spoiled(body, Side.REQUEST, self.passed.faults):
                self.passed.body += len(piece)
                writer.write(framing.wrapped(piece))
                await writer.drain()
            writer.write(framing.end)
            await writer.drain()
            self.whole = True
        except _Broken as broken:
            if broken.reset:
                _reset(writer)
                raise
            writer.write_eof()
        except ConnectionError:
            pass  # the service reads no more, and may have said why

    async def _answer(self, reader: asyncio.StreamReader) -> bool:
        head = await _final(reader, self.writer)
        self.passed.status = head.status
        framing = answer_framing(head, self.passed.request.method)
        body = pieces(reader, framing)
        if any(isinstance(fault, LoseAnswer) for fault in self.passed.faults):
            async for _ in body:
                pass
            raise _Broken(reset=True)
        await self._wait(Side.ANSWER)
        self.writer.write(head.without(self._names(Side.ANSWER)).encoded())
        await self.writer.drain()
        async for piece in spoiled(body, Side.ANSWER, self.passed.faults):
            self.writer.write(framing.wrapped(piece))
            await self.writer.drain()
        self.writer.write(framing.end)
        await self.writer.drain()
        self.passed.answered = True
        return framing.kind is not Kind.UNTIL_CLOSE and not head.last


async def spoiled(body: AsyncIterator[bytes], side: Side, faults: Sequence[Fault]) -> AsyncIterator[bytes]:
    """The body with the faults of its side, in pieces that are never empty. Raises _Broken where it is cut."""
    offset = 0
    cuts = [fault for fault in faults if isinstance(fault, Cut) and fault.side is side]
    cut = min(cuts, key=lambda fault: fault.after, default=None)
    corrupt = [fault.at for fault in faults if isinstance(fault, Corrupt) and fault.side is side]
    drips = [fault for fault in faults if isinstance(fault, Drip) and fault.side is side]
    if cut is not None and cut.after == 0:
        raise _Broken(reset=cut.reset)
    async for piece in body:
        changed = bytearray(piece)
        for at in corrupt:
            if offset <= at < offset + len(changed):
                changed[at - offset] ^= 0xFF
        if cut is not None:
            del changed[max(cut.after - offset, 0) :]
        offset += len(changed)
        size = drips[0].size if drips else len(changed)
        for start in range(0, len(changed), size or 1):
            if drips:
                await asyncio.sleep(drips[0].seconds)
            yield bytes(changed[start : start + size])
        if cut is not None and offset >= cut.after:
            raise _Broken(reset=cut.reset)


async def _final(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> Head:
    """The head of the answer itself; those before it, such as 100, go to `writer`."""
    while True:
        head = await read_head(reader)
        if head is None:
            raise ConnectionResetError("the service ended the connection without an answer")
        if head.status >= 200:
            return head
        if writer is not None:
            writer.write(head.encoded())
            await writer.drain()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a rule did comes before what followed from it."""
    broken, others = errors.split(_Broken)
    return (broken or others or errors).exceptions[0]


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    kept = bytearray()
    async for piece in body:
        kept += piece
        if len(kept) > _KEPT_LIMIT:
            raise ValueError(f"a request of more than {_KEPT_LIMIT} bytes cannot be kept")
    return bytes(kept)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


@contextlib.asynccontextmanager
async def _connection(service: Service) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    parts = urlsplit(service.endpoint)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=HEAD_LIMIT)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # an orderly end would wait for a service that takes nothing any more


async def _ended(writer: asyncio.StreamWriter) -> None:
    """An orderly end, after all that was written."""
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None and found.fileno() >= 0:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
