"""Reading, listing and changing internal objects.

Their names are used once, so a change whose answer was lost is simply repeated: no late repeat can undo somebody
else's. A client's key is another matter, see `engine.commit`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Metadata, Stored

ATTEMPTS = 20

_PARALLEL = 16


async def pages(ctx: Context, bucket: str, prefix: str) -> AsyncIterator[list[Stored]]:
    """Everything that the backend holds below a prefix, clients' objects too, in byte order."""
    after = ""
    while True:
        page = await ctx.backend.list(bucket, prefix, after)
        found = [entry for entry in page.entries if isinstance(entry, Stored)]
        yield found
        if not page.truncated:
            return
        after = found[-1].key


async def scan(ctx: Context, bucket: str, prefix: str) -> AsyncIterator[Stored]:
    """The same, one by one."""
    async for page in pages(ctx, bucket, prefix):
        for stored in page:
            yield stored


async def read(ctx: Context, bucket: str, key: str) -> bytes:
    """The bytes of a small object. Raises storage.NoSuchKey."""
    reader = await ctx.backend.open(bucket, key)
    try:
        return await reader.read(0, reader.stored.size)
    finally:
        await reader.close()


async def put(
    ctx: Context, bucket: str, key: str, data: bytes, metadata: Metadata | None = None, attempts: int = ATTEMPTS
) -> None:
    """Write a small object, repeated until answered."""
    for attempt in range(attempts):
        writer = await ctx.backend.write(bucket, key, metadata or {}, len(data))
        try:
            await writer.write(data)
            await writer.commit()
            return
        except storage.Uncertain:
            if attempt == attempts - 1:
                raise
        finally:
            await writer.abort()


async def delete(ctx: Context, bucket: str, key: str) -> None:
    """Delete an object, repeated until answered."""
    for attempt in range(ATTEMPTS):
        try:
            await ctx.backend.delete(bucket, key)
            return
        except storage.Uncertain:
            if attempt == ATTEMPTS - 1:
                raise


async def delete_all(ctx: Context, bucket: str, keys: Iterable[str]) -> None:
    """Delete objects, several at a time."""
    limit = asyncio.Semaphore(_PARALLEL)

    async def one(key: str) -> None:
        async with limit:
            await delete(ctx, bucket, key)

    await asyncio.gather(*map(one, keys))
