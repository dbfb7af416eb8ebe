"""The storage contract: what the engine may rely on, whatever holds the bytes.

Guarantees of every implementation, checked by one suite in `tests/contract`:

* A key is 1 to 1025 bytes of UTF-8 without NUL (a client's 1024, and one for an escape). Keys are compared and listed
  by their bytes; each is an object of its own.
* An object changes as a whole, data and metadata together, at one moment: readers see the old or the new one.
* When a mutation returns, it is durable and every later call, from any process, sees it.
* When a mutation raises `Uncertain`, it may have taken effect or may still do so; any other error means it did nothing
  and left nothing behind.
* Two mutations of one key with conditions are decided one after the other.
* A `Reader` reads one generation of an object to its end, or raises `Changed`; never a mixture.
* Listings are exact: each key that is there before and after the call once, in order; none that is not.
* Backends are used from one event loop; they never block it for longer than a small local read.
"""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Metadata = Mapping[str, str]
"""Header names in lower case, as S3 has them: `content-type`, `cache-control`, ..., `x-amz-meta-<name>`."""


ANY_SIZE = sys.maxsize


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do beyond the contract; callers ask this value, never the type."""

    max_metadata: int
    """Bytes that the names and values of one object's metadata may have together."""
    listing_has_metadata: bool
    """`list` fills `Stored.metadata`, so a listing needs no HEAD per object."""
    late_metadata: int
    """Up to this many bytes of body, announced or not, `Writer.commit` may replace the metadata given to `write`, so
    that digests of the body can be among it; `ANY_SIZE` for all."""
    local: bool
    """Reads are local file reads: `Reader.fileno` works and small reads need no thread."""
    permanent: bool = True
    """Only calls of this interface remove objects, and no rules of the storage: else nothing may depend on another."""


@dataclass(frozen=True, slots=True)
class BucketInfo:
    name: str
    created: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One generation of an object as the backend has it."""

    key: str
    size: int
    etag: str
    """Names this generation, without quotes. Generations with different bytes have different ETags. Those with equal
    bytes and other metadata may share one, where ETags are digests of the bytes."""
    modified: float
    """Seconds since the epoch, by the backend's clock. What a change returns may differ by seconds from what a later
    `head` says, where that would cost another request."""
    metadata: Metadata | None
    """None only in listings of a backend without `listing_has_metadata`."""


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The key must hold the generation with this storage ETag."""

    etag: str


@dataclass(frozen=True, slots=True)
class IfAbsent:
    """The key must hold nothing."""


Condition = IfMatch | IfAbsent | None


@dataclass(frozen=True, slots=True)
class Piece:
    """A byte range of an object in the same bucket, part of what `compose` joins."""

    key: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Page:
    entries: tuple[Stored | str, ...]
    """Objects, and common prefixes as plain strings, merged in byte order."""
    truncated: bool
    """There is more after the last entry."""


STEP = 1 << 20
"""Bytes that are worth a turn of the event loop and of a thread."""


class Reader(Protocol):
    """An open generation. Close it, also after an error."""

    stored: Stored

    async def read(self, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop` (exclusive, clamped to the size), at most 16 MiB of them, as one value."""
        ...

    def read_now(self, start: int, stop: int) -> bytes | None:
        """As `read`, if the bytes can be had without waiting; else None."""
        ...

    def chunks(self, start: int, stop: int, step: int = STEP) -> AsyncIterator[bytes]:
        """The same range in pieces of about `step` bytes, read ahead no further than one piece."""
        ...

    def fileno(self) -> int | None:
        """A file descriptor whose offset 0 is the object's first byte; valid until `close`."""
        ...

    async def close(self) -> None: ...


class Writer(Protocol):
    """An object under construction: nothing of it is visible before `commit`, nothing is left after `abort`."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; the buffer may be reused once this returns. Waits when the backend is slower (backpressure)."""
        ...

    async def commit(self, condition: Condition = None, metadata: Metadata | None = None) -> Stored:
        """Make the object visible, durably, if `condition` holds.

        Ends the writer, whatever the outcome, except ConditionFailed: then look again and commit with another
        condition, or abort.

        `metadata` replaces that given to `write`; beyond `Capabilities.late_metadata` it must be None.
        Raises ConditionFailed, NoSuchBucket, DiskFull, MetadataTooLarge, Unavailable, Uncertain.
        """
        ...

    async def abort(self) -> None:
        """Forget it. Idempotent, and harmless after `commit`."""
        ...


class Backend(Protocol):
    """See the module's docstring. Every method may raise Unavailable; mutations also Uncertain and DiskFull."""

    def capabilities(self, bucket: str, /) -> Capabilities:
        """What can be done in this bucket; it need not exist."""
        ...

    async def buckets(self) -> Sequence[BucketInfo]:
        """All buckets in byte order."""
        ...

    async def bucket(self, bucket: str) -> BucketInfo:
        """Raises NoSuchBucket."""
        ...

    async def create_bucket(self, bucket: str) -> None:
        """Raises BucketExists."""
        ...

    async def delete_bucket(self, bucket: str, disposable: str) -> None:
        """Delete a bucket that holds nothing but keys with the prefix `disposable`, and those with it.

        Atomic against writers: either it is gone with everything, and their commits raise NoSuchBucket, or it raises
        BucketNotEmpty and nothing was removed.
        """
        ...

    async def head(self, bucket: str, key: str) -> Stored:
        """Raises NoSuchKey, NoSuchBucket."""
        ...

    def head_now(self, bucket: str, key: str) -> Stored | None:
        """As `head`, errors included, if it can be answered without waiting; else None."""
        ...

    async def open(self, bucket: str, key: str) -> Reader:
        """Raises NoSuchKey, NoSuchBucket."""
        ...

    async def write(
        self, bucket: str, key: str, metadata: Metadata, size: int | None = None, *, conditional: bool = False
    ) -> Writer:
        """Begin an object; `size` is its length where it is known. Raises NoSuchBucket, KeyRejected.

        `conditional`: the commit will name a condition, which a body of more than `Capabilities.late_metadata` bytes
        must be prepared for.
        """
        ...

    async def delete(self, bucket: str, key: str, condition: IfMatch | None = None) -> bool:
        """Delete the object; False if there was none. Raises ConditionFailed (nothing there fails `IfMatch` too)."""
        ...

    async def compose(
        self,
        bucket: str,
        key: str,
        pieces: Sequence[Piece],
        metadata: Metadata,
        condition: Condition = None,
        pin: IfMatch | None = None,
    ) -> Stored:
        """Make an object of byte ranges of others, without moving the bytes through this process where possible.

        A copy is one piece; `pin` names the generation of the first piece's object and raises Changed if it is another.
        Raises NoSuchKey if a source is missing, and all that `Writer.commit` raises.
        """
        ...

    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        """Put small `data` at the key only if it holds exactly `expected`, an answer of `head`: the same ETag, and the
        same metadata even where equal bytes have equal ETags. Safe against everything that changes the key through this
        interface on this host, and against other programs as far as ETags tell their writes. Raises ConditionFailed;
        Unsupported where the storage cannot do it.
        """
        ...

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = "", hidden: str = ""
    ) -> Page:
        """The first `limit` entries with `prefix` that sort after `after` (byte order).

        With `delimiter`, keys that have it after the prefix are rolled up into common prefixes; a common prefix that
        sorts at or before `after`, or is a prefix of it, is not repeated. Keys that begin with `hidden` (if not
        empty) are stepped over and count for nothing. Raises NoSuchBucket.
        """
        ...

    async def close(self) -> None: ...
