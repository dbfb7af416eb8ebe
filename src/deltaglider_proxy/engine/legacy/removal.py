"""Deleting from a bucket that may have objects of the older layout.

A key may be stored more than once, and the one that counts hides the others. So the hidden ones go first and the one
that the client sees goes last: whatever happens in between, the key holds either that object or nothing, and never an
older one again. This also makes a PUT over such an object safe without another step: what it leaves hidden goes with
the next DELETE of the key.
"""

from contextlib import suppress

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import resolve
from deltaglider_proxy.engine.model import Precondition
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import IfMatch

_ATTEMPTS = 20


async def remove(ctx: Context, bucket: str, key: str, precondition: Precondition | None) -> bool:
    """Delete all that the key is stored as; False if there was nothing.

    Raises storage.Uncertain when an answer was lost; then the object that the client sees may or may not be gone.
    """
    for _ in range(_ATTEMPTS):
        found = await resolve.candidates(ctx, bucket, key)
        behind = await resolve.stand_in(ctx, bucket, key)
        seen = found[-1] if found else behind
        if precondition is not None:
            precondition(seen.describe() if seen is not None else None)
        if seen is None:
            await ctx.backend.bucket(bucket)
            return False
        if behind is not None:
            await resolve.let_go(ctx, bucket, behind)
        try:
            for each in found:
                await ctx.backend.delete(bucket, each.stored.key, IfMatch(each.stored.etag))
            return True
        except storage.ConditionFailed:
            continue
    raise errors.PreconditionFailed("the object changes faster than it can be deleted")


async def tidy(ctx: Context, bucket: str, key: str) -> None:
    """Remove what an object in our own layout hides at its key. Losing the race against another change is no harm."""
    found = await resolve.candidates(ctx, bucket, key)
    if not found or not found[-1].ours:
        return
    for hidden in found[:-1]:
        with suppress(storage.ConditionFailed):
            await ctx.backend.delete(bucket, hidden.stored.key, IfMatch(hidden.stored.etag))
