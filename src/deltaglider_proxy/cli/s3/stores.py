"""Objects of an endpoint, in one of two ways.

Of a plain S3 service, what it holds is read and written as our server does it: deltas are made and resolved here, by
the engine itself. Where our own server answers, it does that; deltas made here would be stored as deltas of deltas. So
plain S3 is spoken to it, and it decides what becomes a delta.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from deltaglider_proxy.cli.output import say
from deltaglider_proxy.cli.s3.endpoint import Endpoint, is_proxy
from deltaglider_proxy.cli.s3.engine_store import EngineStore, Writing, open_engine
from deltaglider_proxy.cli.s3.plain_store import PlainStore, open_plain
from deltaglider_proxy.engine.model import Attributes, Listing, ObjectInfo

Chunks = AsyncIterator[bytes | bytearray | memoryview]


class Store(Protocol):
    """What it raises is in `failures.KNOWN`."""

    async def buckets(self) -> Sequence[tuple[str, float]]:
        """Names, and when they were created."""
        ...

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = ""
    ) -> Listing:
        """Objects with the sizes and ETags of what was uploaded, however they are stored; no metadata."""
        ...

    async def head(self, bucket: str, key: str) -> ObjectInfo: ...

    def read(self, bucket: str, key: str) -> AsyncIterator[bytes | memoryview]:
        """The whole object, compared with the digests that are known of it. Raises Corrupt before its last piece."""
        ...

    async def put(self, bucket: str, key: str, chunks: Chunks, size: int | None, attributes: Attributes) -> None: ...

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """With its metadata, within this endpoint."""
        ...

    async def delete(self, bucket: str, key: str) -> bool: ...

    async def is_compared(self, bucket: str, key: str) -> bool:
        """Whether the service has an MD5 of what it stores under this key, which `read` compares."""
        ...


@asynccontextmanager
async def opened(
    endpoint: Endpoint, bucket: str = "", writing: Writing | None = None
) -> AsyncIterator[EngineStore | PlainStore]:
    """`writing`: objects of `bucket` will be changed. Raises StorageError."""
    if not await is_proxy(endpoint):
        async with open_engine(endpoint, bucket, writing) as store:
            yield store
        return
    say("note: a DeltaGlider proxy answers there; it makes deltas itself, so plain S3 is spoken to it")
    if writing is not None and not writing.delta:
        say("note: --no-delta has no effect there; the proxy decides by the policy of the bucket")
    async with open_plain(endpoint, writing.max_size if writing is not None else None) as plain:
        yield plain
