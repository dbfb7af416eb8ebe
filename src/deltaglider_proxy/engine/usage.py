"""How much is stored, counted from the storage itself, so that it is right whoever wrote there."""

from dataclasses import dataclass

from deltaglider_proxy.engine import internal, marks, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.facts import Facts
from deltaglider_proxy.engine.listing import list_objects
from deltaglider_proxy.engine.model import ObjectInfo
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


async def measure(ctx: Context, facts: Facts, bucket: str | None) -> Usage:
    """Of one bucket, zeros if there is none, or of all."""
    wanted = [bucket] if bucket is not None else [b.name for b in await ctx.backend.buckets()]
    total = Usage()
    for name in wanted:
        try:
            total += await _bucket(ctx, facts, name)
        except storage.NoSuchBucket:
            continue
    return total


async def _bucket(ctx: Context, facts: Facts, bucket: str) -> Usage:
    if ctx.settings.policy(bucket).legacy:
        return await _as_listed(ctx, facts, bucket)
    total = Usage()
    async for page in internal.pages(ctx, bucket, ""):
        clients = [stored for stored in page if names.to_client(stored.key) is not None]
        described = [marks.describe(stored, stored.key) for stored in await facts.complete(bucket, clients)]
        total += Usage(len(described), sum(info.size for info in described), sum(stored.size for stored in page))
    return total


async def _as_listed(ctx: Context, facts: Facts, bucket: str) -> Usage:
    """Where several stored things may be one object: as a client would count, and what all of them take."""
    stored = sum([sum(each.size for each in page) async for page in internal.pages(ctx, bucket, "")])
    total, after = Usage(stored_bytes=stored), ""
    while True:
        listing = await list_objects(ctx, facts, bucket, "", after, 1000, "")
        infos = [entry for entry in listing.entries if isinstance(entry, ObjectInfo)]
        total += Usage(len(infos), sum(info.size for info in infos))
        if not listing.truncated:
            return total
        after = infos[-1].key
