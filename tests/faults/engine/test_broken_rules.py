"""Each rule of the storage protocol, broken on purpose: the situation that it answers must then lose something.

Beside each, `test_interleavings` runs the same situation unbroken. Rules about versions, several nodes that delete one
bucket, and storage without compare-and-swap are not here: nothing implements them yet.
"""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TypeVar
from unittest import mock

import pytest
from typing_extensions import override

from deltaglider_proxy.engine import commit, internal, marks, names, references, uploads
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.gc import Collector, Report
from deltaglider_proxy.engine.marks import Mark
from deltaglider_proxy.engine.model import Body, Kind, ObjectInfo, PartInfo, Precondition
from deltaglider_proxy.engine.multipart import Multipart
from deltaglider_proxy.engine.put import Putter, Target
from deltaglider_proxy.engine.references import Permit
from deltaglider_proxy.storage.backend import Condition, IfMatch, Metadata, Piece, Stored, Writer
from deltaglider_proxy.storage.backends.memory import Etags
from deltaglider_proxy.storage.errors import Uncertain
from deltaglider_proxy.storage.wrappers.faulty import MUTATIONS
from tests.support.engine import stage
from tests.support.engine.explore import Actor, Counterexample, Explorer, Scenario, Storage
from tests.support.engine.nodes import BUCKET
from tests.support.engine.scenes import SCENES, copy_away
from tests.support.engine.stage import Cost, Fate
from tests.support.engine.staged_backend import StagedBackend

R = TypeVar("R")

Breaking = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Mutant:
    scene: str
    breaks: Breaking = mock.MagicMock
    changes: Callable[[Scenario], Scenario] = lambda scenario: scenario
    budget: Cost = field(default_factory=lambda: Cost(switches=2))


# ---- references ------------------------------------------------------------------------------------------------------


def reuse_names() -> AbstractContextManager[object]:
    """References are named by their content alone."""
    return mock.patch.object(names, "reference", lambda deltaspace, sha256: f"refs/{deltaspace}/{sha256}")


def stale_cache() -> AbstractContextManager[object]:
    """A choice that is too old is taken for fresh, without asking the backend."""

    async def renew(self: Permit) -> None:
        self._stamp = self._ctx.clock.monotonic()

    return mock.patch.object(Permit, "_renew", renew)


async def _permitted(self: Permit) -> None:
    """Whatever its age."""


def no_half_grace() -> AbstractContextManager[object]:
    """A commit does not look at the age of its choice."""
    return mock.patch.object(Permit, "check", _permitted)


@contextmanager
def check_before_the_body() -> Iterator[None]:
    """The age of the choice is looked at, but not directly before the commit."""
    write = Putter.write

    async def early(
        self: Putter,
        target: Target,
        mark: Mark,
        size: int | None,
        fill: Callable[[Writer], Awaitable[None]],
        permit: Permit | None = None,
    ) -> Stored:
        if permit is not None:
            await permit.check()
        return await write(self, target, mark, size, fill, None)

    with mock.patch.object(Putter, "write", early):
        yield


def no_limit() -> AbstractContextManager[object]:
    """Nothing bounds the time from the check of the age to the effect of the commit."""
    return mock.patch.object(stage, "LIMIT", math.inf)


def ignore_marker() -> AbstractContextManager[object]:
    """Writers choose condemned references."""
    blind = SimpleNamespace(**vars(names))
    blind.condemned_target = lambda name: "nothing that is there" if ".condemned." in name else None
    return mock.patch.object(references, "names", blind)


def move_without_choice() -> AbstractContextManager[object]:
    """A container is moved without a look at whether its reference is condemned."""

    async def ask(ctx: Context, bucket: str, reference_names: set[str]) -> Permit:
        return Permit(ctx, bucket, reference_names, ctx.clock.monotonic())

    return mock.patch.object(Permit, "ask", ask)


# ---- collection ------------------------------------------------------------------------------------------------------


@contextmanager
def one_family_only() -> Iterator[None]:
    """Collection looks for users of references in one family."""
    named_by = Collector._named_by

    async def narrow(self: Collector, bucket: str, stored: Stored) -> set[str]:
        return await named_by(self, bucket, stored) if stored.key.startswith("a") else set()

    with mock.patch.object(Collector, "_named_by", narrow):
        yield


@contextmanager
def uncondemn() -> Iterator[None]:
    """A second look that finds a user takes the marker back."""
    named = Collector._named

    async def forgiving(self: Collector, bucket: str, report: Report) -> set[str]:
        found = await named(self, bucket, report)
        page = await self._ctx.backend.list(bucket, names.REFERENCES)
        for entry in page.entries:
            assert isinstance(entry, Stored)
            if names.condemned_target(entry.key) in found:
                await internal.delete(self._ctx, bucket, entry.key)
        return found

    with mock.patch.object(Collector, "_named", forgiving):
        yield


# ---- promotion -------------------------------------------------------------------------------------------------------


class Careless(StagedBackend):
    """A backend without compare-and-swap."""

    @override
    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        return await self.around("replace", key, lambda: self.store(bucket, key, metadata, len(data), data, None))


class ByEtag(StagedBackend):
    """Takes an object for the expected one if only its ETag is."""

    @override
    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        same = IfMatch(expected.etag)
        return await self.around("replace", key, lambda: self.store(bucket, key, metadata, len(data), data, same))


class Unpinned(StagedBackend):
    """Copies whatever is there by now."""

    @override
    async def compose(
        self,
        bucket: str,
        key: str,
        pieces: list[Piece] | tuple[Piece, ...],  # type: ignore[override] # what the engine passes
        metadata: Metadata,
        condition: Condition = None,
        pin: IfMatch | None = None,
    ) -> Stored:
        return await super().compose(bucket, key, pieces, metadata, condition, None)


class _Anyone(str):
    """An object id that equals every other."""

    __slots__ = ()

    @override
    def __eq__(self, other: object) -> bool:
        return True

    @override
    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def promote_foreign() -> AbstractContextManager[object]:
    """Objects without our mark are rewritten."""
    trusting = SimpleNamespace(**vars(marks))
    trusting.mark_of = lambda stored: marks.mark_of(stored) or Mark(_Anyone("f" * 32), Kind.IDENTITY)
    return mock.patch.object(references, "marks", trusting)


def with_backend(kind: type[StagedBackend]) -> Callable[[Scenario], Scenario]:
    def wrap(backend: StagedBackend) -> StagedBackend:
        return kind(backend._inner, backend._stage, backend._process, backend._page)

    return lambda scenario: replace(scenario, wrap=wrap)


def on_md5(scenario: Scenario) -> Scenario:
    return replace(scenario, storage=Storage(Etags.MD5))


# ---- lost answers ----------------------------------------------------------------------------------------------------


class Repeating(StagedBackend):
    """Sends a request again whose answer was lost, as S3 libraries do unless told not to."""

    @override
    async def around(self, step: str, key: str, effect: Callable[[], Awaitable[R]]) -> R:
        try:
            return await super().around(step, key, effect)
        except Uncertain:
            if step not in MUTATIONS or key.startswith(names.INTERNAL):
                raise
            return await super().around(step, key, effect)


def only_changes(scenario: Scenario) -> Scenario:
    """Decide about the requests that change a client's key, and the looks before and after them."""

    def loud(step: str, key: str) -> bool:
        return step == "begin" or (step in {"commit", "head", "compose"} and not key.startswith(names.INTERNAL))

    return replace(scenario, loud=loud)


def only_references(scenario: Scenario) -> Scenario:
    """Decide about the requests that choose, condemn and remove references, and those that name them."""

    def loud(step: str, key: str) -> bool:
        if step in {"list", "head", "open", "write", "append"}:
            return key.startswith(names.REFERENCES) and step == "list"
        return not key.endswith(names.FACTS_SUFFIX) and ".facts." not in key and not key.startswith(names.FIRSTS)

    return replace(scenario, loud=loud)


def repeating(scenario: Scenario) -> Scenario:
    changed = with_backend(Repeating)(scenario)
    return replace(changed, can_fail=frozenset(scenario.actors))


@contextmanager
def upload_id_is_proof() -> Iterator[None]:
    """Completing is unconditional, and the upload's id alone proves that it happened."""

    async def unconditionally(
        ctx: Context,
        bucket: str,
        storage_key: str,
        precondition: Precondition | None,
        change: Callable[[Condition], Awaitable[Stored]],
    ) -> Stored:
        if precondition is not None:
            precondition(await commit.look(ctx, bucket, storage_key))
        return await change(None)

    async def mine(ctx: Context, bucket: str, storage_key: str, object_id: str, error: Uncertain) -> Stored:
        found = await ctx.backend.head(bucket, storage_key)
        mark = marks.mark_of(found)
        if mark is None or mark.object_id[:16] != object_id[:16]:
            raise error
        return found

    with mock.patch.object(commit, "conditionally", unconditionally), mock.patch.object(commit, "mine", mine):
        yield


@contextmanager
def only_mine() -> Iterator[None]:
    """A part removes every other of its number, also those that were staged while it was."""

    async def put_part(self: Multipart, bucket: str, key: str, upload_id: str, number: int, body: Body) -> PartInfo:
        upload = await uploads.load(self._ctx, bucket, key, upload_id)
        place = names.part(upload_id, number)
        info: ObjectInfo = await self._putter.stage(bucket, upload.key, place, body)
        others = [k for k in await uploads.part_keys(self._ctx, bucket, upload_id, number) if k != place]
        await internal.delete_all(self._ctx, bucket, others)
        return PartInfo(number, info.size, info.etag, info.modified, info.checksum)

    with mock.patch.object(Multipart, "put_part", put_part):
        yield


# ---- buckets ---------------------------------------------------------------------------------------------------------


class _AnyBucket(str):
    """A bucket's name that the engine takes for that of every other."""

    __slots__ = ()

    @override
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


def between_buckets(scenario: Scenario) -> Scenario:
    actor: Actor = copy_away("a-2.bin", _AnyBucket(BUCKET))
    return replace(scenario, actors={"P": actor})


MUTANTS = {
    "reuse names": Mutant("promotion, collection of an older reference of equal bytes", reuse_names),
    "stale cache": Mutant("delta PUT, collection", stale_cache),
    "no half grace": Mutant("delta PUT, collection", no_half_grace),
    "check before the body": Mutant("delta PUT, collection", check_before_the_body),
    "no limit": Mutant("delta PUT, collection", no_limit),
    "ignore marker": Mutant("delta PUT, collection", ignore_marker),
    "one family only": Mutant("COPY to another family, DELETE, collection", one_family_only),
    "uncondemn": Mutant("two collections, DELETE, delta PUT", uncondemn, only_references, Cost(switches=3)),
    "copy without choice": Mutant("COPY against the scan, DELETE, collection", move_without_choice),
    "complete without choice": Mutant("Complete, collection", move_without_choice, budget=Cost(switches=1)),
    "rewrite without compare-and-swap": Mutant("promotion, overwrite", changes=with_backend(Careless)),
    "unpinned copy": Mutant("promotion, overwrite", changes=with_backend(Unpinned)),
    "promote foreign": Mutant("promotion of a foreign object", promote_foreign),
    "equal ETags": Mutant("promotion, equal overwrite", changes=lambda s: with_backend(ByEtag)(on_md5(s))),
    "repeat PUT": Mutant("PUT, PUT, GET", changes=repeating, budget=Cost(switches=2, faults=1)),
    "repeat DELETE": Mutant("PUT, DELETE, GET", changes=repeating, budget=Cost(switches=2, faults=1)),
    "believe a 412": Mutant("two conditional creations", changes=repeating, budget=Cost(switches=1, faults=1)),
    "upload id is proof": Mutant(
        "Complete twice, PUT",
        upload_id_is_proof,
        lambda s: replace(only_changes(s), can_fail=frozenset({"C2"}), faults=(Fate.LATE,)),
        Cost(switches=1, faults=1),
    ),
    "part removes all others": Mutant("one part twice", only_mine),
    "copy between buckets": Mutant("COPY to another bucket", changes=between_buckets),
}


@pytest.mark.parametrize("name", MUTANTS)
async def test_a_broken_rule_shows(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant.breaks(), pytest.raises(Counterexample):
        await Explorer(mutant.changes(SCENES[mutant.scene]())).explore(mutant.budget, most=4_000)
