"""Where a block of an object lies in a reference: which ranges it needs, and where the two run side by side.

A small reference is needed whole. Of a large one the ranges are found by alignment: anchors of samples of the block are
looked up in the reference's index, and the pages around the hits are taken, the fullest first, up to a budget. Content
that moved is found wherever it went, which a window around the same offset would miss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deltaglider_proxy.codecs import anchors
from deltaglider_proxy.codecs.anchors import Anchors
from deltaglider_proxy.codecs.buffers import Buffer

WHOLE = 24 << 20
"""References up to this size are prefixes as a whole."""

BUDGET = 32 << 20
"""Bytes of reference that one block may name."""

_PAGE = 512 << 10
_SAMPLE = 256 << 10
_SAMPLE_EVERY = 1 << 20

Range = tuple[int, int]
"""(start, length) in the reference."""


@dataclass(frozen=True, slots=True)
class Alignment:
    ranges: tuple[Range, ...]
    """Sorted, disjoint; empty when nothing of the block is in the reference."""
    hits: tuple[tuple[int, int], ...]
    """(position in the block, position in the reference) of anchors that both have, by the first."""


def align(block: Buffer, index: Anchors, reference_size: int) -> Alignment:
    view = memoryview(block)
    sample = anchors.merge([anchors.find(view[at : at + _SAMPLE], at) for at in range(0, len(view), _SAMPLE_EVERY)])
    found, positions = index.locate(sample.fingerprints)
    pairs = sorted(zip(sample.positions[found].tolist(), positions.tolist(), strict=True))
    if reference_size <= WHOLE:
        ranges = [(0, reference_size)] if reference_size else []
    else:
        ranges = cover(positions, reference_size, BUDGET)
    return Alignment(tuple(ranges), tuple(pairs))


def cover(positions: npt.NDArray[np.uint64], reference_size: int, budget: int) -> list[Range]:
    """The pages with most of the positions in and beside them, within the budget, joined where they touch."""
    pages = -(-reference_size // _PAGE)
    hits = np.bincount((positions // np.uint64(_PAGE)).astype(np.intp), minlength=pages)
    # The samples leave gaps, so a page between two that were hit is as likely to be needed as they are.
    padded = np.pad(hits, 2)
    weight = 4 * hits + 2 * (padded[1:-3] + padded[3:-1]) + padded[:-4] + padded[4:]
    best = np.argsort(-weight, kind="stable")[: budget // _PAGE]
    ranges: list[Range] = []
    for page in np.sort(best[weight[best] > 0]).tolist():
        start = page * _PAGE
        length = min(_PAGE, reference_size - start)
        if ranges and ranges[-1][0] + ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + length)
        else:
            ranges.append((start, length))
    return ranges


class Prefix:
    """The bytes of an alignment's ranges, joined, and where each position of the reference lies in them."""

    def __init__(self, ranges: Sequence[Range], joined: bytes | bytearray) -> None:
        self.ranges = tuple(ranges)
        self.bytes = memoryview(joined)
        self._places: list[tuple[int, int, int]] = []
        at = 0
        for start, length in ranges:
            self._places.append((start, start + length, at))
            at += length

    def around(self, position: int) -> tuple[int, int, int] | None:
        """The range that holds the position: its start, its stop, and where its start lies in `bytes`."""
        return next((place for place in self._places if place[0] <= position < place[1]), None)

    def slice(self, start: int, stop: int) -> memoryview | None:
        """Bytes `start` to `stop` of the reference, if one range holds them all."""
        place = self.around(start)
        if place is None or stop > place[1]:
            return None
        return self.bytes[place[2] + start - place[0] : place[2] + stop - place[0]]
