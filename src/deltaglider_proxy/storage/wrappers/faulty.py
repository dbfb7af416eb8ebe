"""Faults on demand around any backend: errors, lost answers, delays, late effects and crashes of the process.

A script sees every call before and after its effect, in the order in which they happen, and answers with what is to go
wrong. It holds all the choices, so a run is repeated by repeating the script. Calls that answer without waiting
(`head_now`, `read_now`, `fileno`) are passed through, unless the process has crashed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from deltaglider_proxy.storage.backend import (
    STEP,
    Backend,
    BucketInfo,
    Capabilities,
    Condition,
    IfMatch,
    Metadata,
    Page,
    Piece,
    Reader,
    Stored,
    Writer,
)
from deltaglider_proxy.storage.errors import StorageError, Unavailable, Uncertain
from deltaglider_proxy.storage.steps import When
from deltaglider_proxy.telemetry.tasks import Background

R = TypeVar("R")

MUTATIONS = frozenset({"create_bucket", "delete_bucket", "delete", "compose", "replace", "commit"})


class Crashed(BaseException):
    """The process died here. No handler of errors may see it, as none would run."""


@dataclass(frozen=True, slots=True)
class Call:
    """A moment at which something can go wrong."""

    number: int
    """Counts moments from 0."""
    when: When
    step: str
    """The backend's method; `append` and `commit` of writers, `read` of readers."""
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Before the effect: raise `error`, with no effect. After it: raise it all the same."""

    error: StorageError


@dataclass(frozen=True, slots=True)
class Lose:
    """The answer never arrives: Uncertain for mutations, Unavailable for the rest. Meant for after the effect."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Go on when the event is set."""

    until: asyncio.Event


@dataclass(frozen=True, slots=True)
class Postpone:
    """Before a mutation: raise Uncertain now; the effect happens when the event is set, and nobody learns how it went.

    A crash of the process does not stop it: the request is on its way.
    """

    until: asyncio.Event


@dataclass(frozen=True, slots=True)
class Crash:
    """Raise Crashed, now and from every later call."""


Action = Fail | Lose | Delay | Postpone | Crash | None
Script = Callable[[Call], Action]


def no_faults(_: Call) -> Action:
    """The script in which nothing goes wrong."""
    return None


class FaultyBackend:
    """`inner` as a process sees it whose luck `script` decides. After a crash, wrap `inner` anew: the next process."""

    def __init__(self, inner: Backend, script: Script = no_faults) -> None:
        self.script = script
        self.crashed = False
        self._inner = inner
        self._moments = 0
        self._late = Background()

    async def settle(self) -> None:
        """Wait until every postponed effect has happened; their events must have been set."""
        await self._late.drain()

    def alive(self) -> None:
        """Raises Crashed if the process is dead."""
        if self.crashed:
            raise Crashed

    async def around(self, step: str, bucket: str, key: str, effect: Callable[[], Awaitable[R]]) -> R:
        """Run `effect` with the script's faults before and after it."""
        action = self._consult(When.BEFORE, step, bucket, key)
        if isinstance(action, Postpone):
            assert step in MUTATIONS, f"{step} has no effect to postpone"
            self._late.start(f"late {step}", _later(action.until, effect))
            raise Uncertain(f"{step} of {key!r} is still under way")
        await self._perform(action, step)
        self.alive()
        result = await effect()
        await self._perform(self._consult(When.AFTER, step, bucket, key), step)
        self.alive()
        return result

    def _consult(self, when: When, step: str, bucket: str, key: str) -> Action:
        self.alive()
        call = Call(self._moments, when, step, bucket, key)
        self._moments += 1
        return self.script(call)

    async def _perform(self, action: Action, step: str) -> None:
        match action:
            case None:
                return
            case Fail(error):
                raise error
            case Lose():
                raise Uncertain(f"the answer to {step} was lost") if step in MUTATIONS else Unavailable(step)
            case Delay(until):
                await until.wait()
            case Postpone():
                raise AssertionError("what has happened cannot be postponed")
            case Crash():
                self.crashed = True
                raise Crashed

    def capabilities(self, bucket: str, /) -> Capabilities:
        return self._inner.capabilities(bucket)

    async def buckets(self) -> Sequence[BucketInfo]:
        return await self.around("buckets", "", "", self._inner.buckets)

    async def bucket(self, bucket: str) -> BucketInfo:
        return await self.around("bucket", bucket, "", lambda: self._inner.bucket(bucket))

    async def create_bucket(self, bucket: str) -> None:
        await self.around("create_bucket", bucket, "", lambda: self._inner.create_bucket(bucket))

    async def delete_bucket(self, bucket: str, disposable: str) -> None:
        await self.around("delete_bucket", bucket, "", lambda: self._inner.delete_bucket(bucket, disposable))

    async def head(self, bucket: str, key: str) -> Stored:
        return await self.around("head", bucket, key, lambda: self._inner.head(bucket, key))

    def head_now(self, bucket: str, key: str) -> Stored | None:
        self.alive()
        return self._inner.head_now(bucket, key)

    async def open(self, bucket: str, key: str) -> Reader:
        reader = await self.around("open", bucket, key, lambda: self._inner.open(bucket, key))
        return _FaultyReader(self, reader, bucket)

    async def write(
        self, bucket: str, key: str, metadata: Metadata, size: int | None = None, *, conditional: bool = False
    ) -> Writer:
        writer = await self.around(
            "write", bucket, key, lambda: self._inner.write(bucket, key, metadata, size, conditional=conditional)
        )
        return _FaultyWriter(self, writer, bucket, key)

    async def delete(self, bucket: str, key: str, condition: IfMatch | None = None) -> bool:
        return await self.around("delete", bucket, key, lambda: self._inner.delete(bucket, key, condition))

    async def compose(
        self,
        bucket: str,
        key: str,
        pieces: Sequence[Piece],
        metadata: Metadata,
        condition: Condition = None,
        pin: IfMatch | None = None,
    ) -> Stored:
        return await self.around(
            "compose", bucket, key, lambda: self._inner.compose(bucket, key, pieces, metadata, condition, pin)
        )

    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        return await self.around(
            "replace", bucket, key, lambda: self._inner.replace(bucket, key, data, metadata, expected)
        )

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = "", hidden: str = ""
    ) -> Page:
        return await self.around(
            "list", bucket, prefix, lambda: self._inner.list(bucket, prefix, after, limit, delimiter, hidden)
        )

    async def close(self) -> None:
        """Leaves `inner` open: it outlives the processes that use it."""


async def _later(until: asyncio.Event, effect: Callable[[], Awaitable[object]]) -> None:
    await until.wait()
    try:
        await effect()
    except StorageError:
        return  # its caller has long gone; that it failed is one of the ways a lost request ends


class _FaultyReader:
    def __init__(self, backend: FaultyBackend, inner: Reader, bucket: str) -> None:
        self.stored = inner.stored
        self._backend = backend
        self._inner = inner
        self._bucket = bucket

    async def read(self, start: int, stop: int) -> bytes:
        return await self._backend.around("read", self._bucket, self.stored.key, lambda: self._inner.read(start, stop))

    def read_now(self, start: int, stop: int) -> bytes | None:
        self._backend.alive()
        return self._inner.read_now(start, stop)

    async def chunks(self, start: int, stop: int, step: int = STEP) -> AsyncIterator[bytes]:
        async for chunk in self._inner.chunks(start, stop, step):
            yield await self._backend.around("read", self._bucket, self.stored.key, partial(_value, chunk))

    def fileno(self) -> int | None:
        self._backend.alive()
        return self._inner.fileno()

    async def close(self) -> None:
        """Works after a crash too: the system closes a dead process's files."""
        await self._inner.close()


async def _value(chunk: bytes) -> bytes:
    return chunk


class _FaultyWriter:
    def __init__(self, backend: FaultyBackend, inner: Writer, bucket: str, key: str) -> None:
        self._backend = backend
        self._inner = inner
        self._bucket = bucket
        self._key = key
        self._under_way = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        copy = bytes(data)
        await self._backend.around("append", self._bucket, self._key, lambda: self._inner.write(copy))

    async def commit(self, condition: Condition = None, metadata: Metadata | None = None) -> Stored:
        try:
            return await self._backend.around(
                "commit", self._bucket, self._key, lambda: self._inner.commit(condition, metadata)
            )
        except Uncertain:
            self._under_way = True
            raise

    async def abort(self) -> None:
        """Cannot reach a commit that is under way, and does nothing in a dead process."""
        if not (self._under_way or self._backend.crashed):
            await self._inner.abort()
