"""Multipart uploads: parts are staged, hashed and encoded as they arrive; completing joins what is there.

Completing commits under the condition of what it saw at the key, with an object id that begins with the upload's. So a
key whose id begins so is the success of this upload: repeats are harmless, and a late one cannot undo a newer write.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from deltaglider_proxy.engine import commit, errors, internal, marks, names, references, uploads
from deltaglider_proxy.engine.assembly import Assembly
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.decoder import read_layout
from deltaglider_proxy.engine.get import Getter
from deltaglider_proxy.engine.marks import Mark
from deltaglider_proxy.engine.model import (
    Body,
    Checksum,
    CompletedPart,
    Kind,
    ObjectInfo,
    PartInfo,
    Precondition,
    UploadInfo,
)
from deltaglider_proxy.engine.put import Putter, Target
from deltaglider_proxy.engine.staging import Staging
from deltaglider_proxy.engine.uploads import StagedPart
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Piece, Stored, Writer

_log = structlog.get_logger("deltaglider_proxy.multipart")

MIN_PART = 5 << 20
MAX_PARTS = 10_000

_SHARED = 16
"""Hex digits of an upload id that begin the ids of the objects it makes."""

_MD5 = re.compile(r"[0-9a-f]{32}")

Verify = Callable[[Sequence[PartInfo]], Checksum | None]


def _joined(etags: Sequence[str]) -> str:
    """The ETag of an object whose parts have these."""
    digest = hashlib.md5(b"".join(map(_raw, etags)), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(etags)}"


def _raw(etag: str) -> bytes:
    """The bytes that a part gives to the ETag of the whole. A backend that encrypts, or takes a large part in pieces,
    answers with an ETag that is no MD5.
    """
    return bytes.fromhex(etag) if _MD5.fullmatch(etag) else etag.encode()


class _Refused(Exception):
    """The client's condition does not hold. Wrapped, for NoSuchKey is also what a part that vanished raises."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _AlreadyDone(Exception):
    def __init__(self, info: ObjectInfo) -> None:
        self.info = info


class Multipart:
    def __init__(self, ctx: Context, getter: Getter, putter: Putter) -> None:
        self._ctx = ctx
        self._getter = getter
        self._putter = putter
        self._staging = Staging(ctx)

    async def put_part(self, bucket: str, key: str, upload_id: str, number: int, body: Body) -> PartInfo:
        upload = await uploads.load(self._ctx, bucket, key, upload_id)
        await self._staging.admit(bucket, body.size or 0)
        # Listed before this part is visible, so that of two at once they do not remove each other.
        earlier = await uploads.part_keys(self._ctx, bucket, upload_id, number)
        info = await self._putter.stage(bucket, upload.key, names.part(upload_id, number), body)
        part = PartInfo(number, info.size, info.etag, info.modified, info.checksum)
        await internal.delete_all(self._ctx, bucket, earlier)
        try:
            await uploads.load(self._ctx, bucket, key, upload_id)
        except errors.NoSuchUpload:
            await uploads.discard_parts(self._ctx, bucket, upload_id)
            raise
        return part

    async def complete(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        named: Sequence[CompletedPart],
        precondition: Precondition | None,
        verify: Verify | None,
    ) -> ObjectInfo:
        ctx = self._ctx
        try:
            upload = await uploads.load(ctx, bucket, key, upload_id)
        except errors.NoSuchUpload:
            current = await commit.look(ctx, bucket, names.to_storage(key))
            if current is not None and self._made(current, upload_id, named):
                return current
            raise
        try:
            chosen = self._check(named, await uploads.parts(ctx, bucket, upload_id))
            checksum = verify([part.info for part in chosen]) if verify is not None else None
            info = await self._join(bucket, upload, chosen, checksum, precondition)
        except _AlreadyDone as done:
            info = done.info
        except _Refused as refused:
            raise refused.error from refused
        except (errors.InvalidPart, errors.NoSuchKey, errors.NoSuchUpload, storage.NoSuchKey) as error:
            # Another completion of this upload may have ended meanwhile, and its parts are gone.
            current = await commit.look(ctx, bucket, names.to_storage(key))
            if current is not None and self._made(current, upload_id, named):
                return current
            await uploads.load(ctx, bucket, key, upload_id)
            raise self._explained(error) from error
        await self._forget(bucket, upload_id)
        return info

    async def _forget(self, bucket: str, upload_id: str) -> None:
        """The record goes before the answer, so that a completed upload no longer counts as open; its parts, behind it.
        What cannot be removed now must not turn success into failure.
        """
        ctx = self._ctx
        try:
            await uploads.close(ctx, bucket, upload_id)
        except storage.StorageError as error:
            _log.warning("the record of a completed upload stays for a moment", bucket=bucket, reason=str(error))
            ctx.background.start("completed upload", uploads.discard(ctx, bucket, upload_id))
        else:
            ctx.background.start("staged parts", uploads.discard_parts(ctx, bucket, upload_id))

    def _made(self, current: ObjectInfo, upload_id: str, named: Sequence[CompletedPart]) -> bool:
        """Whether the object is what completing this upload with these parts has made."""
        return self._is_of(current, upload_id) and current.etag == _joined([part.etag for part in named])

    def _check(self, named: Sequence[CompletedPart], staged: Sequence[StagedPart]) -> list[StagedPart]:
        """The staged parts that the client names, if they are there and large enough."""
        known = {part.info.number: part for part in staged}
        chosen: list[StagedPart] = []
        for wanted in named:
            found = known.get(wanted.number)
            if found is None or found.info.etag != wanted.etag:
                raise errors.InvalidPart(wanted.number)
            chosen.append(found)
        for part in chosen[:-1]:
            if part.info.size < MIN_PART:
                raise errors.PartTooSmall(part.info.number, part.info.size)
        total = sum(part.info.size for part in chosen)
        if total > self._ctx.settings.max_object_size:
            raise errors.TooLarge(total, self._ctx.settings.max_object_size)
        return chosen

    async def _join(
        self,
        bucket: str,
        upload: UploadInfo,
        chosen: list[StagedPart],
        checksum: Checksum | None,
        precondition: Precondition | None,
    ) -> ObjectInfo:
        ctx = self._ctx
        total = sum(part.info.size for part in chosen)
        self._putter.admit(bucket, total)
        held = sum(part.stored.size for part in chosen)
        mark = Mark(
            upload.upload_id[:_SHARED] + names.random_id()[_SHARED:],
            Kind.IDENTITY,
            total,
            _joined([part.info.etag for part in chosen]),
            round(ctx.clock.now() * 1000),
            checksum,
            tuple(part.info.size for part in chosen),
        )

        def unless_done(current: ObjectInfo | None) -> None:
            if current is not None and self._is_of(current, upload.upload_id):
                raise _AlreadyDone(current)
            if precondition is not None:
                try:
                    precondition(current)
                except Exception as error:
                    raise _Refused(error) from error

        target = Target(bucket, names.to_storage(upload.key), upload.attributes, unless_done, mark.object_id)
        encoded = any(self._is_encoded(part) for part in chosen)
        if not encoded:
            stored = await self._concatenate(target, mark, chosen)
        elif held < ctx.settings.max_ratio(bucket) * total:
            try:
                permit = await self._permit(bucket, chosen)
                stored = await self._assemble(target, replace(mark, kind=Kind.DELTA), chosen, permit)
                mark = replace(mark, kind=Kind.DELTA)
            except references.Condemned:
                stored = await self._decode(target, mark, chosen)
        else:
            stored = await self._decode(target, mark, chosen)
        ctx.events.decision(mark.kind, total, stored.size)
        if mark.kind is Kind.IDENTITY and ctx.settings.policy(bucket).compression:
            ctx.background.start("first hint", self._remember(target, upload.key, stored))
        return replace(marks.describe(stored, upload.key), checksum=checksum, part_sizes=mark.part_sizes)

    @staticmethod
    def _explained(error: Exception) -> Exception:
        if isinstance(error, errors.InvalidPart | errors.NoSuchUpload):
            return error
        return errors.NoSuchUpload("a part vanished while the upload was completed")

    @staticmethod
    def _is_encoded(part: StagedPart) -> bool:
        return marks.describe(part.stored, "").kind is Kind.DELTA

    @staticmethod
    def _is_of(info: ObjectInfo, upload_id: str) -> bool:
        return info.object_id.startswith(upload_id[:_SHARED])

    async def _remember(self, target: Target, key: str, stored: Stored) -> None:
        choice = await references.choose(self._ctx, target.bucket, key)
        self._putter.remember_first(target, choice, stored)

    async def _permit(self, bucket: str, chosen: list[StagedPart]) -> references.Permit:
        """For the references of all encoded parts. Raises references.Condemned."""
        named: set[str] = set()
        for part in chosen:
            if self._is_encoded(part):
                reader = await self._ctx.backend.open(bucket, part.stored.key)
                try:
                    layout = await read_layout(self._ctx, reader)
                finally:
                    await reader.close()
                named.update(r.name for r in layout.index.references)
        return await references.Permit.ask(self._ctx, bucket, named)

    async def _concatenate(self, target: Target, mark: Mark, chosen: list[StagedPart]) -> Stored:
        pieces = [Piece(part.stored.key, 0, part.stored.size) for part in chosen]
        return await self._putter.compose(target, mark, pieces)

    async def _assemble(
        self, target: Target, mark: Mark, chosen: list[StagedPart], permit: references.Permit
    ) -> Stored:
        async def fill(writer: Writer) -> None:
            assembly = Assembly(writer, target.object_id)
            await assembly.begin()
            for part in chosen:
                reader = await self._ctx.backend.open(target.bucket, part.stored.key)
                try:
                    if self._is_encoded(part):
                        await assembly.add_container(reader, await read_layout(self._ctx, reader))
                    else:
                        await assembly.add_plain(reader)
                finally:
                    await reader.close()
            await assembly.finish()

        return await self._putter.write(target, mark, None, fill, permit)

    async def _decode(self, target: Target, mark: Mark, chosen: list[StagedPart]) -> Stored:
        async def fill(writer: Writer) -> None:
            for part in chosen:
                opened = await self._getter.open_stored(target.bucket, part.stored.key)
                try:
                    async for chunk in opened.stream(0, part.info.size):
                        await writer.write(chunk)
                finally:
                    await opened.close()

        return await self._putter.write(target, mark, mark.size, fill)
