"""What a client's key holds in a bucket that may have objects of the older layout.

A key has up to four candidates: an object in our own layout, a delta, the plain bytes, and the baseline of its folder
where that is the only copy of the folder's first object. Ours is always the newest, since nothing else is written any
more; of the others the later creation counts, as a crash of the older proxy between its two steps leaves both.
"""

import asyncio
import errno
import hashlib
import os
from dataclasses import dataclass, replace

from deltaglider_proxy.engine import internal, marks, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import metadata
from deltaglider_proxy.engine.legacy import names as older
from deltaglider_proxy.engine.legacy.metadata import Record, Role
from deltaglider_proxy.engine.model import Kind, ObjectInfo
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import IfAbsent, IfMatch, Reader, Stored

_GONE = names.INTERNAL + "legacy/"
"""Below it, one object for each baseline that no longer stands for an object."""


@dataclass(frozen=True, slots=True)
class Found:
    """One generation of something that a client's key may be stored as."""

    stored: Stored
    record: Record | None
    key: str | None
    """The client's; None if it is not for clients."""
    ours: bool = False
    """In our own layout, and where that has a place of its own, also what others put there."""

    @property
    def is_stand_in(self) -> bool:
        return self.record is not None and self.record.role is Role.BASELINE

    @property
    def rank(self) -> tuple[bool, bool, float, bool]:
        """The highest of a key is what the key holds."""
        is_delta = self.record is not None and self.record.role is Role.DELTA
        return self.ours, not self.is_stand_in, self.modified, is_delta

    @property
    def modified(self) -> float:
        created = self.record.created if self.record is not None else None
        return self.stored.modified if created is None else created

    def describe(self) -> ObjectInfo:
        """The client's view, of what has a client's key. Not for objects with a side object."""
        assert self.key is not None
        info = marks.describe(self.stored, self.key)
        record = self.record
        if record is None:
            return info
        kind = {"content-type": record.content_type} if record.content_type else {}
        return replace(
            info,
            size=self.stored.size if record.size is None else record.size,
            etag=record.etag,
            modified=self.modified,
            headers={**info.headers, **kind},
            user_metadata=record.user_metadata,
            kind=Kind.DELTA if record.role is Role.DELTA else Kind.IDENTITY,
        )


def place(ctx: Context, bucket: str, stored: Stored, attribute: bytes = b"") -> Found:
    """What is stored under a key that is not an internal one; `attribute`: what its file has in the older layout."""
    root = older.root(ctx, bucket)
    if root and not stored.key.startswith(root):
        return Found(stored, None, names.to_client(stored.key), ours=True)
    if not root and marks.mark_of(stored) is not None:
        return Found(stored, None, names.to_client(stored.key), ours=True)
    record = metadata.from_attribute(attribute) if root else metadata.from_headers(stored.metadata or {})
    name = stored.key[len(root) :] if root else names.to_client(stored.key) or ""
    key = older.client_key(name, record)
    if key is not None and (older.is_unfinished(root, name) or older.is_hidden(root, key)):
        key = None
    return Found(stored, record, key)


def attribute_of(reader: Reader) -> bytes:
    """What the older layout keeps beside a file; empty for what is no file."""
    descriptor = reader.fileno()
    if descriptor is None:
        return b""
    try:
        return os.getxattr(descriptor, metadata.ATTRIBUTE)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return b""
        raise storage.Unavailable(f"read attribute {metadata.ATTRIBUTE}: {error.strerror}") from error


async def look(ctx: Context, bucket: str, storage_key: str) -> Found | None:
    """What a storage key holds, None for nothing."""
    root = older.root(ctx, bucket)
    try:
        if root and storage_key.startswith(root):
            reader = await ctx.backend.open(bucket, storage_key)
            try:
                return place(ctx, bucket, reader.stored, attribute_of(reader))
            finally:
                await reader.close()
        return place(ctx, bucket, await ctx.backend.head(bucket, storage_key))
    except storage.NoSuchKey:
        return None


async def candidates(ctx: Context, bucket: str, key: str) -> list[Found]:
    """All that the key is stored as, the one that it holds last. Baselines are no part of it."""
    root = older.root(ctx, bucket)
    if older.is_hidden(root, key):
        return []
    wanted = [names.to_storage(key)]
    if older.may_hold_older(key):
        wanted += [root + key, root + key + older.DELTA] if root else [key + older.DELTA]
    looked = await asyncio.gather(*(look(ctx, bucket, each) for each in wanted))
    return sorted((f for f in looked if f is not None and f.key == key and not f.is_stand_in), key=lambda f: f.rank)


async def stand_in(ctx: Context, bucket: str, key: str) -> Found | None:
    """The baseline that is the key's only copy unless it has another, if there is one."""
    root = older.root(ctx, bucket)
    if not older.may_hold_older(key) or older.is_hidden(root, key):
        return None
    found = await look(ctx, bucket, root + older.folder(key) + older.BASELINE)
    return found if found is not None and found.key == key and not await is_gone(ctx, bucket, found) else None


async def find(ctx: Context, bucket: str, key: str) -> Found | None:
    """What the key holds."""
    found = await candidates(ctx, bucket, key)
    return found[-1] if found else await stand_in(ctx, bucket, key)


async def held(ctx: Context, bucket: str, storage_key: str) -> tuple[ObjectInfo | None, IfMatch | IfAbsent]:
    """What a client's key holds, for a condition on a change of it, and the condition that carries it to the storage.

    That is about the key's own place, which may have nothing while the object is an older one elsewhere; such objects
    are only ever deleted, so a change that goes by one of them takes its turn as if it came before that delete.
    """
    key = names.to_client(storage_key) or ""
    found = await candidates(ctx, bucket, key)
    seen = found[-1] if found else await stand_in(ctx, bucket, key)
    own = next((f for f in found if f.stored.key == storage_key), None)
    return seen.describe() if seen is not None else None, IfMatch(own.stored.etag) if own is not None else IfAbsent()


async def is_gone(ctx: Context, bucket: str, baseline: Found) -> bool:
    """Whether the object that the baseline stood for was deleted."""
    if not baseline.is_stand_in:
        return False
    page = await ctx.backend.list(bucket, _gone(baseline), limit=1)
    return bool(page.entries)


async def let_go(ctx: Context, bucket: str, baseline: Found) -> None:
    """Keep the baseline, which deltas may need, but no longer as an object."""
    await internal.put(ctx, bucket, _gone(baseline) + names.random_id(), b"")


def _gone(baseline: Found) -> str:
    identity = f"{baseline.stored.key}\0{baseline.stored.etag}".encode(errors="surrogatepass")
    return f"{_GONE}{hashlib.blake2b(identity, digest_size=16).hexdigest()}."
