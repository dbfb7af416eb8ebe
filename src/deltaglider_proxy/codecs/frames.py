"""Encoding and decoding one frame: the pure work that the engine's pool runs."""

from collections.abc import Callable, Sequence

from deltaglider_proxy.codecs import zstd
from deltaglider_proxy.codecs.buffers import Buffer
from deltaglider_proxy.codecs.container import Codec, Frame, digest
from deltaglider_proxy.codecs.windows import Range

Fetch = Callable[[Sequence[Range]], bytes | bytearray]
"""Gives the bytes of ranges of one reference, joined, verified."""

_PROBE = 256 << 10


def encode(data: Buffer, ranges: Sequence[Range], fetch: Fetch | None) -> tuple[Frame, Buffer]:
    """The smallest of: a delta against those ranges of the reference, plain zstd, the bytes as they are."""
    check = digest(data)
    size = len(data)
    if ranges and fetch is not None:
        prefix = zstd.prefix_of(_at_least_8(fetch(ranges)))
        payload = zstd.encode(data, prefix)
        if len(payload) < size:
            return Frame(Codec.ZSTD_PREFIX, size, len(payload), check, tuple(ranges)), payload
    elif compresses(data):
        payload = zstd.encode(data, None)
        if len(payload) < size:
            return Frame(Codec.ZSTD, size, len(payload), check), payload
    return Frame(Codec.RAW, size, size, check), data


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


def _at_least_8(prefix: bytes | bytearray) -> bytes | bytearray:
    """Zstd refuses shorter prefixes."""
    return prefix if len(prefix) >= 8 else bytes(prefix).ljust(8, b"\0")


def compresses(data: Buffer) -> bool:
    """Whether plain compression is worth its time, judged by samples from the middle and the start."""
    view = memoryview(data)
    middle = len(view) // 2
    sample = bytes(view[:_PROBE]) + bytes(view[middle : middle + _PROBE])
    return len(zstd.encode(sample, None)) < len(sample) * 0.95
