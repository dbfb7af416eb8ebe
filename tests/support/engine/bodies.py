"""Bodies of uploads: seeded bytes, edited copies of them, and the stream that carries them to the engine."""

import random
from collections.abc import AsyncIterator, Callable

from deltaglider_proxy.engine.model import Body, Checksum, Digests

SMALL = 5_000
"""Tried against a reference without a sketch; below the size from which a first object is remembered."""

MEDIUM = 40 << 10
"""Remembered as a first object, so a second one promotes it."""


def noise(seed: int, size: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def edited(data: bytes, seed: int, edits: int = 3) -> bytes:
    """`data` with a few bytes replaced and a few inserted: what a delta is small for."""
    choice = random.Random(seed)
    changed = bytearray(data)
    for _ in range(edits):
        at = choice.randrange(len(changed))
        changed[at : at + 4] = choice.randbytes(8)
    return bytes(changed)


async def _pieces(data: bytes, step: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), step):
        yield data[at : at + step]


def body(
    data: bytes,
    *,
    sized: bool = True,
    step: int = 64 << 10,
    digests: frozenset[str] = frozenset(),
    verify: Callable[[Digests, int], Checksum | None] = lambda _digests, _size: None,
) -> Body:
    """An upload of `data`; without `sized` its length is not announced."""
    return Body(_pieces(data, step), len(data) if sized else None, digests, verify)
