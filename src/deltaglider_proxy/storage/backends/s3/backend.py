"""Objects in a service that speaks S3, each under its own key, with what the service itself guarantees.

Compare-and-swap, copies and listings of services differ, so what is asked of one depends on verdicts about it, and with
the most pessimistic ones everything still works on one host, only slower. See client.py for what is repeated, turns.py
for who waits for whom, writer.py for how bodies go up.
"""

from collections.abc import Sequence
from dataclasses import replace

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import (
    BucketInfo,
    Capabilities,
    Condition,
    IfMatch,
    Metadata,
    Page,
    Piece,
    Reader,
    Stored,
)
from deltaglider_proxy.storage.backends.s3 import buckets, compose, listing, odd_keys, writer
from deltaglider_proxy.storage.backends.s3 import metadata as metadata_of
from deltaglider_proxy.storage.backends.s3.answers import meaning, storage_class
from deltaglider_proxy.storage.backends.s3.bucket_rules import OURS, RulesOfBuckets
from deltaglider_proxy.storage.backends.s3.client import Call, Client
from deltaglider_proxy.storage.backends.s3.reader import open_object
from deltaglider_proxy.storage.backends.s3.service import Service, check, condition_headers
from deltaglider_proxy.storage.backends.s3.settings import S3Settings
from deltaglider_proxy.storage.backends.s3.turns import Turns
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import (
    ConditionFailed,
    KeyRejected,
    NoSuchBucket,
    NoSuchKey,
    Unavailable,
    Unsupported,
)
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

_CAPABILITIES = Capabilities(
    max_metadata=metadata_of.MAX, listing_has_metadata=False, late_metadata=writer.BUFFER, local=False
)
_FLEETING = replace(_CAPABILITIES, permanent=False)


class S3Backend:
    """`verdicts` about the service are `probe`'s. The pool is the caller's to close, after this."""

    def __init__(self, settings: S3Settings, pool: Pool, clock: Clock, verdicts: Verdicts) -> None:
        """Raises ValueError for an endpoint that cannot be."""
        self._client = Client(settings, pool, clock)
        self._service = Service(self._client, Turns(settings.lock_dir, settings.deadline), verdicts)
        self._judge = odd_keys.judge_of(verdicts)
        self._rules = RulesOfBuckets(self._client)
        self._created: dict[str, BucketInfo] = {}

    def learn(self, verdicts: Verdicts) -> None:
        """What a later probe has found out; requests that have begun go on as they were."""
        self._service.verdicts = verdicts
        self._judge = odd_keys.judge_of(verdicts)

    def capabilities(self, bucket: str, /) -> Capabilities:
        """`permanent` counts from the first listing of what the engine keeps in the bucket."""
        return _FLEETING if self._rules.harm(bucket) else _CAPABILITIES

    async def buckets(self) -> Sequence[BucketInfo]:
        found = await buckets.every(self._service)
        self._created = {info.name: info for info in found}
        return found

    async def bucket(self, bucket: str) -> BucketInfo:
        """Created at the epoch, if we may not list buckets, which alone shows when they were created."""
        await self._service.look_for(bucket)
        if bucket not in self._created:
            try:
                await self.buckets()
            except Unavailable:
                return BucketInfo(bucket, 0.0)
        return self._created.get(bucket) or BucketInfo(bucket, 0.0)

    async def create_bucket(self, bucket: str) -> None:
        self._created.pop(bucket, None)
        self._rules.forget(bucket)
        await self._service.turns.alone(bucket, lambda: buckets.create(self._service, bucket))

    async def delete_bucket(self, bucket: str, disposable: str) -> None:
        self._created.pop(bucket, None)
        self._rules.forget(bucket)
        await self._service.turns.alone(bucket, lambda: buckets.delete(self._service, bucket, disposable))

    async def head(self, bucket: str, key: str) -> Stored:
        self._check_readable(key)
        return await self._service.head(bucket, key)

    def head_now(self, _bucket: str, _key: str) -> Stored | None:
        return None

    async def open(self, bucket: str, key: str) -> Reader:
        self._check_readable(key)
        return await open_object(self._service, bucket, key)

    async def write(
        self, bucket: str, key: str, metadata: Metadata, size: int | None = None, *, conditional: bool = False
    ) -> writer.S3Writer:
        """`conditional`: the commit will name a condition, which a body of more than 8 MiB has to be prepared for."""
        self._check(key)
        await self._service.require(bucket)
        return writer.S3Writer(self._service, bucket, key, metadata, size, conditional=conditional)

    async def delete(self, bucket: str, key: str, condition: IfMatch | None = None) -> bool:
        if not keys.is_key(key) or not self._holds(key):
            check(condition, None)
            return False
        return await self._service.turns.change(bucket, key, lambda: self._delete(bucket, key, condition))

    async def compose(
        self,
        bucket: str,
        key: str,
        pieces: Sequence[Piece],
        metadata: Metadata,
        condition: Condition = None,
        pin: IfMatch | None = None,
    ) -> Stored:
        self._check(key)
        return await compose.compose(self._service, bucket, key, pieces, metadata, condition, pin)

    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        """Keeps the storage class of the object, where that can be read at once."""
        self._check(key)
        service = self._service
        if service.verdicts.replace_if_match is not Verdict.WORKS:
            raise Unsupported(f"{bucket}/{key[:200]!r}: the service cannot replace exactly one generation of an object")

        metadata_headers = metadata_of.to_headers(metadata, service.verdicts)

        async def change() -> Stored:
            try:
                found, answer = await service.look(bucket, key)
            except NoSuchKey as error:
                raise ConditionFailed(str(error)) from error
            if (found.etag, found.metadata) != (expected.etag, dict(expected.metadata or {})):
                raise ConditionFailed("the key does not hold exactly this object")
            kept = storage_class(answer)
            extra = {"x-amz-storage-class": kept} if kept else {}
            headers = {**metadata_headers, **extra, **condition_headers(IfMatch(expected.etag))}
            return await writer.send(service, bucket, key, data, metadata, headers)

        return await service.turns.change(bucket, key, change)

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = "", hidden: str = ""
    ) -> Page:
        if prefix.startswith(OURS):
            await self._rules.learn(bucket)
        return await listing.page(self._service, bucket, listing.Query(prefix, after, limit, delimiter, hidden))

    async def close(self) -> None:
        await self._client.close()

    async def _delete(self, bucket: str, key: str, condition: IfMatch | None) -> bool:
        """S3 answers the same whether or not there was an object, so it is looked at first."""
        service = self._service
        try:
            current = await service.current(bucket, key)
            check(condition, current)
            if current is None:
                return False
            honoured = service.verdicts.delete_if_match is Verdict.WORKS
            headers = condition_headers(condition) if honoured else {}
            call = Call("DELETE", bucket, key, headers=headers)
            answer = await self._client.send(call, mutation=True)
        except NoSuchBucket:
            service.forget(bucket)
            raise
        if answer.status == 404 and answer.code != "NoSuchBucket":
            check(condition, None)
            return False
        if not answer.good:
            raise meaning(answer, call.subject, mutation=True)
        return True

    def _check(self, key: str) -> None:
        """Raises KeyRejected, Unavailable."""
        keys.check(key)
        if not self._holds(key):
            raise KeyRejected(
                f"{key[:200]!r}: the service behind this bucket would take it for another key or list it as another; "
                f"choose one without the characters or components that `backend check` names"
            )

    def _check_readable(self, key: str) -> None:
        """Raises NoSuchKey, Unavailable."""
        if not keys.is_key(key) or not self._holds(key):
            raise NoSuchKey(key[:200])

    def _holds(self, key: str) -> bool:
        """Raises Unavailable while nobody knows: what the service has for such a key may be another one's."""
        judged = self._judge(key)
        if judged is Verdict.UNTESTED:
            raise Unavailable(f"{key[:200]!r}: whether the service holds such a key was not tried yet; try again later")
        return judged is Verdict.WORKS
