"""The `aws-chunked` framing of uploads, decoded as it arrives.

Fed with any pieces, it gives back slices of them; only lines that are split between pieces are copied. Framing never
comes out as data: what deviates from the grammar is an error at that byte. Signed chunks are verified at their end, so
the last bytes handed out may be unverified until `finish` has returned; the caller must not commit before.

    chunk   = 1*HEX [";chunk-signature=" 64HEX] CRLF data CRLF
    body    = *chunk last-chunk *(trailer) CRLF      ; last-chunk has size 0 and no data
    trailer = name ":" value (CRLF / LF)             ; some clients end these lines with LF alone

Source: AWS documentation, "Signature calculations: transferring payload in multiple chunks", also with trailers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.request import Headers

MAX_LINE = 256
"""Bytes of a line that begins a chunk."""
MAX_TRAILERS = 16 << 10
"""Bytes of all trailers together."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;(.*))?", re.DOTALL)
_SIGNATURE = b"chunk-signature="
_TRAILER_SIGNATURE = "x-amz-trailer-signature"
_TRAILER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")

Buffer = bytes | bytearray | memoryview


class ChunkVerifier(Protocol):
    """Checks the chain of chunk signatures; raises whatever its owner maps to an answer."""

    def update(self, data: bytes | memoryview) -> None: ...

    def finish_chunk(self, signature: bytes) -> None: ...

    def finish_trailer(self, canonical: bytes, signature: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body is framed, and what its head says about it."""

    signed: bool
    trailing: bool
    length: int
    """Bytes of the decoded body."""
    announced: frozenset[str]
    """Names of the trailers that must come."""


_FRAMINGS = {
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
    b"STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
}


def parse_framing(headers: Headers) -> Framing | None:
    """None for a body that is sent as it is.

    Raises NotImplemented for signature schemes that are not built, InvalidArgument, MissingContentLength.
    """
    payload = headers.get(b"x-amz-content-sha256", b"")
    known = _FRAMINGS.get(payload)
    if known is None:
        if payload.startswith(b"STREAMING-AWS4-ECDSA-"):
            raise S3Error(Code.NotImplemented, "Signature Version 4A is not implemented; use AWS4-HMAC-SHA256.")
        if payload.startswith(b"STREAMING-"):
            raise S3Error(Code.InvalidRequest, "x-amz-content-sha256 names a streaming payload that is unknown.")
        if b"aws-chunked" in headers.get(b"content-encoding", b""):
            known = (False, True)
        else:
            return None
    length = headers.get(b"x-amz-decoded-content-length")
    if length is None:
        raise S3Error(Code.MissingContentLength, "A chunked payload needs the header x-amz-decoded-content-length.")
    if not length.isdigit() or len(length) > 18:
        raise S3Error(Code.InvalidArgument, "x-amz-decoded-content-length must be a number of bytes.")
    announced = headers.get(b"x-amz-trailer", b"").decode("latin-1").lower().split(",")
    return Framing(*known, int(length), frozenset(name.strip() for name in announced if name.strip()))


class _State(Enum):
    SIZE = "the line that begins a chunk"
    DATA = "the data of a chunk"
    DATA_END = "the line end after a chunk"
    TRAILER = "a trailer, or the empty line after them"
    DONE = "the end"


class Decoder:
    """One body. With a signed framing, `verifier` checks it; None leaves signatures unchecked, as in open mode."""

    def __init__(self, framing: Framing, verifier: ChunkVerifier | None = None) -> None:
        self._framing = framing
        self._verifier = verifier if framing.signed else None
        self._state = _State.SIZE
        self._line = bytearray()
        self._left = 0
        self._total = 0
        self._signature = b""
        self._trailers: dict[str, str] = {}
        self._trailer_bytes = 0
        self._trailer_signature = b""

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def feed(self, data: Buffer) -> list[memoryview]:
        """The decoded bytes in `data`, as slices of it. Raises S3Error, or what the verifier raises."""
        view = memoryview(data)
        out: list[memoryview] = []
        position, end = 0, len(view)
        while position < end:
            if self._state is _State.DATA:
                piece = view[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                if self._verifier is not None:
                    self._verifier.update(piece)
                out.append(piece)
                if not self._left:
                    self._state = _State.DATA_END
            elif self._state is _State.DONE:
                raise _malformed("there are bytes after its end")
            else:
                position = self._take_line(data, view, position)
        return out

    def finish(self) -> Mapping[str, str]:
        """Call it when the body has ended; the trailers, names in lower case. Raises IncompleteBody, InvalidRequest."""
        if self._state is not _State.DONE:
            raise S3Error(Code.IncompleteBody, f"The chunked body ended before {self._state.value}.")
        return self._trailers

    def _take_line(self, data: Buffer, view: memoryview, position: int) -> int:
        """Consume up to the next LF; a line that goes on in the next piece is kept."""
        limit = MAX_TRAILERS if self._state is _State.TRAILER else MAX_LINE
        room = limit + 1 - len(self._line)
        found = _find_lf(data, position, position + room)
        stop = found + 1 if found >= 0 else min(position + room, len(view))
        self._line += view[position:stop]
        if found < 0:
            if len(self._line) > limit:
                raise _malformed("a line is too long")
            if self._state is _State.DATA_END and not b"\r\n".startswith(self._line):
                raise _malformed("a chunk is longer than its size")
            return stop
        line, self._line = bytes(self._line), bytearray()
        self._handle(line)
        return stop

    def _handle(self, line: bytes) -> None:
        if self._state is _State.SIZE:
            self._begin_chunk(line)
        elif self._state is _State.DATA_END:
            if line != b"\r\n":
                raise _malformed("a chunk is longer than its size")
            self._end_chunk()
            self._state = _State.SIZE
        else:
            self._take_trailer(line)

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line[:-2]) if line.endswith(b"\r\n") else None
        if match is None:
            raise _malformed("a chunk begins without its size")
        size = int(match[1], 16)
        extension: bytes = match[2] or b""
        if self._framing.signed:
            if not extension.startswith(_SIGNATURE):
                raise _malformed("a chunk has no signature")
            self._signature = extension.removeprefix(_SIGNATURE)
        self._total += size
        if self._total > self._framing.length:
            raise _malformed("it is longer than x-amz-decoded-content-length")
        self._left = size
        self._state = _State.DATA
        if size == 0:
            if self._total < self._framing.length:
                raise S3Error(Code.IncompleteBody, "The chunked body is shorter than x-amz-decoded-content-length.")
            self._end_chunk()
            self._state = _State.TRAILER

    def _end_chunk(self) -> None:
        if self._verifier is not None:
            self._verifier.finish_chunk(self._signature)

    def _take_trailer(self, line: bytes) -> None:
        text = line.rstrip(b"\r\n")
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_TRAILERS:
            raise _malformed("its trailers are too long")
        if not text:
            # A separating empty line between the trailers and their signature is in the published grammar.
            if self._framing.signed and self._framing.trailing and self._trailers and not self._trailer_signature:
                return
            self._end()
            return
        if not self._framing.trailing:
            raise _malformed("it has trailers that were not announced")
        name, separator, value = text.partition(b":")
        try:
            key, content = name.decode("ascii").strip().lower(), value.decode("ascii").strip()
        except UnicodeDecodeError as error:
            raise _malformed("a trailer is not ASCII") from error
        if not separator or _TRAILER_NAME.fullmatch(key) is None:
            raise _malformed("a trailer is not of the form name:value")
        if self._trailer_signature or key in self._trailers:
            raise _malformed("a trailer comes twice, or after the signature of the trailers")
        if key == _TRAILER_SIGNATURE:
            self._trailer_signature = content.encode()
        else:
            self._trailers[key] = content

    def _end(self) -> None:
        missing = self._framing.announced - self._trailers.keys()
        if missing:
            raise _malformed(f"announced trailers did not come: {', '.join(sorted(missing))}")
        if self._verifier is not None and self._framing.trailing:
            canonical = "".join(f"{name}:{value}\n" for name, value in self._trailers.items())
            self._verifier.finish_trailer(canonical.encode(), self._trailer_signature)
        self._state = _State.DONE


def _find_lf(data: Buffer, start: int, stop: int) -> int:
    if isinstance(data, memoryview):
        found = bytes(data[start:stop]).find(b"\n")
        return start + found if found >= 0 else -1
    return data.find(b"\n", start, stop)


def _malformed(what: str) -> S3Error:
    return S3Error(Code.InvalidRequest, f"The chunked body is malformed: {what}.")
