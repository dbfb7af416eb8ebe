"""HTTP/1.1 messages as they lie on the wire: heads, and bodies in pieces.

A head keeps the spelling and the order of its fields, and nothing is added to it, because signatures cover them.
Source: RFC 9112, sections 2 to 7.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from enum import Enum, auto

PIECE = 64 << 10
HEAD_LIMIT = 256 << 10
_WITHOUT_BODY = (204, 304)


class BadMessage(Exception):
    """What was read is no HTTP/1.1 message."""


@dataclass(frozen=True, slots=True)
class Head:
    start: str
    fields: tuple[tuple[str, str], ...]
    """Names as they were spelled; text stands for the bytes of Latin-1."""

    def get(self, name: str) -> str | None:
        """The values of all fields of that name, in any case."""
        values = [value for field, value in self.fields if field.lower() == name.lower()]
        return ", ".join(values) if values else None

    def without(self, names: Collection[str]) -> "Head":
        lowered = {name.lower() for name in names}
        return replace(self, fields=tuple(field for field in self.fields if field[0].lower() not in lowered))

    def encoded(self) -> bytes:
        lines = [self.start, *(f"{name}: {value}" for name, value in self.fields), "", ""]
        return "\r\n".join(lines).encode("latin-1")

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.start.split(" ", 2)[1])

    @property
    def method(self) -> str:
        """Of a request."""
        return self.start.split(" ", 1)[0]

    @property
    def target(self) -> str:
        """Of a request: path and query as they were sent."""
        return self.start.split(" ", 2)[1]

    @property
    def last(self) -> bool:
        """Whether the sender ends the connection after this message."""
        return "close" in (self.get("connection") or "").lower() or "HTTP/1.0" in self.start


class Kind(Enum):
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body is delimited; `length` belongs to LENGTH."""

    kind: Kind
    length: int = 0

    def wrapped(self, piece: bytes) -> bytes:
        if self.kind is Kind.CHUNKED:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        return piece

    @property
    def end(self) -> bytes:
        return b"0\r\n\r\n" if self.kind is Kind.CHUNKED else b""


NO_BODY = Framing(Kind.LENGTH, 0)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """None where the other side ended between messages. Raises BadMessage, IncompleteReadError inside a head."""
    try:
        data = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    start, *lines = data[:-4].decode("latin-1").split("\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise BadMessage(f"{line!r} is no field of a head")
        fields.append((name, value.strip(" \t")))
    return Head(start, tuple(fields))


def request_framing(head: Head) -> Framing:
    return _announced(head) or NO_BODY


def answer_framing(head: Head, method: str) -> Framing:
    if method == "HEAD" or head.status in _WITHOUT_BODY or head.status < 200:
        return NO_BODY
    return _announced(head) or Framing(Kind.UNTIL_CLOSE)


def _announced(head: Head) -> Framing | None:
    if "chunked" in (head.get("transfer-encoding") or "").lower():
        return Framing(Kind.CHUNKED)
    length = head.get("content-length")
    if length is None:
        return None
    if not (length.isascii() and length.isdigit()):
        raise BadMessage(f"Content-Length is {length!r}")
    return Framing(Kind.LENGTH, int(length))


async def pieces(reader: asyncio.StreamReader, framing: Framing) -> AsyncIterator[bytes]:
    """The body without its framing. Raises IncompleteReadError where it ends too early; drops fields of trailers,
    which S3 does not use outside of aws-chunked, where they are part of the body."""
    match framing.kind:
        case Kind.LENGTH:
            async for piece in _exactly(reader, framing.length):
                yield piece
        case Kind.UNTIL_CLOSE:
            while piece := await reader.read(PIECE):
                yield piece
        case Kind.CHUNKED:
            while size := await _chunk_size(reader):
                async for piece in _exactly(reader, size):
                    yield piece
                await _line(reader)
            while await _line(reader):
                pass


async def _exactly(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    left = count
    while left:
        piece = await reader.read(min(left, PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    line = await _line(reader)
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise BadMessage(f"{line[:100]!r} is no size of a chunk") from None


async def _line(reader: asyncio.StreamReader) -> bytes:
    return (await reader.readuntil(b"\r\n"))[:-2]
