"""Which ranges of a reference a frame needs as its prefix.

A small reference is used whole. Of a large one the ranges are found by alignment: anchors of samples of the frame are
looked up in the reference's index, and the pages around the hits are taken, the fullest first, up to a budget. Content
that moved is found wherever it went, which a window around the same offset would miss.
"""

import numpy as np
import numpy.typing as npt

from deltaglider_proxy.codecs import anchors
from deltaglider_proxy.codecs.anchors import Anchors
from deltaglider_proxy.codecs.buffers import Buffer

WHOLE = 24 << 20
"""References up to this size are prefixes as a whole."""

BUDGET = 32 << 20
"""Bytes of reference that one frame may name."""

_PAGE = 512 << 10
_SAMPLE = 256 << 10
_SAMPLE_EVERY = 1 << 20

Range = tuple[int, int]
"""(start, length) in the reference."""


def choose(frame: Buffer, index: Anchors, reference_size: int) -> list[Range]:
    """Ranges for `frame`, sorted, disjoint; empty when nothing of it is in the reference."""
    if reference_size <= WHOLE:
        return [(0, reference_size)] if reference_size else []
    view = memoryview(frame)
    sample = anchors.merge([anchors.find(view[at : at + _SAMPLE]) for at in range(0, len(view), _SAMPLE_EVERY)])
    _, positions = index.locate(sample.fingerprints)
    return _cover(positions, reference_size)


def _cover(positions: npt.NDArray[np.uint64], reference_size: int) -> list[Range]:
    """The pages with most hits in and beside them, within the budget, joined where they touch."""
    pages = -(-reference_size // _PAGE)
    hits = np.bincount((positions // np.uint64(_PAGE)).astype(np.intp), minlength=pages)
    # The samples leave gaps, so a page between two that were hit is as likely to be needed as they are.
    padded = np.pad(hits, 2)
    weight = 4 * hits + 2 * (padded[1:-3] + padded[3:-1]) + padded[:-4] + padded[4:]
    best = np.argsort(-weight, kind="stable")[: BUDGET // _PAGE]
    ranges: list[Range] = []
    for page in np.sort(best[weight[best] > 0]).tolist():
        start = page * _PAGE
        length = min(_PAGE, reference_size - start)
        if ranges and ranges[-1][0] + ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], ranges[-1][1] + length)
        else:
            ranges.append((start, length))
    return ranges
