"""The situations in which data could be lost, each with the operations that meet in it.

A deltaspace is a family of names: `a-1.bin`, `a-2.bin` and `a-3.bin` are one; `b.txt` is another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import orjson

from deltaglider_proxy.engine import errors, internal, marks, names
from deltaglider_proxy.engine.model import Attributes, BucketPolicy, CompletedPart, Kind, ObjectInfo
from deltaglider_proxy.storage.backend import Stored
from deltaglider_proxy.storage.backends.memory import Etags, MemoryBackend
from deltaglider_proxy.telemetry.clock import ManualClock
from tests.support.engine import audit
from tests.support.engine.bodies import MEDIUM, body, edited, noise
from tests.support.engine.explore import Actor, Prepare, Scenario, Storage, look_twice
from tests.support.engine.history import Complete, Copy, Delete, DeleteBucket, Get, Nothing, Put, Value
from tests.support.engine.nodes import BUCKET, GRACE, Node
from tests.support.engine.stage import Stage

FIRST = noise(1, MEDIUM)
SECOND = edited(FIRST, 2)
THIRD = edited(FIRST, 3)
OTHER = noise(9, 6_000)
LARGE = noise(11, MEDIUM)
ELSE = noise(10, 6_000)
OTHER_BUCKET = "elsewhere"


# ---- operations ------------------------------------------------------------------------------------------------------


def put(key: str, data: bytes, user: dict[str, str] | None = None, *, if_absent: bool = False, on: str = "") -> Actor:
    def absent(found: ObjectInfo | None) -> None:
        if found is not None:
            raise errors.PreconditionFailed(key)

    async def work(node: Node, stage: Stage) -> object:
        return await node.put(key, data, user, absent if if_absent else None)

    value = Value(data, tuple(sorted((user or {}).items())))
    return Actor(Put(key, value, if_absent), work, on)


def delete(key: str) -> Actor:
    async def work(node: Node, stage: Stage) -> object:
        return await node.engine.delete(BUCKET, key)

    return Actor(Delete(key), work)


def get(key: str) -> Actor:
    async def work(node: Node, stage: Stage) -> object:
        opened = await node.engine.open(BUCKET, key)
        try:
            data = b"".join([bytes(chunk) async for chunk in opened.stream(0, opened.info.size)])
            return Value(data, tuple(sorted(opened.info.user_metadata.items())))
        finally:
            await opened.close()

    return Actor(Get(key), work)


def copy(source: str, target: str) -> Actor:
    async def work(node: Node, stage: Stage) -> object:
        return await node.engine.copy((BUCKET, source), (BUCKET, target), None)

    return Actor(Copy(source, target), work)


def copy_away(source: str, source_bucket: str = BUCKET) -> Actor:
    """To the same key of another bucket, which the explained state does not show."""

    async def work(node: Node, stage: Stage) -> object:
        return await node.engine.copy((source_bucket, source), (OTHER_BUCKET, source), None)

    return Actor(Nothing(), work)


def delete_bucket() -> Actor:
    async def work(node: Node, stage: Stage) -> object:
        await node.engine.delete_bucket(BUCKET)
        return None

    return Actor(DeleteBucket(), work)


@dataclass(slots=True)
class Upload:
    """The upload that a scenario prepares and its actors work on."""

    key: str
    id: str = ""
    etag: str = ""
    """Of its one part."""


def complete(upload: Upload, data: bytes) -> Actor:
    async def work(node: Node, stage: Stage) -> object:
        return await node.engine.complete_upload(BUCKET, upload.key, upload.id, [CompletedPart(1, upload.etag)])

    return Actor(Complete(upload.key, Value(data)), work)


def put_part(upload: Upload, data: bytes) -> Actor:
    async def work(node: Node, stage: Stage) -> object:
        return await node.engine.put_part(BUCKET, upload.key, upload.id, 1, body(data))

    return Actor(Nothing(), work)


def collect_once() -> Actor:
    async def work(node: Node, stage: Stage) -> object:
        await node.engine.collector.collect(BUCKET)
        return None

    return Actor(Nothing(), work)


def collect_twice() -> Actor:
    return Actor(Nothing(), look_twice)


# ---- what is there before --------------------------------------------------------------------------------------------


async def nothing(node: Node, clock: ManualClock) -> None:
    """An empty bucket."""


async def first_object(node: Node, clock: ManualClock) -> None:
    """An object that the next of its family promotes."""
    await node.put("a-1.bin", FIRST, {"m": "0"})
    await node.quiet()


async def both(node: Node, clock: ManualClock) -> None:
    """A reference, an empty container on it, a delta on it."""
    await first_object(node, clock)
    await node.put("a-2.bin", SECOND)
    await node.quiet()


async def one_delta(node: Node, clock: ManualClock) -> None:
    """A reference that one delta names."""
    await both(node, clock)
    await node.engine.delete(BUCKET, "a-1.bin")


async def unnamed(node: Node, clock: ManualClock) -> None:
    """A reference that nothing names any more."""
    await one_delta(node, clock)
    await node.engine.delete(BUCKET, "a-2.bin")


async def marked(node: Node, clock: ManualClock) -> None:
    """A delta on a reference that was condemned longer than the grace ago: nothing but the delta keeps it."""
    await one_delta(node, clock)
    await _condemn(node, clock)


async def condemned_before(node: Node, clock: ManualClock) -> None:
    """A first object whose very bytes are a reference too, an unnamed one that is due."""
    await unnamed(node, clock)
    await node.engine.collector.collect(BUCKET)
    clock.advance(GRACE)
    await first_object(node, clock)


async def foreign(node: Node, clock: ManualClock) -> None:
    """Another program replaced the first object by equal bytes, without our mark."""
    await first_object(node, clock)
    writer = await node.engine.ctx.backend.write(BUCKET, "a-1.bin", {"content-type": "theirs/own"})
    await writer.write(FIRST)
    await writer.commit()


async def two_buckets(node: Node, clock: ManualClock) -> None:
    await both(node, clock)
    await node.engine.create_bucket(OTHER_BUCKET)


def staged(upload: Upload, then: Prepare) -> Prepare:
    """An upload with one part, which is a delta."""

    async def prepare(node: Node, clock: ManualClock) -> None:
        await both(node, clock)
        upload.id = await node.engine.create_upload(BUCKET, upload.key, Attributes(), None, None)
        upload.etag = (await node.engine.put_part(BUCKET, upload.key, upload.id, 1, body(THIRD))).etag
        assert node.events.decisions[-1][0] is Kind.DELTA
        await then(node, clock)

    return prepare


async def forget_objects(node: Node, clock: ManualClock) -> None:
    """Only the staged part names the reference, which is condemned and due."""
    for key in ("a-1.bin", "a-2.bin"):
        await node.engine.delete(BUCKET, key)
    await _condemn(node, clock)


async def keep(node: Node, clock: ManualClock) -> None:
    """Nothing more."""


async def _condemn(node: Node, clock: ManualClock) -> None:
    """Mark every reference, named or not, as long ago as the grace."""
    at = clock.since_boot()
    document = orjson.dumps({"boot": at.boot, "at": at.seconds})
    page = await node.engine.ctx.backend.list(BUCKET, names.REFERENCES)
    for entry in page.entries:
        assert isinstance(entry, Stored)
        if not entry.key.endswith(names.FACTS_SUFFIX) and names.condemned_target(entry.key) is None:
            await internal.put(node.engine.ctx, BUCKET, names.condemned(entry.key), document)
    clock.advance(GRACE)


# ---- what must hold at the end beside --------------------------------------------------------------------------------


async def foreign_is_untouched(memory: MemoryBackend) -> None:
    stored = await memory.head(BUCKET, "a-1.bin")
    if marks.mark_of(stored) is not None:
        raise audit.Violation("an object of somebody else was rewritten")


async def a_part_is_left(memory: MemoryBackend) -> None:
    page = await memory.list(BUCKET, names.PARTS)
    if not page.entries:
        raise audit.Violation("both parts were acknowledged, none is there")


# ---- the situations --------------------------------------------------------------------------------------------------


def _scene(prepare: Prepare, **actors: Actor) -> Scenario:
    return Scenario(prepare, actors)


def _completing(key: str, then: Prepare, **more: Actor) -> Scenario:
    upload = Upload(key)
    return Scenario(staged(upload, then), {"C1": complete(upload, THIRD), **more}, settings=ONE_FAMILY)


def _completing_twice() -> Scenario:
    upload = Upload("a-1.bin")
    actors = {"C2": complete(upload, THIRD), "C1": complete(upload, THIRD), "P": put("a-1.bin", OTHER)}
    return Scenario(staged(upload, keep), actors)


def _one_part_twice() -> Scenario:
    upload = Upload("a-4.bin")
    actors = {"P1": put_part(upload, OTHER), "P2": put_part(upload, ELSE)}
    return Scenario(staged(upload, keep), actors, at_end=a_part_is_left)


ONE_FAMILY = {"policies": {BUCKET: BucketPolicy(by_prefix=True)}}
"""Whatever the names of objects, they are tried against one another."""

PROMOTE = put("a-2.bin", SECOND)
ADD = put("a-3.bin", THIRD)

SCENES: Mapping[str, Callable[[], Scenario]] = {
    "delta PUT, collection": lambda: _scene(unnamed, P=ADD, GC=collect_twice()),
    "delta PUT, DELETE, collection": lambda: _scene(one_delta, P=ADD, D=delete("a-2.bin"), GC=collect_twice()),
    "two collections, DELETE, delta PUT": lambda: _scene(
        marked, GC1=collect_once(), GC2=collect_once(), P=ADD, D=delete("a-2.bin")
    ),
    "promotion, overwrite": lambda: _scene(first_object, P1=PROMOTE, P2=put("a-1.bin", LARGE)),
    "promotion, equal overwrite": lambda: _scene(first_object, P1=PROMOTE, P2=put("a-1.bin", FIRST, {"m": "1"})),
    "two promotions": lambda: _scene(first_object, P1=PROMOTE, P2=ADD),
    "two promotions in one process": lambda: _scene(
        first_object, P1=replace(PROMOTE, process="both"), P2=replace(ADD, process="both")
    ),
    "promotion, DELETE of the first, collection": lambda: _scene(
        first_object, P=PROMOTE, D=delete("a-1.bin"), GC=collect_twice()
    ),
    "promotion, collection of an older reference of equal bytes": lambda: _scene(
        condemned_before, P=PROMOTE, GC=collect_once()
    ),
    "promotion of a foreign object": lambda: replace(
        _scene(foreign, P=PROMOTE), storage=Storage(Etags.MD5), at_end=foreign_is_untouched
    ),
    "promotion, GET of the first": lambda: _scene(first_object, P=PROMOTE, G=get("a-1.bin")),
    "COPY to another family, DELETE, collection": lambda: _scene(
        one_delta, P=copy("a-2.bin", "b.txt"), D=delete("a-2.bin"), GC=collect_twice()
    ),
    "COPY against the scan, DELETE, collection": lambda: replace(
        _scene(marked, P=copy("a-2.bin", "!"), D=delete("a-2.bin"), GC=collect_once()), page=1
    ),
    "COPY to another bucket": lambda: _scene(two_buckets, P=copy_away("a-2.bin")),
    "COPY, overwrite of the source": lambda: _scene(both, P=copy("a-2.bin", "c.txt"), P2=put("a-2.bin", OTHER)),
    "two conditional creations": lambda: _scene(
        nothing, P1=put("k", OTHER, if_absent=True), P2=put("k", ELSE, if_absent=True)
    ),
    "two conditional creations, DELETE": lambda: _scene(
        nothing, P1=put("k", OTHER, if_absent=True), P2=put("k", ELSE, if_absent=True), D=delete("k")
    ),
    "conditional creation, PUT, DELETE, GET": lambda: _scene(
        nothing, P1=put("k", OTHER, if_absent=True), P2=put("k", ELSE), D=delete("k"), G=get("k")
    ),
    "PUT, PUT, GET": lambda: _scene(nothing, P1=put("k", OTHER), P2=put("k", ELSE), G=get("k")),
    "PUT, DELETE, GET": lambda: _scene(nothing, P=put("k", OTHER), D=delete("k"), G=get("k")),
    "DeleteBucket, delta PUT": lambda: _scene(unnamed, P=ADD, D=delete_bucket()),
    "DeleteBucket, conditional creation": lambda: _scene(unnamed, P=put("k", OTHER, if_absent=True), D=delete_bucket()),
    "Complete twice, PUT": _completing_twice,
    "Complete, collection": lambda: replace(_completing("!", forget_objects, GC=collect_once()), page=1),
    "Complete, conditional creation": lambda: _completing("k", keep, P=put("k", OTHER, if_absent=True)),
    "one part twice": _one_part_twice,
    "overwrite of a delta, collection": lambda: _scene(both, P=put("a-2.bin", OTHER), GC=collect_twice()),
}
