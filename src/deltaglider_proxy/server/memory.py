"""Keeps the C allocator from hoarding: buffers of codecs are tens of megabytes, come and go, and must go back.

glibc gives each thread an arena, and each keeps what was freed in it. Two arenas are enough for so few threads, and
keep buffers for the next frame: mapping each anew costs more than decoding into it (twice the CPU of a read).
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MAPPED_FROM = (32 << 20, 40 << 20)
"""Any glibc accepts the first. The second is more than the prefix of a frame, 32 MiB and a header, and not accepted by
every one: with it, prefixes are not mapped anew each time, which is a third of the CPU of a read.
"""
_KEPT = 128 << 20
_ARENAS = 2


def bound_allocator() -> None:
    """Call once per process, before it makes threads. Without glibc nothing is done."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    for parameter, value in (
        *((_M_MMAP_THRESHOLD, size) for size in _MAPPED_FROM),
        (_M_TRIM_THRESHOLD, _KEPT),
        (_M_ARENA_MAX, _ARENAS),
    ):
        mallopt(parameter, value)
