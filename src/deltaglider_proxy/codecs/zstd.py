"""The zstd codec: a frame is compressed with ranges of the reference as its prefix ("patch-from").

Level 1 with long-distance matching and a window that covers prefix and frame; higher levels cost time and gain
nothing, and a smaller window loses far matches. Every frame carries zstd's own checksum beside our digest.
"""

import sys
from functools import cache

from deltaglider_proxy.codecs.buffers import Buffer

if sys.version_info >= (3, 14):
    from compression import zstd as _zstd
else:
    from backports import zstd as _zstd

_LEVEL = 1
_MIN_WINDOW_LOG = 10
_MAX_WINDOW_LOG = 27


class BrokenFrame(Exception):
    """The payload does not decode to what its frame says, with this prefix."""


@cache
def _options(window_log: int) -> dict[int, int]:
    parameter = _zstd.CompressionParameter
    return {
        parameter.compression_level: _LEVEL,
        parameter.enable_long_distance_matching: 1,
        parameter.window_log: window_log,
        parameter.checksum_flag: 1,
        parameter.content_size_flag: 1,
    }


def prefix_of(data: Buffer) -> _zstd.ZstdDict:
    """A prefix for `encode` and `decode`; holds a copy of `data`, at least 8 bytes, so drop it soon."""
    return _zstd.ZstdDict(data, is_raw=True)


def encode(data: Buffer, prefix: _zstd.ZstdDict | None) -> bytes:
    """Compress `data`, which may need every byte of `prefix` again to be decoded."""
    length = len(data) + (len(prefix) if prefix is not None else 0)
    options = _options(min(max(length.bit_length(), _MIN_WINDOW_LOG), _MAX_WINDOW_LOG))
    return _zstd.compress(data, options=options, zstd_dict=prefix.as_prefix if prefix is not None else None)


def decode(payload: Buffer, prefix: _zstd.ZstdDict | None, size: int) -> bytes:
    """The `size` bytes that `payload` was made of; never allocates more than that. Raises BrokenFrame."""
    options: dict[int, int] = {_zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
    decoder = _zstd.ZstdDecompressor(zstd_dict=prefix.as_prefix if prefix is not None else None, options=options)
    try:
        data = decoder.decompress(payload, max_length=size + 1)
    except _zstd.ZstdError as error:
        raise BrokenFrame(str(error)) from error
    if len(data) != size or not decoder.eof or decoder.unused_data:
        raise BrokenFrame(f"frame of {size} bytes decoded to {len(data)}")
    return data
