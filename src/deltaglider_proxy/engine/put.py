"""Storing an object: decide before the body flows, then stream it through, or encode it while it arrives.

A body without a candidate goes straight to the backend. One that resembles a reference is spooled and encoded beside;
the smaller way of storing it is committed. Nothing is visible before every digest and signature was verified.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from deltaglider_proxy.codecs import anchors, frames
from deltaglider_proxy.codecs.container import Reference
from deltaglider_proxy.engine import commit, errors, internal, marks, names, references, tags
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.encoder import Encoder
from deltaglider_proxy.engine.intake import Intake
from deltaglider_proxy.engine.marks import Mark
from deltaglider_proxy.engine.model import Attributes, Body, Kind, ObjectInfo, Precondition
from deltaglider_proxy.engine.quota import Quotas
from deltaglider_proxy.engine.reference_cache import OpenReference, ReferenceCache
from deltaglider_proxy.engine.references import Choice
from deltaglider_proxy.engine.spool import Spool, SpoolFile
from deltaglider_proxy.engine.tags import Tagged
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import ANY_SIZE, Condition, IfMatch, Metadata, Piece, Stored, Writer

_log = structlog.get_logger("deltaglider_proxy.put")

_SPOOL_GUESS = 1 << 30
"""Bytes of spool that an upload of unknown size reserves."""

_WORTH_A_HINT = 32 << 10
"""Smaller first objects are not remembered: the hint would cost as much as the object."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reference that the body seems to resemble, and the choice that showed it."""

    reference: Reference
    choice: Choice

    def permit(self, ctx: Context, bucket: str) -> references.Permit:
        return references.Permit(ctx, bucket, {self.reference.name}, self.choice.stamp)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes and what is written beside it."""

    bucket: str
    storage_key: str
    attributes: Attributes
    precondition: Precondition | None
    object_id: str


class Putter:
    """Everything that turns bodies into objects."""

    def __init__(self, ctx: Context, cache: ReferenceCache, spool: Spool, quotas: Quotas, tagged: Tagged) -> None:
        self._ctx = ctx
        self._cache = cache
        self._spool = spool
        self._quotas = quotas
        self._tagged = tagged
        self._promoting: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._hinting: WeakValueDictionary[tuple[str, str], asyncio.Task[None]] = WeakValueDictionary()
        """Hints that are being written, so that an upload right behind the first one need not miss it."""

    async def put(
        self, bucket: str, key: str, body: Body, attributes: Attributes, precondition: Precondition | None
    ) -> ObjectInfo:
        target = Target(bucket, names.to_storage(key), attributes, precondition, names.random_id())
        self.admit(bucket, body.size)
        if precondition is not None:
            precondition(await commit.look(self._ctx, bucket, target.storage_key))
        return await self._take(target, key, body)

    def admit(self, bucket: str, size: int | None) -> None:
        """Raises QuotaExceeded for what can never fit."""
        self._quotas.admit(bucket, size)

    async def stage(self, bucket: str, key: str, place: str, body: Body) -> ObjectInfo:
        """Store a part of an upload of `key` at the internal `place`, encoded like the object it will belong to."""
        return await self._take(Target(bucket, place, Attributes(), None, names.random_id()), key, body)

    async def _take(self, target: Target, key: str, body: Body) -> ObjectInfo:
        ctx = self._ctx
        limit = ctx.settings.max_object_size
        if body.size is not None and body.size > limit:
            raise errors.TooLarge(body.size, limit)
        intake = Intake(body, limit, ctx.pool)
        head, whole = await intake.head(references.SKETCH)
        choice, candidate = await self.candidate(target.bucket, key, head, whole=whole)
        alone = candidate is None and await self._compresses_alone(choice, head)
        room = 2 * (body.size if body.size is not None else _SPOOL_GUESS)
        if (candidate is not None or alone) and ctx.spooled.reserve(room):
            try:
                opened = await self._opened(target.bucket, candidate) if candidate is not None else None
                if opened is not None or alone:
                    return await self._encode(target, body, intake, candidate, opened)
            finally:
                ctx.spooled.release(room)
        info, stored = await self._pass_through(target, body, intake, len(head) if whole else body.size)
        self.remember_first(target, choice, stored)
        return info

    async def candidate(
        self, bucket: str, key: str, head: bytes | bytearray, *, whole: bool
    ) -> tuple[Choice | None, Candidate | None]:
        """What the start of a body resembles. No choice at all: nothing is to be remembered about it either."""
        ctx = self._ctx
        if not ctx.settings.policy(bucket).compression or (whole and len(head) <= references.TOO_SMALL):
            return None, None
        choice = await references.choose(ctx, bucket, key)
        if not ctx.backend.capabilities(bucket).permanent:
            return None, None
        small = whole and len(head) <= references.ALWAYS_TRIED
        found = await self._resembling(bucket, choice, head)
        if found is not None or len(choice.references) >= references.MAX_REFERENCES:
            return choice, found or self._to_try(choice, small=small)
        async with self._promoting.setdefault((bucket, choice.deltaspace), asyncio.Lock()):
            again = await references.choose(ctx, bucket, key)
            if len(again.references) > len(choice.references):
                found = await self._resembling(bucket, again, head)
            found = found or await self._promote(bucket, key, again, head, tried=small and not again.references)
            return again, found or self._to_try(again, small=small)

    async def _compresses_alone(self, choice: Choice | None, head: bytes | bytearray) -> bool:
        """Whether a body that has no candidate is worth compressing. While its deltaspace may have more references it
        is not: as it is, it can become one.
        """
        if choice is None or len(choice.references) < references.MAX_REFERENCES:
            return False
        return await self._ctx.codec_pool.run(frames.compresses, head)

    async def _resembling(self, bucket: str, choice: Choice, head: bytes | bytearray) -> Candidate | None:
        reference = await references.best(self._ctx, self._cache, bucket, choice, head)
        return Candidate(reference, choice) if reference is not None else None

    @staticmethod
    def _to_try(choice: Choice, *, small: bool) -> Candidate | None:
        """Whether a small body gains from a reference that it does not seem to resemble is found out by encoding it."""
        return Candidate(choice.references[0], choice) if small and choice.references else None

    async def _promote(
        self, bucket: str, key: str, choice: Choice, head: bytes | bytearray, *, tried: bool
    ) -> Candidate | None:
        """Make the first object of the deltaspace a reference, if the body resembles it."""
        ctx = self._ctx
        if (hinting := self._hinting.get((bucket, choice.deltaspace))) is not None:
            await asyncio.wait([hinting])
        hint = await references.read_hint(ctx, bucket, choice.deltaspace)
        if hint is None or hint.key == names.to_storage(key):
            return None
        wanted = (await ctx.pool.run(anchors.find, head)).fingerprints
        if not references.fits_hint(hint, wanted, tried=tried):
            return None
        try:
            promotion = await references.make_reference(ctx, bucket, choice, hint)
        except (storage.Uncertain, storage.Unavailable, storage.DiskFull) as error:
            # Compression is lost, the upload is not; what was half made is garbage.
            _log.warning("no reference was made", bucket=bucket, reason=str(error))
            return None
        if promotion is None:
            return None
        ctx.background.start("promotion", references.rewrite_first(ctx, bucket, promotion))
        return Candidate(promotion.reference, promotion.choice)

    def remember_first(self, target: Target, choice: Choice | None, stored: Stored) -> None:
        """Let a later object find this one, behind the acknowledgement."""
        if choice is None or len(choice.references) >= references.MAX_REFERENCES or stored.size < _WORTH_A_HINT:
            return
        if names.to_client(target.storage_key) is not None:
            work = references.write_hint(self._ctx, target.bucket, choice.deltaspace, stored, target.object_id)
            self._hinting[target.bucket, choice.deltaspace] = self._ctx.background.watch("first hint", work)

    async def _pass_through(
        self, target: Target, body: Body, intake: Intake, size: int | None
    ) -> tuple[ObjectInfo, Stored]:
        """`size`: of the body, where it is known before its end."""
        ctx = self._ctx
        most = ctx.backend.capabilities(target.bucket).late_metadata
        late = (size if size is not None else ANY_SIZE) <= most
        began = ctx.clock.monotonic()
        begun = {} if late else await self._early_metadata(target, body)
        writer = await self._begin(target, begun, body.size)
        try:
            await intake.drain(writer.write)
            self._check_passthrough(intake.size)
            mark = self.mark(target, Kind.IDENTITY, body, intake)
            metadata: Metadata | None = None
            if late:
                began = ctx.clock.monotonic()
                metadata = await self.metadata(target, mark)
            elif body.trailing:
                await self._keep_promise(target, begun, mark)
            await self.tag(target)
            until = self._good_until(target, begun if metadata is None else metadata, began)
            async with self._quotas.growing(target.bucket, target.storage_key, intake.size):
                stored = await self._commit(writer, target, metadata, until)
        finally:
            await writer.abort()
        return self._told(stored, target, mark), stored

    async def _early_metadata(self, target: Target, body: Body) -> Metadata:
        """What can be said of a body that is still to come; what cannot, a side object will say."""
        mark = Mark(target.object_id, Kind.IDENTITY, checksum=body.claimed)
        if names.to_client(target.storage_key) is None:
            # Of two parts with one number the later counts, and a service may tell times by the second.
            mark = replace(mark, modified_ms=round(self._ctx.clock.now() * 1000))
        if not body.trailing:
            return await self.metadata(target, mark)
        limit = self._ctx.backend.capabilities(target.bucket).max_metadata
        return marks.promise(target.attributes, replace(mark, side=names.random_id()), limit)

    async def _keep_promise(self, target: Target, begun: Metadata, mark: Mark) -> None:
        document = marks.side_document(target.attributes, mark)
        await internal.put(self._ctx, target.bucket, marks.side_of(begun), document)

    async def _opened(self, bucket: str, candidate: Candidate) -> OpenReference | None:
        try:
            return await self._cache.open(bucket, candidate.reference)
        except errors.Corrupt as error:
            _log.warning("a reference cannot be used", reference=candidate.reference.name, reason=str(error))
            return None

    async def _encode(
        self, target: Target, body: Body, intake: Intake, candidate: Candidate | None, opened: OpenReference | None
    ) -> ObjectInfo:
        """Against the candidate, or without one."""
        ctx = self._ctx
        used = (candidate.reference, opened) if candidate is not None and opened is not None else None
        ratio = ctx.settings.max_ratio(target.bucket)
        most = ratio * body.size if body.size is not None else None
        async with (
            opened or nullcontext(),
            Encoder(ctx, self._spool, target.object_id, used, most) as encoder,
        ):
            await intake.drain(encoder.write)
            delta = self.mark(target, Kind.DELTA, body, intake)
            whole = await encoder.finish()
            if opened is not None:
                ctx.events.reference_used(hit=opened.hit)
            if whole and encoder.container.size < ratio * encoder.plain.size:
                permit = candidate.permit(ctx, target.bucket) if candidate is not None else None
                try:
                    stored = await self.store(target, encoder.container, delta, permit)
                    return self._told(stored, target, delta)
                except references.Condemned as error:
                    _log.info("storing an object as it is", reason=f"its reference is condemned: {error}")
            self._check_passthrough(intake.size)
            identity = replace(delta, kind=Kind.IDENTITY)
            stored = await self.store(target, encoder.plain, identity)
        self.remember_first(target, candidate.choice if candidate is not None else None, stored)
        return self._told(stored, target, identity)

    async def store(
        self, target: Target, content: SpoolFile, mark: Mark, permit: references.Permit | None = None
    ) -> Stored:
        return await self.write(target, mark, content.size, lambda w: content.copy_to(w, self._ctx.pool), permit)

    async def write(
        self,
        target: Target,
        mark: Mark,
        size: int | None,
        fill: Callable[[Writer], Awaitable[None]],
        permit: references.Permit | None = None,
    ) -> Stored:
        """Commit an object whose mark is known before its bytes, which `fill` writes.

        A container needs a `permit` for the references that it names; raises Condemned if that ends before the commit.
        """
        began = self._ctx.clock.monotonic()
        metadata = await self.metadata(target, mark)
        await self.tag(target)
        writer = await self._begin(target, metadata, size)
        try:
            await fill(writer)
            until = self._good_until(target, metadata, began)
            async with self._quotas.growing(target.bucket, target.storage_key, mark.size or 0):
                return await self._commit(writer, target, None, until, permit)
        finally:
            await writer.abort()

    async def _begin(self, target: Target, metadata: Metadata, size: int | None) -> Writer:
        conditional = target.precondition is not None
        return await self._ctx.backend.write(target.bucket, target.storage_key, metadata, size, conditional=conditional)

    async def compose(self, target: Target, mark: Mark, pieces: Sequence[Piece], pin: IfMatch | None = None) -> Stored:
        """Commit an object that is made of others' bytes. Raises storage.Changed, storage.NoSuchKey."""
        ctx = self._ctx
        bucket, key = target.bucket, target.storage_key
        metadata = await self.metadata(target, mark)
        await self.tag(target)

        def change(condition: Condition) -> Awaitable[Stored]:
            return ctx.backend.compose(bucket, key, pieces, metadata, condition, pin)

        async with self._quotas.growing(bucket, key, mark.size or 0):
            try:
                return await commit.conditionally(ctx, bucket, key, target.precondition, change)
            except storage.Uncertain as error:
                return await commit.mine(ctx, bucket, key, target.object_id, error)

    async def _commit(
        self,
        writer: Writer,
        target: Target,
        metadata: Metadata | None,
        until: float,
        permit: references.Permit | None = None,
    ) -> Stored:
        """`until`: monotonic clock, the end of the time in which the object may become visible."""
        ctx = self._ctx

        async def check() -> None:
            if ctx.clock.monotonic() >= until:
                raise errors.Unavailable("the upload took longer than half of advanced.gc_grace; try it again")
            if permit is not None:
                await permit.check()

        key, object_id = target.storage_key, target.object_id
        return await commit.commit(ctx, writer, target.bucket, key, object_id, target.precondition, metadata, check)

    def _good_until(self, target: Target, metadata: Metadata, began: float) -> float:
        """Until an object names its side object and tags, collection takes them for garbage; both were written after
        `began`.
        """
        if not target.attributes.tags and not marks.has_side(metadata):
            return math.inf
        return began + self._ctx.settings.gc_grace / 2

    def mark(self, target: Target, kind: Kind, body: Body, intake: Intake) -> Mark:
        """The mark of a body that has arrived; raises what the body's own verification raises."""
        digests = intake.digests.results()
        checksum = body.verify(digests, intake.size)
        now = round(self._ctx.clock.now() * 1000)
        return Mark(target.object_id, kind, intake.size, digests["md5"].hex(), now, checksum)

    async def tag(self, target: Target) -> None:
        """Write the tags of an object that is about to be committed."""
        if target.attributes.tags:
            await self._tagged.write(target.bucket, tags.place_of(target.object_id), target.attributes.tags)

    async def metadata(self, target: Target, mark: Mark) -> Metadata:
        """What to store beside the bytes; what does not fit there is written to a side object first."""
        capabilities = self._ctx.backend.capabilities(target.bucket)
        of_client = names.to_client(target.storage_key) is not None
        if mark.kind is Kind.IDENTITY and of_client and not capabilities.listing_has_metadata:
            # A listing shows what the backend says of the bytes, so HEAD must say no more. The ETag of parts is kept.
            mark = replace(mark, size=None, modified_ms=None, etag=mark.etag if mark.part_sizes else None)
        side = names.random_id()
        metadata, overflow = marks.pack(target.attributes, replace(mark, side=side), capabilities.max_metadata)
        if overflow is not None:
            await internal.put(self._ctx, target.bucket, marks.side_key(side), overflow)
        return metadata

    def _check_passthrough(self, size: int) -> None:
        limit = self._ctx.settings.max_passthrough_object_size
        if limit is not None and size > limit:
            raise errors.TooLarge(size, limit)

    def _told(self, stored: Stored, target: Target, mark: Mark) -> ObjectInfo:
        self._ctx.events.decision(mark.kind, mark.size or 0, stored.size)
        info = marks.describe(stored, names.to_client(target.storage_key) or "")
        return replace(info, checksum=mark.checksum, part_sizes=mark.part_sizes)
