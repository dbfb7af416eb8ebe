"""A client that costs next to nothing: one socket, prepared requests, bytes received into one buffer and dropped.

No HTTP library: theirs take longer for a small request than the servers that are measured here.
"""

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from bench.signing import Endpoint

Buffer = bytes | bytearray | memoryview

_STEP = 1 << 20
_TIMEOUT_SECONDS = 300.0


class Refused(Exception):
    """A status that was not asked for; the text holds the start of the answer."""


def content_length(head: bytes) -> int | None:
    """Of a response's head; None if its body is chunked."""
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return None if b"\r\ntransfer-encoding: chunked" in lower else 0
    return int(lower[at + 17 : lower.index(b"\r\n", at + 17)])


class Connection:
    """Keeps one connection to a server. Raises Refused for statuses of 400 and more, OSError for lost connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray(_STEP)
        self._socket = self._connect()
        self._answer = b""
        self._without_body = False

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self._endpoint.port), timeout=_TIMEOUT_SECONDS)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def header(self, name: str) -> str | None:
        """Of the last answer."""
        for line in self._answer.decode("latin-1").split("\r\n"):
            if line.lower().startswith(name + ":"):
                return line.partition(":")[2].strip()
        return None

    def send(self, head: bytes, body: Buffer | None = None) -> bytes:
        """The response whole: for small ones."""
        kept = bytearray()
        self.stream(head, kept.extend, body)
        return bytes(kept)

    def stream(self, head: bytes, sink: Callable[[memoryview], object], body: Buffer | None = None) -> int:
        """Send one request and give the response's body to `sink` piece by piece; its length."""
        self.begin(head)
        if body is not None:
            self.push(body)
        return self.finish(sink)

    def fetch(self, head: bytes, target: bytearray) -> int:
        """Send one request and receive the response's body into `target` without another copy; its length."""
        self.begin(head)
        length, rest = self._answered()
        if length is None or length > len(target):
            raise Refused(f"the answer has {length} bytes, {len(target)} were expected")
        view = memoryview(target)
        view[: len(rest)] = rest
        at = len(rest)
        while at < length:
            at += self._receive(view[at:length])
        return length

    def begin(self, head: bytes) -> None:
        """The first of three steps, for bodies that are made while they are sent: `begin`, `push`es, `finish`."""
        if b"\r\nconnection: close" in self._answer.lower():
            self._socket.close()
            self._socket = self._connect()
        self._without_body = head.startswith(b"HEAD ")
        self._socket.sendall(head)

    def push(self, piece: Buffer) -> None:
        self._socket.sendall(piece)

    def finish(self, sink: Callable[[memoryview], object] = len) -> int:
        """Receive the answer."""
        length, rest = self._answered()
        if length is None:
            return self._chunked(bytearray(rest), sink)
        if rest:
            sink(memoryview(rest))
        self._body(length - len(rest), sink)
        return length

    def _answered(self) -> tuple[int | None, bytes]:
        """The length of the body of a successful answer (None: chunked), and what of it has arrived."""
        self._answer, rest = self._head()
        status = int(self._answer[9:12])
        length = 0 if self._without_body or status in {204, 304} else content_length(self._answer)
        if status < 400:
            return length, rest
        refusal = bytearray(rest)
        self._body((length or 0) - len(rest), refusal.extend)
        raise Refused(f"{self._answer[:80]!r} {bytes(refusal[:500])!r}")

    def _head(self) -> tuple[bytes, bytes]:
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionResetError(f"the server closed the connection after {bytes(received[:80])!r}")
            received += piece
        return bytes(received[: end + 2]), bytes(received[end + 4 :])

    def _body(self, left: int, sink: Callable[[memoryview], object]) -> None:
        view = memoryview(self._buffer)
        while left > 0:
            count = self._receive(view[: min(left, _STEP)])
            sink(view[:count])
            left -= count

    def _receive(self, target: memoryview) -> int:
        count = self._socket.recv_into(target)
        if not count:
            raise ConnectionResetError("the server closed the connection before the end of a body")
        return count

    def _chunked(self, received: bytearray, sink: Callable[[memoryview], object]) -> int:
        total = 0
        while True:
            while (end := received.find(b"\r\n")) < 0:
                received += self._more()
            size = int(received[:end].split(b";")[0], 16)
            while len(received) < end + size + 4:
                received += self._more()
            if size == 0:
                return total
            sink(memoryview(bytes(received[end + 2 : end + 2 + size])))
            total += size
            del received[: end + size + 4]

    def _more(self) -> bytes:
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionResetError("the server closed the connection inside a chunked body")
        return piece
