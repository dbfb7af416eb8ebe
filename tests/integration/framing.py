"""Bodies in `aws-chunked` framing, made as its documentation describes them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate

from tests.integration.wire import EMPTY_SHA256, Answer, Head, Wire, head_bytes


class Framing(Enum):
    SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def signed(self) -> bool:
        return self is not Framing.UNSIGNED_TRAILER

    @property
    def trailing(self) -> bool:
        return self is not Framing.SIGNED


@dataclass(frozen=True, slots=True)
class Upload:
    """A PUT in pieces, so that a test can spoil one of them: the head, each chunk, and what follows the last."""

    method: str
    target: str
    headers: dict[str, str]
    chunks: list[bytes]
    """Framed; the last has no data."""
    tail: bytes

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks) + self.tail

    @property
    def boundaries(self) -> list[int]:
        """Where each chunk ends within the body."""
        return list(accumulate(map(len, self.chunks)))


def upload(
    wire: Wire,
    path: str,
    pieces: Sequence[bytes],
    framing: Framing,
    trailers: Mapping[str, str] | None = None,
    *,
    query: str = "",
    headers: Head | None = None,
    method: str = "PUT",
) -> Upload:
    """`pieces` are the data of the chunks; `trailers` are announced and sent if the framing has trailers."""
    sent = dict(trailers or {}) if framing.trailing else {}
    described = {
        "x-amz-decoded-content-length": str(sum(map(len, pieces))),
        "content-encoding": "aws-chunked",
        **({"x-amz-trailer": ",".join(sent)} if sent else {}),
        **(headers or {}),
    }
    head = wire.head(method, path, query, described, framing.value)
    previous = head.signature
    chunks = []
    for piece in (*pieces, b""):
        line = f"{len(piece):x}"
        if framing.signed:
            digest = hashlib.sha256(piece).hexdigest()
            previous = wire.signer.finish("AWS4-HMAC-SHA256-PAYLOAD", head.at, previous, EMPTY_SHA256, digest)
            line += f";chunk-signature={previous}"
        chunks.append(f"{line}\r\n".encode() + (piece + b"\r\n" if piece else b""))
    lines = [f"{name}:{value}" for name, value in sent.items()]
    if framing.signed and framing.trailing:
        canonical = "".join(f"{line}\n" for line in lines)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = wire.signer.finish("AWS4-HMAC-SHA256-TRAILER", head.at, previous, digest)
        lines.append(f"x-amz-trailer-signature:{signature}")
    tail = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
    return Upload(method, f"{path}?{query}" if query else path, head.headers, chunks, tail)


def send(wire: Wire, made: Upload, body: bytes | None = None) -> Answer:
    """Send it, or another body under its head, with the length that the body has."""
    data = made.body if body is None else body
    return wire.exchange(made.method, made.target, {**made.headers, "content-length": str(len(data))}, data)


def break_off(wire: Wire, made: Upload, sent: int) -> Answer:
    """Promise the whole body, send the first bytes of it, and close the sending side."""
    head = head_bytes(made.method, made.target, {**made.headers, "content-length": str(len(made.body))})
    return wire.send(made.method, head + made.body[:sent], half_close=True)
