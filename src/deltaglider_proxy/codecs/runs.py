"""Long stretches of a block that are the reference's bytes: they need no codec at all.

From each anchor that both have, the two are compared in both directions, at the speed of memory. Releases of one thing
are mostly that, and a copy is stored in sixty bytes whatever its length.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deltaglider_proxy.codecs.buffers import Buffer
from deltaglider_proxy.codecs.windows import Alignment, Prefix

SHORTEST = 512 << 10
"""Reading a copy means reading whole pieces of the reference, so short ones are left to the codec."""

_STEP = 256 << 10

Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Run:
    start: int
    stop: int
    """In the block."""
    source: int
    """Where it begins in the reference."""


def find(block: Buffer, alignment: Alignment, prefix: Prefix) -> list[Run]:
    """Runs of at least SHORTEST bytes, in order, disjoint."""
    data = np.frombuffer(block, np.uint8)
    known = np.frombuffer(prefix.bytes, np.uint8)
    runs: list[Run] = []
    done = 0
    tried: tuple[int, int] = (-1, 0)
    for position, source in alignment.hits:
        place = prefix.around(source)
        if position < done or place is None or (tried[1] == source - position and position < tried[0]):
            continue
        start, stop, offset = place
        back = min(position - done, source - start)
        ahead = min(len(data) - position, stop - source)
        at = offset + source - start
        behind = _equal_behind(data[position - back : position], known[at - back : at])
        before = _equal_ahead(data[position : position + ahead], known[at : at + ahead])
        tried = (position + before, source - position)
        if behind + before >= SHORTEST:
            runs.append(Run(position - behind, position + before, source - behind))
            done = position + before
    return runs


def _equal_ahead(one: Octets, other: Octets) -> int:
    """How many bytes are equal from the start on."""
    for at in range(0, len(one), _STEP):
        differs = one[at : at + _STEP] != other[at : at + _STEP]
        if differs.any():
            return at + int(differs.argmax())
    return len(one)


def _equal_behind(one: Octets, other: Octets) -> int:
    """How many bytes are equal up to the end."""
    for at in range(len(one), 0, -_STEP):
        low = max(at - _STEP, 0)
        differs = (one[low:at] != other[low:at])[::-1]
        if differs.any():
            return len(one) - at + int(differs.argmax())
    return len(one)
