"""Keeps the C allocator from hoarding: buffers of codecs are tens of megabytes, come and go, and must go back.

glibc raises the size from which it maps a buffer of its own each time one is freed, so that after a while buffers of
16 MiB lie in its arenas, one arena per thread, and stay there. Fixed limits end that.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MAPPED_FROM = 2 << 20
_ARENAS = 4


def bound_allocator() -> None:
    """Call once per process, before it makes threads. Without glibc nothing is done."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    for parameter, value in (
        (_M_MMAP_THRESHOLD, _MAPPED_FROM),
        (_M_TRIM_THRESHOLD, 2 * _MAPPED_FROM),
        (_M_ARENA_MAX, _ARENAS),
    ):
        mallopt(parameter, value)
