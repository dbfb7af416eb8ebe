"""Writing an object, in the way that its size allows.

Up to one buffer: one signed request at the commit, whose MD5 the service compares before anything is visible. More
than that of a known size: one request that flows while the body arrives, so that the ETag is the MD5 that clients
expect. Else: a native multipart upload, whose completion is the commit.

The headers of a request that flows are sent before the commit names its condition. So a body that will be committed
under one is announced as `conditional` and goes up as multipart, which takes the condition at its end.
"""

from collections.abc import Mapping
from typing import Final

from deltaglider_proxy.storage.backend import Condition, IfMatch, Metadata, Stored
from deltaglider_proxy.storage.backends.s3 import uploads
from deltaglider_proxy.storage.backends.s3.answers import md5_of
from deltaglider_proxy.storage.backends.s3.client import CHUNK, Call
from deltaglider_proxy.storage.backends.s3.metadata import to_headers
from deltaglider_proxy.storage.backends.s3.service import Service, condition_headers, made
from deltaglider_proxy.storage.backends.s3.streaming import StreamedPut
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict
from deltaglider_proxy.storage.errors import ConditionFailed, Damaged, StorageError, Unsupported
from deltaglider_proxy.telemetry.tasks import Crew

BUFFER: Final = 8 << 20
LARGEST_PUT: Final = 5 << 30
_HELD_BACK: Final = 64 << 10
_GROWTH: Final = 2500
"""Parts after which the next ones are twice as long, up to four times: 220 GiB in the 10,000 parts that S3 allows."""


async def put(
    service: Service,
    bucket: str,
    key: str,
    data: bytes | bytearray,
    metadata: Metadata,
    condition: Condition,
) -> Stored:
    """One PutObject."""
    beside = to_headers(metadata, service.verdicts)

    async def change(headers: Mapping[str, str]) -> Stored:
        return await send(service, bucket, key, data, metadata, {**beside, **headers})

    return await service.visibly(bucket, key, condition, change, honoured=service.verdicts.put_honours(condition))


async def send(
    service: Service,
    bucket: str,
    key: str,
    data: bytes | bytearray,
    metadata: Metadata,
    headers: Mapping[str, str],
) -> Stored:
    """The same for who holds the key already: `headers` are all there are."""
    call = Call("PUT", bucket, key, headers=headers, body=data, checked=True)
    answer = await service.client.change(call)
    return made(answer, key, len(data), answer.etag, metadata)


class S3Writer:
    """`size` is checked against what was written, where it is given. At most two buffers are in memory."""

    def __init__(
        self,
        service: Service,
        bucket: str,
        key: str,
        metadata: Metadata,
        size: int | None,
        *,
        conditional: bool,
        in_parts: bool = False,
    ) -> None:
        """`in_parts`: the ETag is to be one of parts, however small the object is. Raises MetadataTooLarge."""
        self._service = service
        self._bucket = bucket
        self._key = key
        self._metadata = dict(metadata)
        self._headers = to_headers(metadata, service.verdicts)
        self._size = size
        self._written = 0
        self._buffer = bytearray()
        streams = service.verdicts.streams is Verdict.WORKS
        self._flows = size is not None and BUFFER < size <= LARGEST_PUT and streams and not conditional and not in_parts
        self._in_parts = in_parts
        self._stream: StreamedPut | None = None
        self._upload: uploads.Upload | None = None
        self._crew: Crew | None = None
        self._parts = 0
        self._open = True

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self._open, "write after the writer has ended"
        try:
            with memoryview(data) as view:
                done = 0
                while done < len(view):
                    limit = self._limit()
                    part = view[done : done + limit - len(self._buffer)]
                    self._buffer += part
                    done += len(part)
                    if len(self._buffer) == limit and (self._flows or done < len(view)):
                        await self._pass_on()
                self._written += len(view)
        except BaseException:
            await self.abort()
            raise

    async def commit(self, condition: Condition = None, metadata: Metadata | None = None) -> Stored:
        assert self._open, "commit after the writer has ended"
        if metadata is not None:
            if self._stream is not None or self._parts:
                raise ValueError("metadata: a body of this size takes it only early; see Capabilities.late_metadata")
            self._metadata = dict(metadata)
        assert self._size in (None, self._written), f"size: {self._size} announced, {self._written} written"
        try:
            stored = await self._commit(condition)
            self._open = False
            return stored
        except ConditionFailed:
            raise
        except BaseException:
            await self.abort()
            raise

    async def abort(self) -> None:
        """Parts that the service does not let go of stay, invisible; its own rules remove them."""
        self._open = False
        self._buffer = bytearray()
        crew, self._crew = self._crew, None
        stream, self._stream = self._stream, None
        upload, self._upload = self._upload, None
        try:
            if crew is not None:
                await crew.close()
            if stream is not None:
                await stream.cut()
        finally:
            if upload is not None:
                await upload.abort()

    def _limit(self) -> int:
        """Bytes to gather before they are passed on."""
        if self._flows:
            return CHUNK + _HELD_BACK
        if self._size is not None and self._size > BUFFER * uploads.MOST_PARTS:
            return -(-self._size // (uploads.MOST_PARTS - 1))
        return BUFFER << min(self._parts // _GROWTH, 2)

    async def _pass_on(self) -> None:
        if not self._flows:
            await self._begin_part()
            return
        assert self._size is not None
        if self._stream is None:
            call = Call("PUT", self._bucket, self._key, headers=self._headers)
            self._stream = StreamedPut(self._service.client, call, self._size)
        piece = bytes(self._buffer[:CHUNK])
        del self._buffer[:CHUNK]
        await self._stream.feed(piece)

    async def _begin_part(self) -> None:
        """Send the buffer while the next one fills."""
        await self._join()
        if self._upload is None:
            self._upload = await uploads.begin(self._service, self._bucket, self._key, self._metadata)
        full, self._buffer = self._buffer, bytearray()
        self._parts += 1
        self._crew = Crew()
        self._crew.start(self._upload.part(full))

    async def _join(self) -> None:
        if self._crew is not None:
            crew, self._crew = self._crew, None
            try:
                await crew.join()
            finally:
                await crew.close()

    async def _commit(self, condition: Condition) -> Stored:
        service = self._service
        if self._stream is not None:
            return await self._finish(self._stream, condition)
        if self._parts == 0 and not (self._in_parts and self._buffer):
            return await put(service, self._bucket, self._key, self._buffer, self._metadata, condition)
        if self._buffer:
            await self._begin_part()
        await self._join()
        assert self._upload is not None
        stored = await self._upload.complete(condition)
        self._upload = None
        return stored

    async def _finish(self, stream: StreamedPut, condition: Condition) -> Stored:
        if condition is not None:
            raise Unsupported(
                f"{self._bucket}/{self._key[:200]!r}: a body of {self._size} bytes that was not announced as "
                f"conditional has no place for a condition any more"
            )

        async def change(_: Mapping[str, str]) -> Stored:
            answer, md5 = await stream.finish(self._buffer)
            if self._service.verdicts.md5_etags is Verdict.WORKS and (md5_of(answer.headers) or md5) != md5:
                await self._discard(answer.etag)
                raise Damaged(f"{self._bucket}/{self._key[:200]!r}: the service has ETag {answer.etag} for MD5 {md5}")
            return made(answer, self._key, self._written, answer.etag, self._metadata)

        return await self._service.visibly(self._bucket, self._key, None, change, honoured=True)

    async def _discard(self, etag: str) -> None:
        """Delete what was damaged on its way, unless something else is there by now."""
        if self._service.verdicts.delete_if_match is Verdict.WORKS:
            headers = condition_headers(IfMatch(etag))
            try:
                await self._service.client.change(Call("DELETE", self._bucket, self._key, headers=headers))
            except StorageError:
                return  # it is told as damaged either way
