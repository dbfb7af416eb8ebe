"""Tags lie beside their object and never rewrite it.

They are named after what the object is to clients (key, ETag, time), which promotion and re-encoding keep, and an
overwrite changes.
"""

import hashlib
from collections.abc import Mapping

import orjson

from deltaglider_proxy.engine import commit, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.storage import errors as storage

_COUNT = "x-amz-meta-count"


def tags_key(key: str, etag: str, modified: float) -> str:
    """Where the tags of the object lie that clients see with this ETag and time."""
    identity = f"{key}\0{etag}\0{round(modified * 1000)}"
    return names.TAGS + hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()


async def read(ctx: Context, bucket: str, info: ObjectInfo) -> dict[str, str]:
    try:
        reader = await ctx.backend.open(bucket, tags_key(info.key, info.etag, info.modified))
    except storage.NoSuchKey:
        return {}
    try:
        found = orjson.loads(await reader.read(0, reader.stored.size))
    finally:
        await reader.close()
    return {str(name): str(value) for name, value in found.items()}


async def count(ctx: Context, bucket: str, info: ObjectInfo) -> int:
    """How many tags the object has."""
    place = tags_key(info.key, info.etag, info.modified)
    try:
        stored = ctx.backend.head_now(bucket, place) or await ctx.backend.head(bucket, place)
    except storage.NoSuchKey:
        return 0
    return int((stored.metadata or {}).get(_COUNT, "0"))


async def write(ctx: Context, bucket: str, key: str, etag: str, modified: float, tags: Mapping[str, str]) -> None:
    """Replace all tags; none at all removes the object that holds them."""
    place = tags_key(key, etag, modified)
    if tags:
        await commit.put_internal(ctx, bucket, place, orjson.dumps(dict(tags)), {_COUNT: str(len(tags))})
    else:
        await commit.delete_internal(ctx, bucket, place)
