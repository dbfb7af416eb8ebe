"""Removing what no object of the older layout needs any more.

A baseline is shared, so a DELETE leaves it; once no delta names it, neither beside it nor by its whole key, it only
takes room, and keeps its bucket from being deleted. All deltas are looked at before any baseline goes. Only programs
that still write the older layout could name one in between, and those must not write to a bucket that we serve.
"""

from deltaglider_proxy.engine import internal, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.facts import Facts
from deltaglider_proxy.engine.legacy import names as older
from deltaglider_proxy.engine.legacy import resolve
from deltaglider_proxy.engine.legacy.baseline import places
from deltaglider_proxy.engine.legacy.listing import placed
from deltaglider_proxy.engine.legacy.metadata import Role
from deltaglider_proxy.engine.legacy.resolve import Found
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import IfMatch


async def collect(ctx: Context, facts: Facts, bucket: str) -> int:
    """Remove the baselines that nothing needs; how many they were."""
    root = older.root(ctx, bucket)
    needed: set[str] = set()
    baselines: list[Found] = []
    async for page in internal.pages(ctx, bucket, root):
        stored = [s for s in page if not s.key.startswith(names.HIDDEN)]
        for found in await placed(ctx, facts, bucket, stored):
            if found.record is None:
                continue
            if found.record.role is Role.DELTA:
                needed.update(places(root, found.stored.key, found.record))
            elif found.record.role is Role.BASELINE:
                baselines.append(found)
    removed = 0
    for found in baselines:
        if found.stored.key in needed or await _is_an_object(ctx, bucket, found):
            continue
        try:
            removed += await ctx.backend.delete(bucket, found.stored.key, IfMatch(found.stored.etag))
        except storage.ConditionFailed:
            continue  # somebody else's now
    return removed


async def _is_an_object(ctx: Context, bucket: str, baseline: Found) -> bool:
    """Whether the key that the baseline stands for has nothing else."""
    if baseline.key is None or await resolve.is_gone(ctx, bucket, baseline):
        return False
    return not await resolve.candidates(ctx, bucket, baseline.key)


async def purge(ctx: Context, facts: Facts, bucket: str) -> None:
    """Remove all of the older layout that no client sees, so that a bucket without objects can be deleted."""
    await collect(ctx, facts, bucket)
    async for page in internal.pages(ctx, bucket, older.root(ctx, bucket)):
        stored = [s for s in page if not s.key.startswith(names.HIDDEN)]
        for found in await placed(ctx, facts, bucket, stored):
            if found.key is None and found.record is None:
                await ctx.backend.delete(bucket, found.stored.key, IfMatch(found.stored.etag))
