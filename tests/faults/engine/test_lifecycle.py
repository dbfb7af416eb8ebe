"""Any sequence of operations, with processes that die and answers that get lost: what was acknowledged reads back
exactly, and what nobody needs any more is collected.

A model holds, per key, what may be there: one thing after an answer, two after a lost one, until a look tells which.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from deltaglider_proxy.engine import errors, multipart
from deltaglider_proxy.engine.model import Attributes, BucketPolicy, CompletedPart, ObjectInfo, Precondition
from deltaglider_proxy.storage.backends.memory import MemoryBackend
from deltaglider_proxy.storage.steps import When
from deltaglider_proxy.storage.wrappers.faulty import MUTATIONS, Action, Call, Crash, Crashed, FaultyBackend, Lose
from deltaglider_proxy.telemetry.clock import ManualClock
from tests.support.engine import audit
from tests.support.engine.bodies import MEDIUM, SMALL, body, edited, noise
from tests.support.engine.explore import STORAGES, Storage
from tests.support.engine.nodes import BUCKET, GRACE, Node, node
from tests.support.engine.nodes import settings as engine_settings

R = TypeVar("R")

BASE = noise(1, MEDIUM)
TINY = noise(2, SMALL)
BODIES = (
    BASE,
    edited(BASE, 1),
    edited(BASE, 2),
    edited(BASE, 3),
    TINY,
    edited(TINY, 1),
    noise(3, MEDIUM),
    bytes(MEDIUM),
    noise(4, 300),
    b"",
)
KEYS = ("a-1.bin", "a-2.bin", "a-3.bin", "b-1.txt", ".deltaglider/v1/refs/a-1.bin", ".deltaglider/~b", "!-1.bin")
USERS: tuple[dict[str, str], ...] = (
    {},
    {"m": "1"},
    {"dgp": "mine", "dgp-c": "too"},
    {"large": "x" * 3000, "larger": "y" * 3000},
)
TAGS: tuple[dict[str, str], ...] = ({}, {"t": "1"}, {"t": "1", "u": "2"})

keys = st.sampled_from(KEYS)
bodies = st.sampled_from(range(len(BODIES)))
"""Drawn by number, so that a failing example can be read."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object as a client knows it."""

    data: bytes
    user: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]
    told: tuple[str, float] | None = None
    """ETag and time as they were told; None if the answer was lost."""


def _sorted(pairs: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pairs.items()))


@dataclass(slots=True)
class Script:
    """Lets one moment of the next operation go wrong."""

    action: Action = None
    after: int = 0
    """Moments at which it may go wrong that are passed by before."""

    def __call__(self, call: Call) -> Action:
        action = self.action
        if action is None or (isinstance(action, Lose) and (call.step not in MUTATIONS or call.when is When.BEFORE)):
            return None
        if self.after:
            self.after -= 1
            return None
        self.action = None
        return action


@dataclass(slots=True)
class Upload:
    key: str
    id: str
    user: tuple[tuple[str, str], ...]
    parts: dict[int, tuple[int, str]] = field(default_factory=dict)


class Lifecycle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = ExitStack()
        self.stack.enter_context(mock.patch.object(multipart, "MIN_PART", 1000))
        self.directory = Path(tempfile.mkdtemp())
        self.clock = ManualClock()
        self.script = Script()
        self.may: dict[str, set[Thing | None]] = {}
        self.uploads: list[Upload] = []
        self.processes = 0
        self.memory: MemoryBackend
        self.node: Node

    @initialize(storage=st.sampled_from(STORAGES), by_prefix=st.booleans())
    def begin(self, storage: Storage, *, by_prefix: bool) -> None:
        self.memory = storage.make(self.clock)
        self.policies = {BUCKET: BucketPolicy(by_prefix=by_prefix)}
        self.run(self.memory.create_bucket(BUCKET))
        self.restart()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        return self.runner.run(work)

    def restart(self) -> None:
        """A new process takes over; its caches are those of the old one."""
        self.processes += 1
        self.backend = FaultyBackend(self.memory, self.script)
        chosen = engine_settings(self.directory, policies=self.policies, upload_idle_ttl=10 * GRACE)
        self.node = node(self.backend, self.clock, chosen)

    def attempt(self, work: Coroutine[Any, Any, R]) -> R | None:
        """None if the process died or the answer was lost; else the answer."""

        async def whole() -> R:
            try:
                return await work
            finally:
                await self.node.quiet()

        try:
            return self.run(whole())
        except (Crashed, errors.Uncertain):
            return None
        finally:
            self.script.action = None
            if self.backend.crashed:
                self.restart()

    def thing(self, key: str) -> Thing | None:
        """What the key holds; every operation leaves that certain or has it looked up."""
        (held,) = self.may.get(key, {None})
        return held

    def now(self, key: str, held: Thing | None) -> None:
        self.may[key] = {held}

    def settle(self, key: str, *possible: Thing | None) -> None:
        """Look which of the possibilities came true."""
        found = self.run(self.look(key))
        fits = [p for p in possible if _same(p, found)]
        assert fits, f"{key} holds none of what it may hold"
        self.now(key, found)

    async def look(self, key: str) -> Thing | None:
        engine = self.node.engine
        try:
            info = await engine.head(BUCKET, key)
        except errors.NoSuchKey:
            return None
        data = await self.node.read(key)
        assert info.size == len(data)
        tags = await engine.get_tags(BUCKET, key)
        assert info.tag_count == len(tags)
        return Thing(data, _sorted(dict(info.user_metadata)), _sorted(dict(tags)), (info.etag, info.modified))

    # ---- what goes wrong -------------------------------------------------------------------------------------------

    @rule(after=st.integers(0, 25))
    def die_soon(self, after: int) -> None:
        self.script.action, self.script.after = Crash(), after

    @rule(after=st.integers(0, 6))
    def lose_an_answer_soon(self, after: int) -> None:
        self.script.action, self.script.after = Lose(), after

    @rule(quarters=st.integers(1, 5))
    def time_passes(self, quarters: int) -> None:
        self.clock.advance(quarters * GRACE / 4)

    # ---- what clients do -------------------------------------------------------------------------------------------

    @rule(key=keys, data=bodies, user=st.sampled_from(USERS), tags=st.sampled_from(TAGS))
    def put(self, key: str, data: int, user: dict[str, str], tags: dict[str, str]) -> None:
        self._put(key, BODIES[data], user, tags, None)

    @rule(number=st.integers(1, 3), edit=st.integers(0, 3))
    def release(self, number: int, edit: int) -> None:
        """A PUT of what resembles the other releases."""
        self._put(f"a-{number}.bin", BODIES[edit], {}, {}, None)

    @rule(key=keys, data=bodies)
    def create(self, key: str, data: int) -> None:
        """A PUT that must find nothing."""

        def absent(found: ObjectInfo | None) -> None:
            if found is not None:
                raise errors.PreconditionFailed(key)

        before = self.thing(key)
        try:
            self._put(key, BODIES[data], {}, {}, absent)
        except errors.PreconditionFailed:
            assert before is not None
        else:
            assert before is None or self.thing(key) == before

    def _put(
        self, key: str, data: bytes, user: dict[str, str], tags: dict[str, str], condition: Precondition | None
    ) -> None:
        before = self.thing(key)
        wanted = Thing(data, _sorted(user), _sorted(tags))
        info = self.attempt(self.node.put(key, data, user, condition, tags))
        if info is None:
            self.settle(key, before, wanted)
        else:
            assert info.size == len(data)
            self.now(key, replace(wanted, told=(info.etag, info.modified)))

    @rule(key=keys)
    def delete(self, key: str) -> None:
        before = self.thing(key)
        existed = self.attempt(self.node.engine.delete(BUCKET, key))
        if existed is None:
            self.settle(key, before, None)
        else:
            assert existed == (before is not None)
            self.now(key, None)

    @rule(data=st.data(), to=keys)
    def copy(self, data: st.DataObject, to: str) -> None:
        there = [key for key in KEYS if self.thing(key) is not None]
        source = data.draw(st.sampled_from(there or KEYS))
        held, before = self.thing(source), self.thing(to)
        try:
            info = self.attempt(self.node.engine.copy((BUCKET, source), (BUCKET, to), None))
        except errors.NoSuchKey:
            assert held is None
            return
        assert held is not None or info is None
        wanted = Thing(held.data, held.user, ()) if held is not None else None
        if info is None:
            self.settle(to, before, wanted)
        elif wanted is not None:
            self.now(to, replace(wanted, told=(info.etag, info.modified)))

    @rule(key=keys, tags=st.sampled_from(TAGS))
    def tag(self, key: str, tags: dict[str, str]) -> None:
        before = self.thing(key)
        try:
            self.attempt(self.node.engine.set_tags(BUCKET, key, tags))
        except errors.NoSuchKey:
            assert before is None
            return
        if before is not None:
            self.settle(key, before, replace(before, tags=_sorted(tags)))

    # ---- multipart -------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.uploads) < 2)
    @rule(key=keys, user=st.sampled_from(USERS))
    def create_upload(self, key: str, user: dict[str, str]) -> None:
        upload_id = self.attempt(self.node.engine.create_upload(BUCKET, key, Attributes({}, user), None, None))
        if upload_id is not None:
            self.uploads.append(Upload(key, upload_id, _sorted(user)))

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), number=st.integers(1, 3), piece=st.integers(0, 7))
    def put_part(self, data: st.DataObject, number: int, piece: int) -> None:
        upload = data.draw(st.sampled_from(self.uploads))
        part = self.attempt(self.node.engine.put_part(BUCKET, upload.key, upload.id, number, body(BODIES[piece])))
        if part is not None:
            upload.parts[number] = (piece, part.etag)
        else:
            upload.parts.pop(number, None)

    @precondition(lambda self: any(upload.parts for upload in self.uploads))
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        upload = data.draw(st.sampled_from([upload for upload in self.uploads if upload.parts]))
        before = self.thing(upload.key)
        named = [CompletedPart(number, etag) for number, (_, etag) in sorted(upload.parts.items())]
        whole = b"".join(BODIES[piece] for _, (piece, _) in sorted(upload.parts.items()))
        wanted = Thing(whole, upload.user, ())
        info = self.attempt(self.node.engine.complete_upload(BUCKET, upload.key, upload.id, named))
        if info is None:
            self.settle(upload.key, before, wanted)
            return
        assert info.etag.endswith(f"-{len(named)}")
        self.uploads.remove(upload)
        self.now(upload.key, replace(wanted, told=(info.etag, info.modified)))
        again = self.run(self.node.engine.complete_upload(BUCKET, upload.key, upload.id, named))
        assert (again.etag, again.size) == (info.etag, info.size)

    @precondition(lambda self: self.uploads)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        upload = data.draw(st.sampled_from(self.uploads))
        self.uploads.remove(upload)
        try:
            self.attempt(self.node.engine.abort_upload(BUCKET, upload.key, upload.id))
        except errors.NoSuchUpload:
            return  # a completion whose answer was lost went through

    # ---- collection ------------------------------------------------------------------------------------------------

    @rule()
    def collect(self) -> None:
        self.attempt(self.node.engine.collector.collect(BUCKET))

    @rule()
    def delete_bucket(self) -> None:
        if all(self.thing(key) is None for key in KEYS):
            return
        self.script.action = None
        try:
            self.run(self.node.engine.delete_bucket(BUCKET))
        except errors.BucketNotEmpty:
            return
        raise AssertionError("a bucket with objects was deleted")

    @invariant()
    def listing_shows_what_there_is(self) -> None:
        if not self.processes:
            return
        self.script.action, kept = None, self.script.action
        listed = self.run(self.node.engine.list(BUCKET))
        self.script.action = kept
        there = {key: held for key in KEYS if (held := self.thing(key)) is not None}
        shown = {e.key: (e.size, e.etag, e.modified) for e in listed.entries if isinstance(e, ObjectInfo)}
        assert list(shown) == sorted(there)
        for key, held in there.items():
            assert held.told is not None
            etag, modified = held.told
            if "-" in etag and not self.memory.abilities.listing_has_metadata:
                etag = shown[key][1]  # S3 gives this ETag itself to what is joined of parts; this backend does not
            assert shown[key] == (len(held.data), etag, modified), key
        self.run(audit.nothing_dangles(self.memory))

    @override
    def teardown(self) -> None:
        try:
            if self.processes:
                self.script.action = None
                self._read_everything()
                for wait in (11 * GRACE, GRACE):
                    self.clock.advance(wait)
                    self.run(self.node.engine.collector.collect(BUCKET))
                assert self.run(audit.litter(self.memory, BUCKET)) == set()
                self._read_everything()
                self.run(self.node.engine.close())
        finally:
            self.runner.close()
            self.stack.close()
            shutil.rmtree(self.directory)

    def _read_everything(self) -> None:
        for key in KEYS:
            held = self.thing(key)
            assert self.run(self.look(key)) == held, key


def _same(possible: Thing | None, found: Thing | None) -> bool:
    if possible is None or found is None:
        return possible is found
    return replace(found, told=possible.told) == possible or (
        possible.told is None and replace(found, told=None) == possible
    )


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
