"""A service and a client of a few lines each, to see exactly what the fault proxy passes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import Rule
from tests.support.storage.services.http1 import Head, answer_framing, pieces, read_head, request_framing
from tests.support.storage.services.service import Service

_END = b"\r\n\r\n"


@dataclass
class Origin:
    """Answers all requests alike and keeps what it was sent."""

    answer: bytes = b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "e"\r\n\r\n0123456789'
    early: bool = False
    """It answers before it has read the body."""
    heads: list[Head] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    broken: int = 0
    """Requests that ended before their end."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (head := await read_head(reader)) is not None:
                self.heads.append(head)
                if head.get("expect") is not None:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                if not self.early:
                    self.bodies.append(b"".join([piece async for piece in pieces(reader, request_framing(head))]))
                writer.write(self.answer if head.method != "HEAD" else self.answer.partition(b"\r\n\r\n")[0] + _END)
                await writer.drain()
                if b"Content-Length" not in self.answer and b"chunked" not in self.answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.broken += 1
        finally:
            writer.close()


@asynccontextmanager
async def through(origin: Origin, *rules: Rule) -> AsyncIterator[FaultProxy]:
    """A proxy in front of a running origin."""
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with FaultProxy(Service("origin", f"http://127.0.0.1:{port}"), rules) as proxy:
            yield proxy


@dataclass
class Talk:
    """A connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, data: bytes) -> tuple[Head, bytes]:
        """Send a request as it is; its answer. Raises IncompleteReadError, ConnectionError."""
        self.writer.write(data)
        return await self.answer(data.split(b" ")[0].decode())

    async def answer(self, method: str) -> tuple[Head, bytes]:
        head = await read_head(self.reader)
        if head is None:
            raise ConnectionResetError("no answer")
        if head.status < 200:
            return await self.answer(method)
        return head, b"".join([piece async for piece in pieces(self.reader, answer_framing(head, method))])


@asynccontextmanager
async def talking(proxy: FaultProxy) -> AsyncIterator[Talk]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.endpoint.rsplit(":", 1)[1]))
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()


def get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: here:1", *fields, "", ""]).encode()


def put(target: str, body: bytes, *fields: str) -> bytes:
    head = [f"PUT {target} HTTP/1.1", "Host: here:1", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body
