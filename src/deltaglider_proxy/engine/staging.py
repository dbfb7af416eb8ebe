"""How many bytes the parts of open uploads may take together.

The sum is counted from the storage every few seconds, for all workers count into it, and in between a worker adds what
it stages itself: it can be exceeded by what others stage in those seconds, never by more.
"""

from deltaglider_proxy.engine import internal, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.errors import TooManyUploads
from deltaglider_proxy.storage import errors as storage

_LEAST = 1 << 30
_FRESH = 10.0
"""Seconds for which a count is trusted."""


class Staging:
    def __init__(self, ctx: Context) -> None:
        settings = ctx.settings
        default = max(settings.max_object_size * max(settings.max_uploads, 4) // 4, _LEAST)
        self._ctx = ctx
        self._limit = settings.max_staged_bytes if settings.max_staged_bytes is not None else default
        self._counted: dict[str, int] = {}
        self._at: float | None = None

    async def admit(self, bucket: str, size: int) -> None:
        """Make room for a part of `size` bytes. Raises TooManyUploads."""
        now = self._ctx.clock.monotonic()
        if self._at is None or now - self._at > _FRESH:
            self._at = now
            self._counted = {b.name: await self._count(b.name) for b in await self._ctx.backend.buckets()}
        total = sum(self._counted.values()) + size
        if total > self._limit:
            raise TooManyUploads(f"staged parts would take {total} bytes, limit {self._limit}")
        self._counted[bucket] = self._counted.get(bucket, 0) + size

    async def _count(self, bucket: str) -> int:
        total = 0
        try:
            async for stored in internal.scan(self._ctx, bucket, names.PARTS):
                total += stored.size
        except storage.NoSuchBucket:
            return 0
        return total
