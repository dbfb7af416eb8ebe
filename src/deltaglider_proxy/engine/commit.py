"""Making a change visible: conditions, and what to do when the answer is lost.

A change of a client's key is never repeated after an uncertain answer: a late repeat could undo somebody's newer
write. Instead the key is looked at: if it holds our object id, the change took effect; else the client is told that
nobody knows, and decides.
"""

from collections.abc import Awaitable, Callable

from deltaglider_proxy.engine import errors, marks, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import resolve as legacy
from deltaglider_proxy.engine.model import ObjectInfo, Precondition
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Condition, IfAbsent, IfMatch, Metadata, Stored, Writer

_ATTEMPTS = 20

Check = Callable[[], Awaitable[None]]


async def look(ctx: Context, bucket: str, storage_key: str) -> ObjectInfo | None:
    """What the key holds, without its side object; None for nothing."""
    return (await _held(ctx, bucket, storage_key))[0]


async def _held(ctx: Context, bucket: str, storage_key: str) -> tuple[ObjectInfo | None, Condition]:
    """The same, and the storage condition that says that the key still does."""
    if ctx.settings.policy(bucket).legacy and names.to_client(storage_key) is not None:
        return await legacy.held(ctx, bucket, storage_key)
    try:
        stored = await ctx.backend.head(bucket, storage_key)
    except storage.NoSuchKey:
        return None, IfAbsent()
    return marks.describe(stored, names.to_client(storage_key) or ""), IfMatch(stored.etag)


async def conditionally(
    ctx: Context,
    bucket: str,
    storage_key: str,
    precondition: Precondition | None,
    change: Callable[[Condition], Awaitable[Stored]],
) -> Stored:
    """Run `change` under the storage condition that carries the client's `precondition`.

    The storage generation may move under an object that stays the same for clients (a promotion), so a failed storage
    condition is no answer: look again.
    """
    if precondition is None:
        return await change(None)
    for _ in range(_ATTEMPTS):
        current, unchanged = await _held(ctx, bucket, storage_key)
        precondition(current)
        try:
            return await change(unchanged)
        except storage.ConditionFailed:
            continue
    raise errors.PreconditionFailed("the object changes faster than its condition can be checked")


async def commit(
    ctx: Context,
    writer: Writer,
    bucket: str,
    storage_key: str,
    object_id: str,
    precondition: Precondition | None,
    metadata: Metadata | None,
    check: Check,
) -> Stored:
    """Make what was written the object at the key. `check` is awaited directly before, and raises to refuse."""

    async def change(condition: Condition) -> Stored:
        await check()
        return await writer.commit(condition, metadata)

    try:
        return await conditionally(ctx, bucket, storage_key, precondition, change)
    except storage.Uncertain as error:
        return await mine(ctx, bucket, storage_key, object_id, error)


async def mine(ctx: Context, bucket: str, storage_key: str, object_id: str, error: storage.Uncertain) -> Stored:
    """The object at the key if it is the one that an unanswered change was to make; else raises Uncertain.

    Where it is the disk that did not answer, to see the object does not mean that it is kept.
    """
    if isinstance(error, storage.NotDurable):
        raise errors.Uncertain(str(error)) from error
    try:
        found = await ctx.backend.head(bucket, storage_key)
    except storage.StorageError:
        raise errors.Uncertain from error
    mark = marks.mark_of(found)
    if mark is None or mark.object_id != object_id:
        raise errors.Uncertain from error
    return found
