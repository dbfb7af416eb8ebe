"""The engine over any S3 service, without a server: each object is what our server would have made of it.

Other programs may write to the bucket at the same time, a server among them: what the engine relies on then are the
conditions of the service. What a service can do is tried once a day and bucket, with throw-away objects, and only by
verbs that write. Internal keys need no rule here: in the engine, no key that a user can name means one of them.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deltaglider_proxy.cli.output import say
from deltaglider_proxy.cli.s3 import known_services
from deltaglider_proxy.cli.s3.endpoint import Endpoint
from deltaglider_proxy.cli.s3.plain_store import has_md5
from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.context import Context, Events
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.model import Attributes, Body, BucketPolicy, Listing, ObjectInfo
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.storage.backends.s3.backend import S3Backend
from deltaglider_proxy.storage.backends.s3.client import Client
from deltaglider_proxy.storage.backends.s3.probe import probe
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import NoSuchBucket, StorageError
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background

_UNLIMITED: Final = 1 << 50
_READING: Final = Verdicts(
    md5_etags=Verdict.WORKS,
    odd_keys=Verdict.WORKS,
    backslashes=Verdict.WORKS,
    line_breaks=Verdict.WORKS,
    control_characters=Verdict.WORKS,
)
"""What is taken for granted where nothing is written: what is listed exists, and S3 says when an ETag is no MD5."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How objects are stored that a command writes."""

    delta: bool = True
    max_ratio: float = 0.75
    max_size: int = 100 << 20


@asynccontextmanager
async def open_engine(endpoint: Endpoint, bucket: str, writing: Writing | None) -> "AsyncIterator[EngineStore]":
    """Raises NoSuchBucket, Unavailable."""
    given = endpoint.client
    with tempfile.TemporaryDirectory(prefix="deltaglider-s3-", dir=given.spool_dir) as folder:
        root = Path(folder)
        slots = given.codec_slots or os.cpu_count() or 1
        pool, codecs, clock = Pool(8, "files"), Pool(slots, "codec"), SystemClock()
        # Locks must be the same ones for all commands of this host.
        settings = endpoint.settings(given.cache_dir or Path(tempfile.gettempdir()) / "deltaglider-s3-locks")
        client = Client(settings, pool, clock)
        try:
            verdicts = await _verdicts(endpoint, client, bucket, probes=writing is not None)
            backend = S3Backend(settings, pool, clock, verdicts)
            settled = _settings(root, slots, given.codec_timeout, bucket, writing)
            engine = Engine(Context(backend, settled, clock, pool, codecs, Events(), Background()))
            try:
                yield EngineStore(engine, client)
            finally:
                await engine.close()
                await backend.close()
        finally:
            await client.close()
            codecs.close()
            pool.close()


def _settings(root: Path, slots: int, codec_timeout: float, bucket: str, writing: Writing | None) -> EngineSettings:
    settings = EngineSettings(
        root / "cache",
        root / "spool",
        max_object_size=_UNLIMITED,
        cache_bytes=1 << 30,
        codec_slots=slots,
        codec_timeout=codec_timeout,
        codec_wait=codec_timeout,
    )
    for directory in (settings.cache_dir, settings.spool_dir):
        directory.mkdir()
    if writing is None:
        return settings
    policy = BucketPolicy(compression=writing.delta)
    return replace(
        settings,
        max_object_size=writing.max_size,
        max_delta_ratio=writing.max_ratio,
        policies={bucket: policy},
    )


async def _verdicts(endpoint: Endpoint, client: Client, bucket: str, *, probes: bool) -> Verdicts:
    folder = endpoint.client.cache_dir
    now = client.clock.now()
    known = known_services.recall(folder, endpoint.name, bucket, now) if folder is not None and bucket else None
    if known is not None:
        return known
    if not probes:
        return _READING
    try:
        found = (await probe(client, bucket)).verdicts
    except NoSuchBucket:
        raise
    except StorageError as error:
        say(f"note: what the service can do could not be tried, so nothing that is there is rewritten: {error}")
        return Verdicts()
    if folder is not None:
        known_services.keep(folder, endpoint.name, bucket, now, found)
    return found


class EngineStore:
    """See `stores.Store`."""

    def __init__(self, engine: Engine, client: Client) -> None:
        self.engine = engine
        self._client = client

    async def buckets(self) -> Sequence[tuple[str, float]]:
        return await self.engine.list_buckets()

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = ""
    ) -> Listing:
        return await self.engine.list(bucket, prefix, after, limit, delimiter)

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        return await self.engine.head(bucket, key)

    async def read(self, bucket: str, key: str) -> AsyncIterator[bytes | memoryview]:
        found = await self.engine.open(bucket, key)
        try:
            async for piece in found.stream(0, found.info.size):
                yield piece
        finally:
            await found.close()

    async def put(
        self,
        bucket: str,
        key: str,
        chunks: AsyncIterator[bytes | bytearray | memoryview],
        size: int | None,
        attributes: Attributes,
    ) -> None:
        await self.engine.put(bucket, key, Body(chunks, size), attributes)

    async def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        await self.engine.copy(source, target, None)

    async def delete(self, bucket: str, key: str) -> bool:
        return await self.engine.delete(bucket, key)

    async def is_compared(self, bucket: str, key: str) -> bool:
        return await has_md5(self._client, bucket, names.to_storage(key))
