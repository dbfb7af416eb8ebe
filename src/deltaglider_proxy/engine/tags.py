"""Tags lie beside their object and never rewrite it.

They are named after the id that the object was written under, which is known before the object is and which promotion
keeps; those of an object that we did not write, after what it is to clients.
"""

import hashlib
from collections.abc import Mapping

import orjson

from deltaglider_proxy.engine import commit, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.storage import errors as storage

_COUNT = "x-amz-meta-count"


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
        reader = await ctx.backend.open(bucket, place(info))
    except storage.NoSuchKey:
        return {}
    try:
        found = orjson.loads(await reader.read(0, reader.stored.size))
    finally:
        await reader.close()
    return {str(name): str(value) for name, value in found.items()}


async def count(ctx: Context, bucket: str, info: ObjectInfo) -> int:
    """How many tags the object has."""
    key = place(info)
    try:
        stored = ctx.backend.head_now(bucket, key) or await ctx.backend.head(bucket, key)
    except storage.NoSuchKey:
        return 0
    return int((stored.metadata or {}).get(_COUNT, "0"))


async def write(ctx: Context, bucket: str, key: str, tags: Mapping[str, str]) -> None:
    """Replace all tags at a place; none at all removes the object that holds them."""
    if tags:
        await commit.put_internal(ctx, bucket, key, orjson.dumps(dict(tags)), {_COUNT: str(len(tags))})
    else:
        await commit.delete_internal(ctx, bucket, key)
