"""Objects made of others, by the service itself where it can.

A pinned single piece is a copy and keeps the form of an object that was put whole. Pieces without a pin are parts that
a client uploaded: each becomes a part again, so that the ETag is the one that the client computes, unless they are too
small for the service; then their bytes are read and sent again, together with their neighbours'. Either way it is an
ETag of parts, so that listings can tell that the client may know another.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deltaglider_proxy.storage.backend import Condition, IfMatch, Metadata, Piece, Stored
from deltaglider_proxy.storage.backends.s3 import documents, uploads, writer
from deltaglider_proxy.storage.backends.s3.answers import hidden_error
from deltaglider_proxy.storage.backends.s3.client import Call
from deltaglider_proxy.storage.backends.s3.metadata import to_headers
from deltaglider_proxy.storage.backends.s3.reader import open_object
from deltaglider_proxy.storage.backends.s3.service import Service, made
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict
from deltaglider_proxy.storage.errors import Changed, ConditionFailed, Uncertain

_PARALLEL: Final = 16
_SLOWEST_COPY: Final = 20 << 20
"""Bytes per second that a service is given time for."""


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of one generation, never none."""

    source: Stored
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        return self.size == self.source.size


Part = tuple[Range, ...]
"""What becomes one part: a single range can be copied, several have to be read."""


def plan(
    ranges: Sequence[Range], smallest: int = uploads.SMALLEST_PART, largest: int = uploads.LARGEST_COPY
) -> list[Part]:
    """How ranges become parts: each by itself where it is long enough, or the last; else joined with what follows.

    All parts but the last have at least `smallest` bytes. A joined part takes no more of a long range than it needs if
    the rest is long enough to be copied.
    """
    parts: list[Part] = []
    waiting: list[Range] = []
    pending = [piece for whole in ranges for piece in _split(whole, largest)]
    for number, item in enumerate(pending):
        last = number == len(pending) - 1
        rest: Range | None = item
        if waiting:
            lack = smallest - sum(each.size for each in waiting)
            spare = item.size - lack
            if spare >= smallest or (last and spare > 0):
                waiting.append(Range(item.source, item.start, item.start + lack))
                rest = Range(item.source, item.start + lack, item.stop)
            else:
                waiting.append(item)
                rest = None
            if sum(each.size for each in waiting) >= smallest:
                parts.append(tuple(waiting))
                waiting = []
        if rest is not None:
            if rest.size >= smallest or last:
                parts.append((rest,))
            else:
                waiting.append(rest)
    if waiting:
        parts.append(tuple(waiting))
    return parts


def _split(whole: Range, largest: int) -> list[Range]:
    starts = range(whole.start, whole.stop, largest)
    return [Range(whole.source, start, min(start + largest, whole.stop)) for start in starts]


async def compose(
    service: Service,
    bucket: str,
    key: str,
    pieces: Sequence[Piece],
    metadata: Metadata,
    condition: Condition,
    pin: IfMatch | None,
) -> Stored:
    """Raises NoSuchKey, Changed, and what a commit raises."""
    headers = to_headers(metadata, service.verdicts)
    await service.require(bucket)
    ranges = await _ranges(service, bucket, pieces, pin)
    size = sum(each.size for each in ranges)
    if len(ranges) == 1 and pin is not None and _copies_whole(service, ranges[0], condition):
        return await _copy(service, bucket, key, ranges[0].source, headers, metadata, condition)
    parts = plan(ranges)
    if size <= writer.BUFFER and (pin is not None or not ranges):
        data = b"".join([await _read(service, bucket, each) for each in ranges])
        return await writer.put(service, bucket, key, data, metadata, condition)
    if service.verdicts.part_copy is not Verdict.WORKS or len(parts) > uploads.MOST_PARTS:
        return await _rewrite(service, bucket, key, parts, metadata, condition, in_parts=pin is None)
    upload = await uploads.begin(service, bucket, key, metadata)
    try:
        for part in parts:
            if len(part) == 1:
                await upload.copied_part(part[0].source, part[0].start, part[0].stop)
            else:
                await upload.part(b"".join([await _read(service, bucket, each) for each in part]))
        return await upload.complete(condition)
    except BaseException:
        await upload.abort()
        raise


async def _ranges(service: Service, bucket: str, pieces: Sequence[Piece], pin: IfMatch | None) -> list[Range]:
    limit = asyncio.Semaphore(_PARALLEL)

    async def look(key: str) -> Stored:
        async with limit:
            return await service.head(bucket, key)

    names = list(dict.fromkeys(piece.key for piece in pieces))
    sources = dict(zip(names, await asyncio.gather(*map(look, names)), strict=True))
    if pin is not None and sources[pieces[0].key].etag != pin.etag:
        raise Changed(pieces[0].key)
    for piece in pieces:
        if not 0 <= piece.start <= piece.stop <= sources[piece.key].size:
            raise Changed(f"{piece.key!r} has {sources[piece.key].size} bytes, wanted {piece.start} to {piece.stop}")
    return [Range(sources[piece.key], piece.start, piece.stop) for piece in pieces if piece.stop > piece.start]


def _copies_whole(service: Service, only: Range, condition: Condition) -> bool:
    """CopyObject knows no condition on its target, so under one the service's own conditions are preferred."""
    verdicts = service.verdicts
    if verdicts.copy is not Verdict.WORKS or not only.whole or only.size > uploads.LARGEST_COPY:
        return False
    if condition is None:
        return True
    if only.size <= writer.BUFFER:
        return False
    return not (verdicts.part_copy is Verdict.WORKS and verdicts.complete_honours(condition))


async def _copy(
    service: Service,
    bucket: str,
    key: str,
    source: Stored,
    headers: Mapping[str, str],
    metadata: Metadata,
    condition: Condition,
) -> Stored:
    beside = {**headers, **uploads.source_headers(bucket, source), "x-amz-metadata-directive": "REPLACE"}
    deadline = service.client.settings.deadline + source.size / _SLOWEST_COPY

    async def change(_: Mapping[str, str]) -> Stored:
        call = Call("PUT", bucket, key, headers=beside)
        try:
            answer = await service.client.change(call, deadline=deadline)
        except ConditionFailed as error:
            raise Changed(source.key) from error
        hidden = hidden_error(answer, call.subject, mutation=True)
        if hidden is not None:
            raise hidden
        try:
            root = documents.parse(answer.body)
            etag = documents.etag(documents.required(root, "ETag"))
        except documents.Malformed as malformed:
            raise Uncertain(f"{call.subject}: {malformed}") from malformed
        return made(answer, key, source.size, etag, metadata)

    return await service.visibly(bucket, key, condition, change, honoured=False)


async def _read(service: Service, bucket: str, piece: Range) -> bytes:
    return b"".join([data async for data in _chunks(service, bucket, piece)])


async def _chunks(service: Service, bucket: str, piece: Range) -> AsyncIterator[bytes]:
    reader = await open_object(service, bucket, piece.source.key)
    try:
        if reader.stored.etag != piece.source.etag:
            raise Changed(piece.source.key)
        async for data in reader.chunks(piece.start, piece.stop):
            yield data
    finally:
        await reader.close()


async def _rewrite(
    service: Service,
    bucket: str,
    key: str,
    parts: Sequence[Part],
    metadata: Metadata,
    condition: Condition,
    *,
    in_parts: bool,
) -> Stored:
    """Through this process; it has other parts than what it is made of, and an ETag that no client computes."""
    size = sum(each.size for part in parts for each in part)
    target = writer.S3Writer(service, bucket, key, metadata, size, conditional=condition is not None, in_parts=in_parts)
    try:
        for part in parts:
            for each in part:
                async for data in _chunks(service, bucket, each):
                    await target.write(data)
        return await target.commit(condition)
    finally:
        await target.abort()
