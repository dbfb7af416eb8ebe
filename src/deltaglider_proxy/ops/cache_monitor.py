"""Says in the log when the reference cache is off, small, full or useless: the knob that operators forget.

What to say is a function of two samples; the loop only fetches them. Rates are of the last interval, since a lifetime
average hides a cache that has just begun to thrash. One worker per host runs the loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

INTERVAL = 60.0
"""Seconds."""
FULL_PERCENT = 90.0
MISS_PERCENT = 50.0
MIN_USES = 10
PRODUCTION_MB = 1024

_log = structlog.get_logger("deltaglider_proxy.cache")


@dataclass(frozen=True, slots=True)
class CacheSample:
    size_bytes: int
    max_bytes: int
    """Capacity now; it changes with the configuration."""
    entries: int
    hits: int
    """Since the start of the server, all workers."""
    misses: int


@dataclass(frozen=True, slots=True)
class Notice:
    level: int
    """Of the logging module."""
    text: str


def startup_notices(cache_mb: int, metadata_cache_mb: int) -> tuple[Notice, ...]:
    """What the log says at start about `cache_size_mb` and `metadata_cache_mb`."""
    if cache_mb == 0:
        reference = Notice(
            logging.WARNING,
            "[cache] reference cache DISABLED (cache_size_mb: 0): every GET of a delta reads its reference from the "
            "backend again; set cache_size_mb or DGP_CACHE_MB",
        )
    elif cache_mb < PRODUCTION_MB:
        reference = Notice(
            logging.WARNING,
            f"[cache] reference cache is {cache_mb} MB: small for production; set cache_size_mb or DGP_CACHE_MB to "
            f"{PRODUCTION_MB} or more",
        )
    else:
        reference = Notice(logging.INFO, f"[cache] reference cache is {cache_mb} MB")
    if metadata_cache_mb == 0:
        metadata = Notice(
            logging.WARNING,
            "[cache] metadata cache DISABLED (metadata_cache_mb: 0): listings look up every delta again, on disk or at "
            "the backend; set metadata_cache_mb or DGP_METADATA_CACHE_MB",
        )
    else:
        metadata = Notice(logging.INFO, f"[cache] metadata cache is {metadata_cache_mb} MB")
    return reference, metadata


def warnings(previous: CacheSample, now: CacheSample) -> tuple[str, ...]:
    """What is wrong with the cache, from two samples one interval apart."""
    found: list[str] = []
    if now.max_bytes > 0:
        percent = 100 * now.size_bytes / now.max_bytes
        if percent > FULL_PERCENT:
            used, room = now.size_bytes / (1 << 20), now.max_bytes / (1 << 20)
            found.append(
                f"[cache] {percent:.1f}% full: {used:.0f} of {room:.0f} MB in {now.entries} entries; "
                "raise cache_size_mb or DGP_CACHE_MB"
            )
    misses = now.misses - previous.misses
    uses = misses + now.hits - previous.hits
    if uses >= MIN_USES:
        percent = 100 * misses / uses
        if percent > MISS_PERCENT:
            found.append(
                f"[cache] {percent:.1f}% misses: {misses} of {uses} uses in the last interval; "
                "raise cache_size_mb or DGP_CACHE_MB"
            )
    return tuple(found)


async def watch(
    sample: Callable[[], Awaitable[CacheSample]], pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Warn for as long as the server runs; end it by cancelling."""
    previous = await sample()
    while True:
        await pause(INTERVAL)
        now = await sample()
        for text in warnings(previous, now):
            _log.warning(text)
        previous = now
