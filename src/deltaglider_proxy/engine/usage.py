"""How much is stored, counted from the storage itself, so that it is right whoever wrote there."""

from dataclasses import dataclass

from deltaglider_proxy.engine import internal, marks, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.storage import errors as storage


@dataclass(frozen=True, slots=True)
class Usage:
    objects: int = 0
    logical_bytes: int = 0
    stored_bytes: int = 0
    """What all of it takes, references and staged parts included."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.objects + other.objects,
            self.logical_bytes + other.logical_bytes,
            self.stored_bytes + other.stored_bytes,
        )


async def measure(ctx: Context, bucket: str | None) -> Usage:
    wanted = [bucket] if bucket is not None else [b.name for b in await ctx.backend.buckets()]
    total = Usage()
    for name in wanted:
        try:
            total += await _bucket(ctx, name)
        except storage.NoSuchBucket:
            continue
    return total


async def _bucket(ctx: Context, bucket: str) -> Usage:
    objects = logical = stored_bytes = 0
    async for stored in internal.scan(ctx, bucket, ""):
        stored_bytes += stored.size
        if names.to_client(stored.key) is not None:
            objects += 1
            mark = marks.mark_of(stored)
            logical += mark.size if mark is not None and mark.size is not None else stored.size
    return Usage(objects, logical, stored_bytes)
