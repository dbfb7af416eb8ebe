"""Encoding a block of an object as frames and decoding one: the pure work that the engine's pool runs."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from deltaglider_proxy.codecs import runs, zstd
from deltaglider_proxy.codecs.buffers import Buffer
from deltaglider_proxy.codecs.container import Codec, Frame, copy_frame, digest
from deltaglider_proxy.codecs.runs import Run
from deltaglider_proxy.codecs.windows import Alignment, Prefix, Range, cover

Fetch = Callable[[Sequence[Range]], bytes | bytearray]
"""Gives the bytes of ranges of one reference, joined, verified."""

Encoded = tuple[Frame, Buffer]
"""A frame and its payload."""

_PROBE = 256 << 10
_GAP = 4 << 20
"""Bytes of reference between two runs that are worth being a prefix whole."""
_MARGIN = 64 << 10
_LEAST = 8 << 20
_WORTH = 0.7
"""Share of a block that runs must make up: between many short ones the codec would lose sight of the rest."""


def encode_block(block: Buffer, alignment: Alignment, reference_size: int, fetch: Fetch) -> list[Encoded]:
    """A block of an object as frames: copies where it runs beside the reference, deltas between them."""
    if not alignment.ranges:
        return [encode(block)]
    prefix = Prefix(alignment.ranges, fetch(alignment.ranges))
    found = runs.find(block, alignment, prefix)
    if sum(run.stop - run.start for run in found) < len(block) * _WORTH:
        return [_delta(block, prefix.ranges, prefix.bytes)]
    encoded: list[Encoded] = []
    view = memoryview(block)
    for before, after in pairwise([None, *found, None]):
        start, stop = before.stop if before else 0, after.start if after else len(view)
        if start < stop:
            ranges = _between(before, after, start, stop, alignment, reference_size)
            encoded.append(_delta(view[start:stop], *_part(prefix, ranges)))
        if after:
            encoded.append((copy_frame([(after.source, after.stop - after.start)]), b""))
    return encoded


def _between(
    before: Run | None, after: Run | None, start: int, stop: int, alignment: Alignment, reference_size: int
) -> list[Range]:
    """What a stretch between two runs is likely to need: what lies between them in the reference, or what it hit."""
    low = before.source + start - before.start if before else None
    high = after.source if after else None
    low = low if low is not None else (high or 0) - (stop - start)
    high = high if high is not None else low + stop - start
    if 0 <= high - low <= _GAP:
        low, high = max(low - _MARGIN, 0), min(high + _MARGIN, reference_size)
        return [(low, high - low)]
    hits = np.array([source for at, source in alignment.hits if start <= at < stop], np.uint64)
    return cover(hits, reference_size, max(4 * (stop - start), _LEAST)) if len(hits) else []


def _part(prefix: Prefix, ranges: list[Range]) -> tuple[Sequence[Range], Buffer]:
    """The ranges and their bytes, if the prefix holds them; else all of it."""
    slices = [prefix.slice(start, start + length) for start, length in ranges]
    known = [piece for piece in slices if piece is not None]
    if not ranges or len(known) != len(slices):
        return prefix.ranges, prefix.bytes
    return ranges, known[0] if len(known) == 1 else b"".join(known)


def encode(data: Buffer, ranges: Sequence[Range] = (), fetch: Fetch | None = None) -> Encoded:
    """The smallest of: a delta against those ranges of the reference, plain zstd, the bytes as they are."""
    if ranges and fetch is not None:
        return _delta(data, ranges, fetch(ranges))
    size = len(data)
    if compresses(data):
        payload = zstd.encode(data, None)
        if len(payload) < size:
            return Frame(Codec.ZSTD, size, len(payload), digest(data)), payload
    return Frame(Codec.RAW, size, size, digest(data)), data


def _delta(data: Buffer, ranges: Sequence[Range], known: Buffer) -> Encoded:
    size = len(data)
    payload = zstd.encode(data, zstd.prefix_of(_at_least_8(known)))
    if len(payload) < size:
        return Frame(Codec.ZSTD_PREFIX, size, len(payload), digest(data), tuple(ranges)), payload
    return Frame(Codec.RAW, size, size, digest(data)), data


def decode(frame: Frame, payload: Buffer, fetch: Fetch | None) -> Buffer:
    """The logical bytes of a frame that is not COPY, verified. Raises zstd.BrokenFrame."""
    if frame.codec is Codec.RAW:
        data: Buffer = payload
    elif frame.codec is Codec.ZSTD:
        data = zstd.decode(payload, None, frame.size)
    else:
        assert fetch is not None
        data = zstd.decode(payload, zstd.prefix_of(_at_least_8(fetch(frame.ranges))), frame.size)
    if digest(data) != frame.digest:
        raise zstd.BrokenFrame("a frame fails its digest")
    return data


def _at_least_8(prefix: Buffer) -> Buffer:
    """Zstd refuses shorter prefixes."""
    return prefix if len(prefix) >= 8 else bytes(prefix).ljust(8, b"\0")


def compresses(data: Buffer) -> bool:
    """Whether plain compression is worth its time, judged by samples from the middle and the start."""
    view = memoryview(data)
    middle = len(view) // 2
    sample = bytes(view[:_PROBE]) + bytes(view[middle : middle + _PROBE])
    return len(zstd.encode(sample, None)) < len(sample) * 0.95
