"""S3 as any client speaks it, by the client of our S3 backend: signed, guarded, streamed, verified by ETag.

Of the proxy at the other end all is known that has to be found out of other services.
"""

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Final

from deltaglider_proxy.cli.s3.endpoint import Endpoint
from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.model import Attributes, Listing, ObjectInfo
from deltaglider_proxy.storage.backend import Stored
from deltaglider_proxy.storage.backends.s3.answers import hidden_error, md5_of, meaning
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.client import Call, Client
from deltaglider_proxy.storage.backends.s3.signing import encoded_path
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import NoSuchBucket
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool

_USER: Final = "x-amz-meta-"
_OURS: Final = Verdicts(**{each.name: Verdict.WORKS for each in fields(Verdicts)})
_SLOWEST_COPY: Final = 20 << 20
"""Bytes per second."""


@asynccontextmanager
async def open_client(endpoint: Endpoint) -> AsyncIterator[Client]:
    """For requests that are about buckets, not objects."""
    pool = Pool(1, "s3")
    client = Client(endpoint.settings(Path(tempfile.gettempdir())), pool, SystemClock())
    try:
        yield client
    finally:
        await client.close()
        pool.close()


@asynccontextmanager
async def open_plain(endpoint: Endpoint, max_size: int | None) -> "AsyncIterator[PlainStore]":
    """`max_size`: bytes of an object that may be written."""
    with tempfile.TemporaryDirectory(prefix="deltaglider-s3-") as folder:
        pool, clock = Pool(8, "s3"), SystemClock()
        settings = endpoint.settings(Path(folder))
        client, backend = Client(settings, pool, clock), S3Backend(settings, pool, clock, _OURS)
        try:
            yield PlainStore(client, backend, max_size)
        finally:
            await backend.close()
            await client.close()
            pool.close()


class PlainStore:
    """See `stores.Store`."""

    def __init__(self, client: Client, backend: S3Backend, max_size: int | None) -> None:
        self._client = client
        self.backend = backend
        self._max_size = max_size

    async def buckets(self) -> Sequence[tuple[str, float]]:
        return [(info.name, info.created) for info in await self.backend.buckets()]

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = ""
    ) -> Listing:
        page = await self.backend.list(bucket, prefix, after, limit, delimiter)
        entries = tuple(entry if isinstance(entry, str) else described(entry) for entry in page.entries)
        return Listing(entries, page.truncated)

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        return described(await self.backend.head(bucket, key))

    async def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        reader = await self.backend.open(bucket, key)
        try:
            async for piece in reader.chunks(0, reader.stored.size):
                yield piece
        finally:
            await reader.close()

    async def put(
        self,
        bucket: str,
        key: str,
        chunks: AsyncIterator[bytes | bytearray | memoryview],
        size: int | None,
        attributes: Attributes,
    ) -> None:
        if self._max_size is not None and size is not None and size > self._max_size:
            raise errors.TooLarge(size, self._max_size)
        writer = await self.backend.write(bucket, key, stored_metadata(attributes), size)
        sent = 0
        try:
            async for chunk in chunks:
                sent += len(chunk)
                if self._max_size is not None and sent > self._max_size:
                    raise errors.TooLarge(sent, self._max_size)
                await writer.write(chunk)
            await writer.commit()
        finally:
            await writer.abort()

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        size = (await self.backend.head(*source)).size
        if self._max_size is not None and size > self._max_size:
            raise errors.TooLarge(size, self._max_size)
        call = Call("PUT", *target, headers={"x-amz-copy-source": encoded_path(f"/{source[0]}/{source[1]}")})
        deadline = self._client.settings.deadline + size / _SLOWEST_COPY
        answer = await self._client.change(call, deadline=deadline)
        hidden = hidden_error(answer, call.subject, mutation=True)
        if hidden is not None:
            raise hidden

    async def delete(self, bucket: str, key: str) -> bool:
        return await self.backend.delete(bucket, key)

    async def is_compared(self, bucket: str, key: str) -> bool:
        return await has_md5(self._client, bucket, key)


async def has_md5(client: Client, bucket: str, key: str) -> bool:
    """Whether the ETag that the service has for a key is an MD5 of its bytes."""
    call = Call("HEAD", bucket, key)
    answer = await client.read(call)
    if not answer.good:
        raise meaning(answer, call.subject, mutation=False)
    return md5_of(answer.headers) is not None


async def require_bucket(client: Client, bucket: str) -> None:
    """Raises NoSuchBucket, Denied."""
    call = Call("HEAD", bucket)
    answer = await client.read(call)
    if answer.status == 404:
        raise NoSuchBucket(bucket)
    if not answer.good:
        raise meaning(answer, call.subject, mutation=False)


def described(stored: Stored) -> ObjectInfo:
    metadata = stored.metadata or {}
    headers = {name: text for name, text in metadata.items() if not name.startswith(_USER)}
    user = {name.removeprefix(_USER): text for name, text in metadata.items() if name.startswith(_USER)}
    return ObjectInfo(stored.key, stored.size, stored.etag, stored.modified, headers, user)


def stored_metadata(attributes: Attributes) -> Mapping[str, str]:
    """As it is stored beside an object."""
    return {**attributes.headers, **{_USER + name: text for name, text in attributes.user_metadata.items()}}
