"""Tags lie beside their object and never rewrite it.

They are named after the id that the object was written under, which is known before the object is and which promotion
keeps; those of an object that we did not write, after what it is to clients.
"""

import hashlib
from collections.abc import Mapping

import orjson

from deltaglider_proxy.engine import internal, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.storage import errors as storage

_COUNT = "x-amz-meta-count"
_FRESH, _FRESH_AFAR = 1.0, 30.0
"""Seconds; a look at a service is a request, and would be one for each read."""


def place_of(origin: str) -> str:
    """Where the tags of the object lie that is, or will be, written under this id."""
    return names.TAGS + origin


def place(info: ObjectInfo) -> str:
    if info.origin:
        return place_of(info.origin)
    identity = f"{info.key}\0{info.etag}\0{round(info.modified * 1000)}"
    return names.TAGS + hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()


async def read(ctx: Context, bucket: str, info: ObjectInfo) -> dict[str, str]:
    try:
        found = orjson.loads(await internal.read(ctx, bucket, place(info)))
    except storage.NoSuchKey:
        return {}
    return {str(name): str(value) for name, value in found.items()}


class Tagged:
    """Which buckets have any tags at all. Most have none, and then no read needs to look for its object's.

    The answer is kept for a while: for so long the number of an object's first tags may be missing from its headers on
    other workers, never its tags.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._known: dict[str, tuple[float, bool]] = {}

    async def any(self, bucket: str) -> bool:
        fresh = _FRESH if self._ctx.backend.capabilities(bucket).local else _FRESH_AFAR
        now = self._ctx.clock.monotonic()
        at, found = self._known.get(bucket, (-fresh, False))
        if not found and now - at >= fresh:
            page = await self._ctx.backend.list(bucket, names.TAGS, limit=1)
            found = bool(page.entries)
            self._known[bucket] = (now, found)
        return found

    async def write(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace all tags at a place; none at all removes the object that holds them."""
        if tags:
            self._known[bucket] = (self._ctx.clock.monotonic(), True)
            data = orjson.dumps(dict(tags))
            await internal.put(self._ctx, bucket, key, data, {_COUNT: str(len(tags))})
        else:
            await internal.delete(self._ctx, bucket, key)


async def count(ctx: Context, bucket: str, info: ObjectInfo) -> int:
    """How many tags the object has."""
    key = place(info)
    try:
        stored = ctx.backend.head_now(bucket, key) or await ctx.backend.head(bucket, key)
    except storage.NoSuchKey:
        return 0
    return int((stored.metadata or {}).get(_COUNT, "0"))
