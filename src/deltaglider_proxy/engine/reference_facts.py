"""What is known about a reference: a digest per piece, so that it can be used in pieces, and its anchors.

Kept in an object beside the reference, written before it. Losing it costs one read of the whole reference: its name
holds the SHA-256 of its bytes, so the facts can always be made again.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deltaglider_proxy.codecs import anchors
from deltaglider_proxy.codecs.anchors import Anchors
from deltaglider_proxy.codecs.container import digest

PIECE = 4 << 20

_HEAD = struct.Struct("<8sQ32sQQ16s")
_MAGIC = b"DGPfact1"


class BrokenFacts(Exception):
    """Damaged, or of an unknown format: make them again from the reference."""


@dataclass(frozen=True, slots=True)
class ReferenceFacts:
    size: int
    sha256: str
    pieces: tuple[bytes, ...]
    index: Anchors

    @property
    def weight(self) -> int:
        """Bytes that this takes in memory, about."""
        return 16 * len(self.pieces) + 12 * len(self.index) + 200


class FactsBuilder:
    """Makes facts of a reference that is fed in pieces of exactly PIECE bytes, but for the last."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._anchors: list[Anchors] = []
        self._size = 0

    def add(self, piece: bytes | bytearray | memoryview) -> None:
        self._sha256.update(piece)
        self._pieces.append(digest(piece))
        self._anchors.append(anchors.find(piece, self._size))
        self._size += len(piece)

    def finish(self) -> ReferenceFacts:
        index = anchors.merge(self._anchors)
        return ReferenceFacts(self._size, self._sha256.hexdigest(), tuple(self._pieces), index)


def encode(facts: ReferenceFacts) -> bytes:
    body = b"".join(facts.pieces)
    body += facts.index.fingerprints.astype("<u4").tobytes()
    body += facts.index.positions.astype("<u8").tobytes()
    counts = (len(facts.pieces), len(facts.index))
    head = (_MAGIC, facts.size, bytes.fromhex(facts.sha256), *counts)
    return _HEAD.pack(*head, digest(_HEAD.pack(*head, bytes(16)) + body)) + body


def decode(data: bytes) -> ReferenceFacts:
    """Raises BrokenFacts."""
    if len(data) < _HEAD.size:
        raise BrokenFacts("too short")
    magic, size, sha256, pieces, count, check = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    sound = magic == _MAGIC and len(body) == 16 * pieces + 12 * count and pieces == -(-size // PIECE)
    if not sound or digest(_HEAD.pack(magic, size, sha256, pieces, count, bytes(16)) + body) != check:
        raise BrokenFacts("not the facts of a reference")
    at = 16 * pieces
    fingerprints = np.frombuffer(body, "<u4", count, at).astype(np.uint32)
    positions = np.frombuffer(body, "<u8", count, at + 4 * count).astype(np.uint64)
    return ReferenceFacts(size, sha256.hex(), split_pieces(body[:at]), Anchors(fingerprints, positions))


def split_pieces(joined: bytes) -> tuple[bytes, ...]:
    return tuple(joined[n : n + 16] for n in range(0, len(joined), 16))


def piece_numbers(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of the pieces that (start, length) ranges touch."""
    touched: set[int] = set()
    for start, length in ranges:
        touched.update(range(start // PIECE, (start + length - 1) // PIECE + 1))
    return sorted(touched)
