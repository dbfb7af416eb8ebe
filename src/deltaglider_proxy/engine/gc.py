"""Garbage collection: mark and sweep over a real bucket, never on DELETE.

A collection lists references and markers first and then looks at everything that can name them. What nothing names is
condemned: a marker is put beside it, which no writer may choose any more. Only a later, second full look that began
after the grace period removes it, then its markers. A marker is never taken back: what is named again stays, but new
writers choose or make another.

Grace is counted per host on the clock of its boot. Markers of another boot count for nothing, so no two machines'
clocks are ever compared, and a restart of the host begins anew.
"""

from dataclasses import dataclass, field

import orjson
import structlog

from deltaglider_proxy.engine import commit, internal, marks, names, references, tags, uploads
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.decoder import read_layout
from deltaglider_proxy.engine.legacy import resolve as legacy
from deltaglider_proxy.engine.model import Kind, ObjectInfo
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Stored
from deltaglider_proxy.telemetry.clock import BootTime

_log = structlog.get_logger("deltaglider_proxy.gc")

_COLLECTED = (names.REFERENCES, names.SIDES, names.TAGS)


@dataclass(slots=True)
class Report:
    """What one collection of one bucket did."""

    objects: int = 0
    condemned: int = 0
    removed: int = 0
    removed_bytes: int = 0
    expired_uploads: int = 0


@dataclass(slots=True)
class _Things:
    """Internal objects that live as long as something names them, and their markers."""

    things: dict[str, Stored] = field(default_factory=dict)
    markers: dict[str, list[str]] = field(default_factory=dict)


class Collector:
    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def collect(self, bucket: str, *, quiescent: bool = False) -> Report:
        """One look. `quiescent`: nobody writes to the bucket, so what nothing names is removed at once."""
        ctx = self._ctx
        report = Report()
        report.expired_uploads = await self.expire_uploads(bucket)
        began = ctx.clock.since_boot()
        found = await self._things(bucket)
        named = await self._named(bucket, report)
        for name, stored in found.things.items():
            own = found.markers.get(name, [])
            if self._owner(name) in named:
                continue
            if quiescent or await self._is_due(bucket, own, began):
                await internal.delete(ctx, bucket, name)
                for marker in own:
                    await internal.delete(ctx, bucket, marker)
                report.removed += 1
                report.removed_bytes += stored.size
            elif not await self._counts(bucket, own, began):
                await self._condemn(bucket, name)
                report.condemned += 1
        for name, own in found.markers.items():
            if name not in found.things:
                for marker in own:
                    await internal.delete(ctx, bucket, marker)
        await self._look_at_hints(bucket)
        return report

    async def _condemn(self, bucket: str, name: str) -> None:
        """Put a marker beside `name`. Each attempt has its own time, from which its marker may count."""
        ctx = self._ctx
        for attempt in range(internal.ATTEMPTS):
            now = ctx.clock.since_boot()
            body = orjson.dumps({"boot": now.boot, "at": now.seconds})
            try:
                await internal.put(ctx, bucket, names.condemned(name), body, attempts=1)
                return
            except storage.Uncertain:
                if attempt == internal.ATTEMPTS - 1:
                    raise

    async def _look_at_hints(self, bucket: str) -> None:
        """Forget first objects that are gone or have become something else, which costs nothing; end promotions that
        were interrupted between the reference and the rewriting.
        """
        async for stored in internal.scan(self._ctx, bucket, names.FIRSTS):
            deltaspace = stored.key[len(names.FIRSTS) :]
            hint = await references.read_hint(self._ctx, bucket, deltaspace)
            current = await commit.look(self._ctx, bucket, hint.key) if hint is not None else None
            if hint is None or current is None or current.generation != hint.generation:
                await internal.delete(self._ctx, bucket, stored.key)
            elif (promotion := await references.interrupted(self._ctx, bucket, deltaspace, hint)) is not None:
                await references.rewrite_first(self._ctx, bucket, promotion)

    @staticmethod
    def _owner(name: str) -> str:
        """Facts live as long as their reference."""
        return name.removesuffix(names.FACTS_SUFFIX)

    async def _things(self, bucket: str) -> _Things:
        found = _Things()
        for prefix in _COLLECTED:
            async for stored in internal.scan(self._ctx, bucket, prefix):
                target = names.condemned_target(stored.key)
                if target is None:
                    found.things[stored.key] = stored
                else:
                    found.markers.setdefault(target, []).append(stored.key)
        return found

    async def _named(self, bucket: str, report: Report) -> set[str]:
        """Storage keys of everything that some object needs: client objects, staged parts, whatever holds a mark."""
        named: set[str] = set()
        async for stored in internal.scan(self._ctx, bucket, ""):
            if stored.key.startswith(_COLLECTED):
                continue
            report.objects += 1
            named |= await self._named_by(bucket, stored)
        return named

    async def _named_by(self, bucket: str, stored: Stored) -> set[str]:
        ctx = self._ctx
        try:
            if stored.metadata is None:
                stored = await ctx.backend.head(bucket, stored.key)
            mark = marks.mark_of(stored)
            named: set[str] = set()
            info = await self._as_seen(bucket, stored)
            if info is not None:
                named.add(tags.place(info))
            if mark is None:
                return named
            if mark.side is not None:
                named.add(marks.side_key(mark.side))
            if mark.kind is Kind.DELTA:
                named |= await self._references_of(bucket, stored.key)
            return named
        except storage.NoSuchKey:
            return set()

    async def _as_seen(self, bucket: str, stored: Stored) -> ObjectInfo | None:
        """The client's view, for its tags; None if it is nothing of a client's."""
        key = names.to_client(stored.key)
        if key is None:
            return None
        if not self._ctx.settings.policy(bucket).legacy:
            return marks.describe(stored, key)
        found = await legacy.look(self._ctx, bucket, stored.key)
        return found.describe() if found is not None and found.key is not None else None

    async def _references_of(self, bucket: str, key: str) -> set[str]:
        reader = await self._ctx.backend.open(bucket, key)
        try:
            mark = marks.mark_of(reader.stored)
            if mark is None or mark.kind is not Kind.DELTA:
                return set()  # overwritten since it was listed
            layout = await read_layout(self._ctx, reader)
            return {names.INTERNAL + r.name for r in layout.index.references}
        finally:
            await reader.close()

    async def _is_due(self, bucket: str, markers: list[str], now: BootTime) -> bool:
        ages = [await self._age(bucket, marker, now) for marker in markers]
        counting = [age for age in ages if age is not None]
        return bool(counting) and max(counting) >= self._ctx.settings.gc_grace

    async def _counts(self, bucket: str, markers: list[str], now: BootTime) -> bool:
        """Whether a marker of this boot stands already."""
        return any([await self._age(bucket, marker, now) is not None for marker in markers])

    async def _age(self, bucket: str, marker: str, now: BootTime) -> float | None:
        """Seconds since the marker was put; None if that was in another boot."""
        try:
            document = orjson.loads(await internal.read(self._ctx, bucket, marker))
        except storage.NoSuchKey:
            return None
        return now.seconds - float(document["at"]) if document["boot"] == now.boot else None

    async def expire_uploads(self, bucket: str) -> int:
        """Forget uploads that nobody has touched for too long, and parts whose upload is gone."""
        ctx = self._ctx
        expired = 0
        oldest = ctx.clock.now() - ctx.settings.upload_idle_ttl
        known = {}
        for upload in await uploads.all_uploads(ctx, bucket):
            staged = await uploads.parts(ctx, bucket, upload.upload_id)
            known[upload.upload_id] = max([upload.initiated, *(part.info.modified for part in staged)])
        for upload_id, touched in known.items():
            if touched < oldest:
                await uploads.discard(ctx, bucket, upload_id)
                expired += 1
        orphans = set()
        async for stored in internal.scan(self._ctx, bucket, names.PARTS):
            upload_id = stored.key[len(names.PARTS) :].split("/", 1)[0]
            if upload_id not in known and stored.modified < oldest:
                orphans.add(upload_id)
        for upload_id in orphans:
            await uploads.discard_parts(ctx, bucket, upload_id)
        return expired
