"""The baseline of a delta, as an open file that a command can read at will.

The delta names its baseline; whatever lies there counts only with the digest that the delta gives. Where the storage is
local files it is read in place, and the digest of the result says whether it was the right one; from a service it is
fetched, verified, and kept for the other deltas of its folder.
"""

import hashlib
from dataclasses import dataclass

import structlog

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy import names as older
from deltaglider_proxy.engine.legacy import resolve
from deltaglider_proxy.engine.legacy.kept import Kept, Scratch
from deltaglider_proxy.engine.legacy.metadata import Record
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Reader

_log = structlog.get_logger("deltaglider_proxy.legacy")


@dataclass(slots=True)
class Baseline:
    """Close it."""

    file: int
    """Descriptor of the whole baseline."""
    size: int
    hit: bool
    """Nothing had to be read from the backend for it."""
    holder: Reader | Scratch

    @property
    def kept(self) -> bool:
        """It is a copy, made earlier."""
        return self.hit and isinstance(self.holder, Scratch)

    async def close(self) -> None:
        if isinstance(self.holder, Scratch):
            self.holder.close()
        else:
            await self.holder.close()


async def open_baseline(
    ctx: Context, kept: Kept, bucket: str, storage_key: str, record: Record, *, fresh: bool = False
) -> Baseline:
    """The baseline of the delta under `storage_key`; `fresh`: no kept copy of it. Raises Corrupt, Unsupported.

    Called while a name of `kept` is held; a baseline's own name is always the second, so no two wait for each other.
    """
    reasons = []
    for place in places(older.root(ctx, bucket), storage_key, record):
        try:
            return await _open(ctx, kept, bucket, place, record, fresh=fresh)
        except storage.NoSuchKey:
            reasons.append(f"{place} is missing")
        except errors.Corrupt as error:
            reasons.append(str(error))
    raise errors.Corrupt(f"the delta {storage_key} lacks its baseline: {'; '.join(reasons)}")


def places(root: str, storage_key: str, record: Record) -> list[str]:
    """Where the baseline may be: as named by a whole key, and beside the delta."""
    beside = older.folder(storage_key) + older.BASELINE
    named = root + record.reference if "/" in record.reference else beside
    return [named, beside] if named != beside else [beside]


async def _open(ctx: Context, kept: Kept, bucket: str, place: str, record: Record, *, fresh: bool) -> Baseline:
    name = f"baseline {record.reference_sha256}"
    if fresh:
        await kept.forget(name)
    elif (file := await kept.open(name)) is not None:
        return Baseline(file.fileno(), file.size, hit=True, holder=file)
    reader = await ctx.backend.open(bucket, place)
    try:
        _check(place, resolve.place(ctx, bucket, reader.stored, resolve.attribute_of(reader)).record, record)
        descriptor = reader.fileno()
        if descriptor is not None:
            return Baseline(descriptor, reader.stored.size, hit=True, holder=reader)
        async with kept.alone(name):
            file = await kept.open(name) or await _fetch(ctx, kept, name, reader, record)
    except BaseException:
        await reader.close()
        raise
    await reader.close()
    return Baseline(file.fileno(), file.size, hit=False, holder=file)


def _check(place: str, found: Record | None, record: Record) -> None:
    if found is None:
        return  # its metadata was lost on the way; its digest will tell
    if found.encryption:
        raise errors.Unsupported(f"the baseline {place} is encrypted with the key {found.key_id or '(not named)'}")
    if found.sha256 != record.reference_sha256:
        raise errors.Corrupt(f"{place} is another baseline than the one the delta was made against")


async def _fetch(ctx: Context, kept: Kept, name: str, reader: Reader, record: Record) -> Scratch:
    file = kept.scratch()
    try:
        for attempt in (1, 2):
            await ctx.pool.run(file.truncate)
            if await fetch(ctx, reader, file) == record.reference_sha256:
                await kept.keep(name, file)
                return file
            ctx.events.integrity_failed()
            _log.error("a baseline does not have its digest", key=reader.stored.key, attempt=attempt)
        raise errors.Corrupt(f"{reader.stored.key} does not have the digest that the delta gives")
    except BaseException:
        file.close()
        raise


async def fetch(ctx: Context, reader: Reader, file: Scratch) -> str:
    """Write all that `reader` has open to `file`; the SHA-256 of it, in hex."""
    digest = hashlib.sha256()

    def take(chunk: bytes) -> None:
        file.append(chunk)
        digest.update(chunk)

    async for chunk in reader.chunks(0, reader.stored.size):
        await ctx.pool.run(take, chunk)
    return digest.hexdigest()
