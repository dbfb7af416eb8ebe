"""The records of multipart uploads and their staged parts: state that lives in the backend, so any worker, any node and
any restart can go on with an upload.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from deltaglider_proxy.engine import errors, internal, marks, names, sides
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.model import (
    Attributes,
    ChecksumAlgorithm,
    ChecksumType,
    PartInfo,
    UploadInfo,
    UploadListing,
)
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Stored

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_PARALLEL = 16


@dataclass(frozen=True, slots=True)
class StagedPart:
    """A part as it is stored."""

    info: PartInfo
    stored: Stored


async def create(
    ctx: Context,
    bucket: str,
    key: str,
    attributes: Attributes,
    algorithm: ChecksumAlgorithm | None,
    kind: ChecksumType | None,
) -> str:
    """Returns the id. Raises TooManyUploads."""
    page = await ctx.backend.list(bucket, names.UPLOADS, "", ctx.settings.max_uploads)
    if len(page.entries) >= ctx.settings.max_uploads:
        raise errors.TooManyUploads(str(ctx.settings.max_uploads))
    upload_id = names.random_id()
    document = {
        "key": key,
        "initiated": ctx.clock.now(),
        "headers": dict(attributes.headers),
        "user": dict(attributes.user_metadata),
        "tags": dict(attributes.tags),
        "checksum": [algorithm, kind],
    }
    await internal.put(ctx, bucket, names.UPLOADS + upload_id, orjson.dumps(document))
    return upload_id


async def load(ctx: Context, bucket: str, key: str | None, upload_id: str) -> UploadInfo:
    """Raises NoSuchUpload, also for an id of another key."""
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise errors.NoSuchUpload(upload_id)
    try:
        record = await internal.read(ctx, bucket, names.UPLOADS + upload_id)
    except storage.NoSuchKey as error:
        raise errors.NoSuchUpload(upload_id) from error
    info = _decode(upload_id, orjson.loads(record))
    if key is not None and info.key != key:
        raise errors.NoSuchUpload(upload_id)
    return info


def _decode(upload_id: str, document: Mapping[str, object]) -> UploadInfo:
    match document:
        case {
            "key": str(key),
            "initiated": float() | int() as initiated,
            "headers": dict(headers),
            "user": dict(user),
            "tags": dict(tagging),
            "checksum": [None | str() as algorithm, None | str() as kind],
        }:
            return UploadInfo(
                key,
                upload_id,
                float(initiated),
                Attributes(headers, user, tagging),
                ChecksumAlgorithm(algorithm) if algorithm else None,
                ChecksumType(kind) if kind else None,
            )
        case _:
            raise errors.Corrupt(f"the record of upload {upload_id} is damaged")


async def parts(ctx: Context, bucket: str, upload_id: str) -> Sequence[StagedPart]:
    """The parts by number; of several with one number the latest."""
    latest: dict[int, StagedPart] = {}
    async for stored in internal.scan(ctx, bucket, f"{names.PARTS}{upload_id}/"):
        complete = stored if stored.metadata is not None else await _look(ctx, bucket, stored.key)
        if complete is None:
            continue  # removed since it was listed
        try:
            staged = await _staged(ctx, bucket, complete)
        except errors.Corrupt:
            if await _look(ctx, bucket, stored.key) is None:
                continue  # its side object went with it
            raise
        known = latest.get(staged.info.number)
        if known is None or known.info.modified <= staged.info.modified:
            latest[staged.info.number] = staged
    return [latest[number] for number in sorted(latest)]


async def _look(ctx: Context, bucket: str, key: str) -> Stored | None:
    try:
        return await ctx.backend.head(bucket, key)
    except storage.NoSuchKey:
        return None


async def _staged(ctx: Context, bucket: str, stored: Stored) -> StagedPart:
    number = int(stored.key.rsplit("/", 1)[-1].split(".", 1)[0])
    info = marks.describe(stored, stored.key, await sides.read(ctx, bucket, marks.mark_of(stored)))
    return StagedPart(PartInfo(number, info.size, info.etag, info.modified, info.checksum), stored)


async def part_keys(ctx: Context, bucket: str, upload_id: str, number: int | None = None) -> Sequence[str]:
    """Storage keys of staged parts, all or those with one number."""
    prefix = f"{names.PARTS}{upload_id}/" + (f"{number:05d}." if number is not None else "")
    return [stored.key async for stored in internal.scan(ctx, bucket, prefix)]


async def close(ctx: Context, bucket: str, upload_id: str) -> None:
    """Delete the record of an upload. Its parts are garbage from now on, whoever removes them."""
    await internal.delete(ctx, bucket, names.UPLOADS + upload_id)


async def discard_parts(ctx: Context, bucket: str, upload_id: str) -> None:
    """Delete the parts of an upload whose record is gone."""
    await internal.delete_all(ctx, bucket, await part_keys(ctx, bucket, upload_id))


async def discard(ctx: Context, bucket: str, upload_id: str) -> None:
    """Delete the record of an upload, then its parts."""
    await close(ctx, bucket, upload_id)
    await discard_parts(ctx, bucket, upload_id)


async def upload_keys(ctx: Context, bucket: str) -> Sequence[str]:
    """Storage keys of the records of all open uploads."""
    return [stored.key async for stored in internal.scan(ctx, bucket, names.UPLOADS)]


async def all_uploads(ctx: Context, bucket: str) -> Sequence[UploadInfo]:
    """Open uploads by key, then by time."""
    found = await upload_keys(ctx, bucket)
    limit = asyncio.Semaphore(_PARALLEL)

    async def one(key: str) -> UploadInfo | None:
        async with limit:
            try:
                return await load(ctx, bucket, None, key[len(names.UPLOADS) :])
            except errors.NoSuchUpload:
                return None

    loaded = [info for info in await asyncio.gather(*map(one, found)) if info is not None]
    return sorted(loaded, key=lambda u: (u.key.encode(), u.initiated, u.upload_id))


async def list_uploads(
    ctx: Context, bucket: str, prefix: str, after_key: str, after_upload: str, limit: int, delimiter: str
) -> UploadListing:
    """Uploads after (`after_key`, `after_upload`); without an upload id, after all of that key."""
    passed = False
    entries: list[UploadInfo | str] = []
    for upload in await all_uploads(ctx, bucket):
        if not upload.key.startswith(prefix) or upload.key.encode() < after_key.encode():
            continue
        if upload.key == after_key and not passed:
            passed = bool(after_upload) and upload.upload_id == after_upload
            continue
        cut = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        entry = upload if cut < 0 else upload.key[: cut + len(delimiter)]
        if isinstance(entry, str) and (entry in entries[-1:] or (after_key and after_key.startswith(entry))):
            continue
        if len(entries) == limit:
            return UploadListing(tuple(entries), truncated=True)
        entries.append(entry)
    return UploadListing(tuple(entries), truncated=False)
