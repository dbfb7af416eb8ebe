"""Content-defined anchors: which parts of two files are the same, wherever they lie.

An anchor is a position whose eight bytes hash below a threshold, so the same content has the same anchors at any
offset; its fingerprint covers `SPAN` bytes from there. About one byte in 2 048 is an anchor. Finding them costs about
1 ms per MB, so a target is sampled, while a reference is indexed once.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deltaglider_proxy.codecs.buffers import Buffer

SPAN = 32
"""Bytes that one fingerprint covers."""

_DENSITY_BITS = 11
_BLOCK = 1 << 18
_ONE = np.uint64(1)
_THRESHOLD = np.uint64((1 << (64 - _DENSITY_BITS)) - 1)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIXERS = tuple(np.uint64(m) for m in (0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5))

Fingerprints = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Anchors:
    """Anchors of one buffer, sorted by fingerprint, each fingerprint once (its first position)."""

    fingerprints: Fingerprints
    positions: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.fingerprints)

    def locate(self, wanted: Fingerprints) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint64]]:
        """Of `wanted`, the indices that occur here, and the positions where."""
        if not len(self.fingerprints) or not len(wanted):
            return np.empty(0, np.intp), np.empty(0, np.uint64)
        slots = np.searchsorted(self.fingerprints, wanted)
        slots[slots == len(self.fingerprints)] = 0
        hits = np.flatnonzero(self.fingerprints[slots] == wanted)
        return hits, self.positions[slots[hits]]


def find(data: Buffer, origin: int = 0) -> Anchors:
    """The anchors of `data`, whose first byte lies at `origin`."""
    view = memoryview(data)
    found = [_block(view[start : start + _BLOCK + SPAN - 1], origin + start) for start in range(0, len(view), _BLOCK)]
    return merge(found)


def merge(parts: list[Anchors]) -> Anchors:
    """Anchors of consecutive buffers as one set; of equal fingerprints the first in order stays."""
    if not parts:
        return Anchors(np.empty(0, np.uint32), np.empty(0, np.uint64))
    unique, first = np.unique(np.concatenate([p.fingerprints for p in parts]), return_index=True)
    return Anchors(unique, np.concatenate([p.positions for p in parts])[first])


def _block(view: memoryview, origin: int) -> Anchors:
    """Anchors that begin in the block; the last `SPAN - 1` bytes of the view belong to the next one."""
    starts = len(view) - SPAN + 1
    if starts <= 0:
        return merge([])
    found = []
    for shift in range(8):
        count = (len(view) - shift) // 8
        words = np.frombuffer(view, dtype="<u8", count=count, offset=shift)
        # Zeros hash to zero and would all be anchors, so the comparison wraps them out of the way.
        hits = np.flatnonzero(words * _MULTIPLIER - _ONE < _THRESHOLD) * 8 + shift
        found.append(hits[hits < starts])
    at = np.sort(np.concatenate(found))
    if not len(at):
        return merge([])
    octets = np.frombuffer(view, dtype=np.uint8)
    words = octets[at[:, None] + np.arange(SPAN)].reshape(-1).view("<u8").reshape(len(at), SPAN // 8)
    mixed = words[:, 0] * _MULTIPLIER
    for column, mixer in enumerate(_MIXERS, 1):
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ words[:, column]) * mixer
    prints = (mixed >> np.uint64(32)).astype(np.uint32)
    # A run of one byte value is an anchor everywhere or nowhere: it says nothing about alignment.
    telling = words[:, 0] != words[:, 1]
    return Anchors(prints[telling], (at[telling] + origin).astype(np.uint64))
