"""Deleting an object. What only it needed is left to garbage collection."""

from deltaglider_proxy.engine import commit, errors, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import removal as legacy
from deltaglider_proxy.engine.model import Precondition
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import IfMatch

_ATTEMPTS = 20


async def delete(ctx: Context, bucket: str, key: str, precondition: Precondition | None) -> bool:
    """False if there was nothing. A lost answer is never followed by a second DELETE: it could hit a newer object."""
    storage_key = names.to_storage(key)
    try:
        if ctx.settings.policy(bucket).legacy:
            return await legacy.remove(ctx, bucket, key, precondition)
        if precondition is None:
            return await ctx.backend.delete(bucket, storage_key)
        for _ in range(_ATTEMPTS):
            current = await commit.look(ctx, bucket, storage_key)
            precondition(current)
            if current is None:
                return False
            try:
                return await ctx.backend.delete(bucket, storage_key, IfMatch(current.generation))
            except storage.ConditionFailed:
                continue
    except storage.Uncertain as error:
        raise errors.Uncertain from error
    raise errors.PreconditionFailed("the object changes faster than its condition can be checked")
