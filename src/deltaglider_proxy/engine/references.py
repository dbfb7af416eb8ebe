"""Choosing a reference, and making one.

To choose is to list a deltaspace on the backend: the answer shows references and the markers of garbage collection
together, so what a choice returns is sure to live for half the grace period from before the listing. A commit looks at
that age directly before it; see `Permit`.

The first object of a deltaspace is stored as it is, and a hint names it. When a second one resembles it, its bytes are
copied to a reference; as soon as that is durable the first object becomes an empty container on it, if it is still what
was copied. Hints are only hints: without them compression suffers, nothing else.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import orjson
import structlog

from deltaglider_proxy.codecs import anchors, container
from deltaglider_proxy.codecs.anchors import Fingerprints
from deltaglider_proxy.codecs.container import Reference
from deltaglider_proxy.engine import internal, marks, names, reference_facts
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.errors import Corrupt
from deltaglider_proxy.engine.family import deltaspace_of
from deltaglider_proxy.engine.model import Kind
from deltaglider_proxy.engine.reference_cache import ReferenceCache, build_facts
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import IfMatch, Piece, Reader, Stored

_log = structlog.get_logger("deltaglider_proxy.references")

TOO_SMALL = 4096
"""Objects up to this size gain nothing: a file takes that much room, and a container alone 667 bytes."""

SKETCH = 1 << 20
"""Bytes at the start of a body that decide whether a delta is tried."""

MAX_REFERENCES = 4
"""Per deltaspace; beyond it new objects that do not fit are stored as they are."""

ALWAYS_TRIED = 256 << 10
"""Objects up to this size are encoded to find out: that is as cheap as a sketch."""

_MIN_SHARE = 0.01
_MAX_HINT = 4096


@dataclass(frozen=True, slots=True)
class Choice:
    """What one listing of a deltaspace showed."""

    deltaspace: str
    references: tuple[Reference, ...]
    """Unmarked ones, the newest first."""
    stamp: float
    """Monotonic clock from before the listing was sent."""


@dataclass(frozen=True, slots=True)
class Hint:
    """The first object of a deltaspace, and fingerprints from all over it."""

    key: str
    object_id: str
    generation: str
    size: int
    prints: Fingerprints


@dataclass(frozen=True, slots=True)
class Promotion:
    """A reference made of an object that shall now become a container on it."""

    hint: Hint
    reference: Reference
    choice: Choice


async def choose(ctx: Context, bucket: str, key: str) -> Choice:
    policy = ctx.settings.policy(bucket)
    return await choose_in(ctx, bucket, deltaspace_of(key, by_prefix=policy.by_prefix))


async def choose_in(ctx: Context, bucket: str, deltaspace: str) -> Choice:
    stamp = ctx.clock.monotonic()
    found = [stored async for stored in internal.scan(ctx, bucket, f"{names.REFERENCES}{deltaspace}/")]
    condemned = {names.condemned_target(s.key) for s in found}
    usable = [
        s
        for s in found
        if not s.key.endswith(names.FACTS_SUFFIX) and names.condemned_target(s.key) is None and s.key not in condemned
    ]
    usable.sort(key=lambda s: s.modified, reverse=True)
    relative = len(names.INTERNAL)
    return Choice(deltaspace, tuple(Reference(s.key[relative:], s.size) for s in usable), stamp)


def _is_young(ctx: Context, stamp: float) -> bool:
    """Whether a container on a reference that a choice showed, stamped so, may be committed now."""
    return ctx.clock.monotonic() - stamp < ctx.settings.gc_grace / 2


class Condemned(Exception):
    """A reference is gone, or garbage collection has marked it: no new container may name it."""


class Permit:
    """Leave to commit a container on some references, from choices that showed them unmarked."""

    def __init__(self, ctx: Context, bucket: str, reference_names: set[str], stamp: float) -> None:
        """`stamp`: that of the oldest of the choices."""
        self._ctx = ctx
        self._bucket = bucket
        self._names = reference_names
        self._stamp = stamp

    @classmethod
    async def ask(cls, ctx: Context, bucket: str, reference_names: set[str]) -> Self:
        """By a fresh choice in each deltaspace. Raises Condemned."""
        permit = cls(ctx, bucket, reference_names, ctx.clock.monotonic())
        await permit._renew()
        return permit

    async def check(self) -> None:
        """Call it directly before the request that makes the container visible. Raises Condemned."""
        if self._names and not _is_young(self._ctx, self._stamp):
            await self._renew()
            if not _is_young(self._ctx, self._stamp):
                raise Condemned("choosing took longer than half the grace period")

    async def _renew(self) -> None:
        self._stamp = self._ctx.clock.monotonic()
        for deltaspace in {name.split("/")[1] for name in self._names}:
            choice = await choose_in(self._ctx, self._bucket, deltaspace)
            mine = {name for name in self._names if name.split("/")[1] == deltaspace}
            if gone := mine - {r.name for r in choice.references}:
                raise Condemned(", ".join(sorted(gone)))
            if not self._ctx.backend.capabilities(self._bucket).permanent:
                raise Condemned("rules of the storage may remove it")


async def best(
    ctx: Context, cache: ReferenceCache, bucket: str, choice: Choice, head: bytes | bytearray
) -> Reference | None:
    """The reference that the start of a body resembles most; None if it resembles none."""
    if not choice.references:
        return None
    wanted = (await ctx.pool.run(anchors.find, head)).fingerprints
    scores: list[tuple[int, Reference]] = []
    for reference in choice.references[:MAX_REFERENCES]:
        try:
            opened = await cache.open(bucket, reference)
        except Corrupt as error:
            _log.warning("a reference cannot be used", bucket=bucket, reference=reference.name, reason=str(error))
            continue
        async with opened:
            hits, _ = opened.facts.index.locate(wanted)
        scores.append((len(hits), reference))
    if not scores:
        return None
    score, reference = max(scores, key=lambda s: s[0])
    return reference if resembles(score, len(wanted)) else None


def resembles(hits: int, wanted: int) -> bool:
    """Whether that many known anchors among those of a sample promise a delta. Data without anchors is repetitive."""
    return hits > max(2, _MIN_SHARE * wanted) or wanted < 4


async def read_hint(ctx: Context, bucket: str, deltaspace: str) -> Hint | None:
    try:
        data = await internal.read(ctx, bucket, names.FIRSTS + deltaspace)
    except storage.NoSuchKey:
        return None
    head, _, prints = data.partition(b"\n")
    try:
        document = orjson.loads(head)
        known = np.frombuffer(prints, "<u4").astype(np.uint32)
        return Hint(document["key"], document["id"], document["generation"], document["size"], known)
    except (orjson.JSONDecodeError, KeyError, ValueError):
        _log.warning("a hint is damaged and ignored", bucket=bucket, deltaspace=deltaspace)
        return None


async def write_hint(ctx: Context, bucket: str, deltaspace: str, stored: Stored, object_id: str) -> None:
    """Remember `stored` as the first of its deltaspace; the last writer wins."""
    try:
        reader = await ctx.backend.open(bucket, stored.key)
    except storage.NoSuchKey:
        return
    try:
        prints = await _sample(ctx, reader)
    finally:
        await reader.close()
    if reader.stored.etag != stored.etag:
        return
    head = {"key": stored.key, "id": object_id, "generation": stored.etag, "size": stored.size}
    data = orjson.dumps(head) + b"\n" + prints.astype("<u4").tobytes()
    await internal.put(ctx, bucket, names.FIRSTS + deltaspace, data, attempts=1)


async def _sample(ctx: Context, reader: Reader) -> Fingerprints:
    """Fingerprints of the first MiB and of a part of every other; the smallest where they are many, so that samples
    of two objects keep the same ones.

    No gap between the parts is as long as the head of a body that is compared with them: a head that is shifted against
    its release could lie in one and match nothing.
    """
    found = []
    size = reader.stored.size
    for start in range(0, size, SKETCH):
        length = SKETCH if start == 0 else SKETCH // 8
        piece = await reader.read(start, min(start + length, size))
        found.append(await ctx.pool.run(anchors.find, piece))
    return anchors.merge(found).fingerprints[:_MAX_HINT]


def fits_hint(hint: Hint, wanted: Fingerprints, *, tried: bool) -> bool:
    """`tried`: the body is small enough to find out by encoding it, and nothing else is at hand for that."""
    if tried and hint.size <= ALWAYS_TRIED:
        return True
    if len(hint.prints) == _MAX_HINT:
        wanted = wanted[wanted <= hint.prints[-1]]
    return resembles(int(np.isin(wanted, hint.prints, assume_unique=True).sum()), len(wanted))


async def make_reference(ctx: Context, bucket: str, choice: Choice, hint: Hint) -> Promotion | None:
    """Copy the hinted object to a new reference; None if it is no longer what the hint says, or is a container."""
    try:
        reader = await ctx.backend.open(bucket, hint.key)
    except storage.NoSuchKey:
        return None
    try:
        mark = marks.mark_of(reader.stored)
        if reader.stored.etag != hint.generation or (mark is not None and mark.kind is Kind.DELTA):
            return None
        facts = await build_facts(reader, ctx.pool)
    finally:
        await reader.close()
    name = names.reference(choice.deltaspace, facts.sha256)
    key = names.INTERNAL + name
    encoded = await ctx.pool.run(reference_facts.encode, facts)
    await internal.put(ctx, bucket, key + names.FACTS_SUFFIX, encoded, attempts=1)
    pieces = [Piece(hint.key, 0, facts.size)]
    try:
        await ctx.backend.compose(bucket, key, pieces, {}, None, IfMatch(hint.generation))
    except (storage.Changed, storage.NoSuchKey):
        await ctx.backend.delete(bucket, key + names.FACTS_SUFFIX)
        return None
    ctx.events.promoted()
    return Promotion(hint, Reference(name, facts.size), replace(choice, references=(Reference(name, facts.size),)))


async def interrupted(ctx: Context, bucket: str, deltaspace: str, hint: Hint) -> Promotion | None:
    """The promotion that made a reference of the hinted object and did not come to rewrite it."""
    choice = await choose_in(ctx, bucket, deltaspace)
    alike = [reference for reference in choice.references if reference.size == hint.size]
    if not alike:
        return None
    try:
        reader = await ctx.backend.open(bucket, hint.key)
    except storage.NoSuchKey:
        return None
    try:
        if reader.stored.etag != hint.generation:
            return None
        facts = await build_facts(reader, ctx.pool)
    finally:
        await reader.close()
    found = next((reference for reference in alike if names.sha256_of(reference.name) == facts.sha256), None)
    return Promotion(hint, found, choice) if found is not None else None


async def rewrite_first(ctx: Context, bucket: str, promotion: Promotion) -> None:
    """Turn the promoted object into an empty container, if it is ours and still the one that was copied."""
    hint = promotion.hint
    try:
        now = await ctx.backend.head(bucket, hint.key)
    except storage.NoSuchKey:
        return
    mark = marks.mark_of(now)
    if mark is None or mark.object_id != hint.object_id or now.etag != hint.generation:
        return
    data = exact_copy(promotion.reference, object_id := names.random_id())
    info = marks.describe(now, hint.key)
    rewritten = replace(
        mark,
        object_id=object_id,
        origin=info.origin,
        kind=Kind.DELTA,
        size=info.size,
        etag=info.etag,
        modified_ms=round(info.modified * 1000),
    )
    if not _is_young(ctx, promotion.choice.stamp) or not ctx.backend.capabilities(bucket).permanent:
        return
    try:
        await ctx.backend.replace(bucket, hint.key, data, marks.remark(now, rewritten), now)
    except storage.ConditionFailed:
        _log.info("a promoted object was overwritten meanwhile and is left alone", bucket=bucket)
    except storage.Unsupported:
        _log.info("the storage has no compare-and-swap, so a promoted object stays as it is", bucket=bucket)
    except storage.Uncertain:
        _log.warning("the outcome of a promotion is unknown; both outcomes are good", bucket=bucket)


def exact_copy(reference: Reference, object_id: str) -> bytes:
    """A container that is nothing but its reference."""
    start = container.header(object_id) + container.reference_record(reference)
    frame = container.copy_frame([(0, reference.size)], 0) if reference.size else None
    frames = (frame,) if frame is not None else ()
    start += b"".join(container.frame_head(f) for f in frames)
    return start + container.closing(container.Index(object_id, (reference,), frames), len(start))
