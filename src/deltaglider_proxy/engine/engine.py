"""The engine as one object: see `engine.api.ObjectStore`."""

from collections.abc import Mapping, Sequence

from deltaglider_proxy.engine import delete, errors, listing, names, tags, uploads, usage
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.copy import Copier
from deltaglider_proxy.engine.facts import Facts
from deltaglider_proxy.engine.gc import Collector, Report
from deltaglider_proxy.engine.get import Getter, OpenObject
from deltaglider_proxy.engine.legacy import names as legacy_names
from deltaglider_proxy.engine.legacy import reclaim
from deltaglider_proxy.engine.model import (
    Attributes,
    Body,
    ChecksumAlgorithm,
    ChecksumType,
    CompletedPart,
    Listing,
    ObjectInfo,
    PartInfo,
    Precondition,
    UploadInfo,
    UploadListing,
)
from deltaglider_proxy.engine.multipart import Multipart, Verify
from deltaglider_proxy.engine.put import Putter
from deltaglider_proxy.engine.quota import Quotas
from deltaglider_proxy.engine.reference_cache import ReferenceCache
from deltaglider_proxy.engine.spool import Spool
from deltaglider_proxy.engine.tags import Tagged
from deltaglider_proxy.engine.translate import translated
from deltaglider_proxy.engine.usage import Usage


class Engine:
    def __init__(self, ctx: Context) -> None:
        settings = ctx.settings
        self.ctx = ctx
        self.cache = ReferenceCache(
            settings.cache_dir, settings.cache_bytes, ctx.backend, ctx.pool, ctx.events.integrity_failed
        )
        self.collector = Collector(ctx)
        spool = Spool(settings.spool_dir)
        self._facts = Facts(ctx, settings.cache_dir / "facts.db", settings.metadata_cache_bytes, settings.index_bytes)
        self._tagged = Tagged(ctx)
        self._getter = Getter(ctx, self.cache, spool, self._tagged)
        self._quotas = Quotas(ctx, self._facts)
        self._putter = Putter(ctx, self.cache, spool, self._quotas, self._tagged)
        self._copier = Copier(ctx, self._getter, self._putter)
        self._multipart = Multipart(ctx, self._getter, self._putter)

    @translated
    async def list_buckets(self) -> Sequence[tuple[str, float]]:
        return [(b.name, b.created) for b in await self.ctx.backend.buckets()]

    @translated
    async def head_bucket(self, bucket: str) -> None:
        await self.ctx.backend.bucket(bucket)

    @translated
    async def create_bucket(self, bucket: str) -> None:
        await self.ctx.backend.create_bucket(bucket)

    @translated
    async def delete_bucket(self, bucket: str) -> None:
        found = await self.list(bucket, limit=1)
        if found.entries:
            first = found.entries[0]
            key = first if isinstance(first, str) else first.key
            raise errors.BucketNotEmpty(key, len(await uploads.all_uploads(self.ctx, bucket)))
        if self.ctx.settings.policy(bucket).legacy:
            await reclaim.purge(self.ctx, self._facts, bucket)
        await self.ctx.backend.delete_bucket(bucket, names.INTERNAL)

    @translated
    async def head(self, bucket: str, key: str) -> ObjectInfo:
        return await self._getter.head(bucket, key)

    @translated
    async def open(self, bucket: str, key: str) -> OpenObject:
        return await self._getter.open(bucket, key)

    @translated
    async def put(
        self, bucket: str, key: str, body: Body, attributes: Attributes, precondition: Precondition | None = None
    ) -> ObjectInfo:
        legacy_names.refuse(self.ctx, bucket, key)
        return await self._putter.put(bucket, key, body, attributes, precondition)

    @translated
    async def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        attributes: Attributes | None,
        source_precondition: Precondition | None = None,
        precondition: Precondition | None = None,
        checksum: ChecksumAlgorithm | None = None,
    ) -> ObjectInfo:
        legacy_names.refuse(self.ctx, *target)
        return await self._copier.copy(source, target, attributes, source_precondition, precondition, checksum)

    @translated
    async def delete(self, bucket: str, key: str, precondition: Precondition | None = None) -> bool:
        async with self._quotas.removing(bucket, names.to_storage(key)):
            return await delete.delete(self.ctx, bucket, key, precondition)

    @translated
    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = ""
    ) -> Listing:
        return await listing.list_objects(self.ctx, self._facts, bucket, prefix, after, limit, delimiter)

    @translated
    async def get_tags(self, bucket: str, key: str) -> Mapping[str, str]:
        return await tags.read(self.ctx, bucket, await self._getter.head(bucket, key))

    @translated
    async def set_tags(self, bucket: str, key: str, tagging: Mapping[str, str]) -> None:
        info = await self._getter.head(bucket, key)
        await self._tagged.write(bucket, tags.place(info), tagging)

    @translated
    async def create_upload(
        self,
        bucket: str,
        key: str,
        attributes: Attributes,
        checksum_algorithm: ChecksumAlgorithm | None,
        checksum_type: ChecksumType | None,
    ) -> str:
        legacy_names.refuse(self.ctx, bucket, key)
        return await uploads.create(self.ctx, bucket, key, attributes, checksum_algorithm, checksum_type)

    @translated
    async def put_part(self, bucket: str, key: str, upload_id: str, number: int, body: Body) -> PartInfo:
        return await self._multipart.put_part(bucket, key, upload_id, number, body)

    @translated
    async def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[CompletedPart],
        precondition: Precondition | None = None,
        verify: Verify | None = None,
    ) -> ObjectInfo:
        return await self._multipart.complete(bucket, key, upload_id, parts, precondition, verify)

    @translated
    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        await uploads.load(self.ctx, bucket, key, upload_id)
        await uploads.discard(self.ctx, bucket, upload_id)

    @translated
    async def list_parts(
        self, bucket: str, key: str, upload_id: str, after: int = 0, limit: int = 1000
    ) -> tuple[UploadInfo, Sequence[PartInfo], bool]:
        upload = await uploads.load(self.ctx, bucket, key, upload_id)
        found = [p.info for p in await uploads.parts(self.ctx, bucket, upload_id) if p.info.number > after]
        return upload, found[:limit], len(found) > limit

    @translated
    async def list_uploads(
        self, bucket: str, prefix: str, after_key: str, after_upload: str, limit: int, delimiter: str
    ) -> UploadListing:
        return await uploads.list_uploads(self.ctx, bucket, prefix, after_key, after_upload, limit, delimiter)

    @translated
    async def usage(self, bucket: str | None) -> Usage:
        """Of one bucket, zeros if there is none, or of all."""
        return await usage.measure(self.ctx, self._facts, bucket)

    @translated
    async def open_uploads(self) -> int:
        """Multipart uploads that are neither completed nor aborted."""
        return sum([len(await uploads.upload_keys(self.ctx, b.name)) for b in await self.ctx.backend.buckets()])

    @translated
    async def collect(self, bucket: str, *, quiescent: bool = False) -> Report:
        return await self.collector.collect(bucket, quiescent=quiescent)

    async def close(self) -> None:
        """Finish what runs behind acknowledgements."""
        await self.ctx.background.drain()
        self._quotas.close()
        self._facts.close()
