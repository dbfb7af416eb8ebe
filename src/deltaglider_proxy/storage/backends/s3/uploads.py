"""A native multipart upload: parts that nobody sees, and one request that makes them an object.

A part is named by its upload and its number, so sending it again is harmless; completing is a mutation like any other.
"""

from collections.abc import Mapping
from typing import Final

from deltaglider_proxy.storage.backend import Condition, Metadata, Stored
from deltaglider_proxy.storage.backends.s3 import documents
from deltaglider_proxy.storage.backends.s3.answers import Answer, Busy, hidden_error, meaning
from deltaglider_proxy.storage.backends.s3.client import Call
from deltaglider_proxy.storage.backends.s3.metadata import to_headers
from deltaglider_proxy.storage.backends.s3.service import Service, check, made
from deltaglider_proxy.storage.backends.s3.signing import encoded_path
from deltaglider_proxy.storage.errors import Changed, ConditionFailed, Unavailable, Uncertain

SMALLEST_PART: Final = 5 << 20
"""Of all but the last."""
LARGEST_COPY: Final = 5 << 30
MOST_PARTS: Final = 10_000


async def begin(
    service: Service, bucket: str, key: str, metadata: Metadata, extra: Mapping[str, str] | None = None
) -> "Upload":
    """`extra` headers besides those of the metadata. Raises NoSuchBucket, MetadataTooLarge."""
    headers = {**to_headers(metadata, service.verdicts), **(extra or {})}
    call = Call("POST", bucket, key, query={"uploads": ""}, headers=headers)
    answer = await _repeatable(service, call)
    return Upload(service, bucket, key, metadata, _required(answer, call, "UploadId"))


class Upload:
    def __init__(self, service: Service, bucket: str, key: str, metadata: Metadata, upload_id: str) -> None:
        self._service = service
        self._bucket = bucket
        self._key = key
        self._metadata = metadata
        self._id = upload_id
        self._etags: list[str] = []
        self._size = 0

    async def part(self, body: bytes | bytearray) -> None:
        """The next part; `body` must stay as it is until this returns."""
        call = self._call("PUT", {"partNumber": str(len(self._etags) + 1)}, body=body)
        answer = await _repeatable(self._service, call)
        if not answer.etag:
            raise Unavailable(f"{call.subject}: the service named no ETag for a part")
        self._add(answer.etag, len(body))

    async def copied_part(self, source: Stored, start: int, stop: int) -> None:
        """The next part, from another object of the bucket, if that is still the same. Raises Changed, NoSuchKey."""
        headers = {**source_headers(self._bucket, source), "x-amz-copy-source-range": f"bytes={start}-{stop - 1}"}
        call = self._call("PUT", {"partNumber": str(len(self._etags) + 1)}, headers=headers)
        try:
            answer = await _repeatable(self._service, call)
        except ConditionFailed as error:
            raise Changed(source.key) from error
        self._add(documents.etag(_required(answer, call, "ETag")), stop - start)

    async def complete(self, condition: Condition) -> Stored:
        """Raises ConditionFailed, after which it may be tried again, and what mutations raise."""
        if not self._etags:
            await self.part(b"")
        body = documents.complete_upload(self._etags)

        async def change(headers: Mapping[str, str]) -> Stored:
            call = self._call("POST", {}, headers={**headers, "content-type": "application/xml"}, body=body)
            answer = await self._service.client.send(call, mutation=True)
            if answer.code == "NoSuchUpload":
                # Some drop it when a condition fails; then that is the news.
                check(condition, await self._service.current(self._bucket, self._key))
                raise Unavailable(f"{call.subject}: the service has dropped the upload; upload it again")
            if not answer.good:
                raise meaning(answer, call.subject, mutation=True)
            if (error := hidden_error(answer, call.subject, mutation=True)) is not None:
                raise error
            try:
                etag = documents.etag(_required(answer, call, "ETag"))
            except Busy as error:
                raise Uncertain(str(error)) from error
            return made(answer, self._key, self._size, etag, self._metadata)

        honoured = self._service.verdicts.complete_honours(condition)
        return await self._service.visibly(self._bucket, self._key, condition, change, honoured=honoured)

    async def abort(self) -> None:
        """Forget the parts; harmless if there are none any more."""
        call = self._call("DELETE", {})
        answer = await self._service.client.read(call)
        if not answer.good and answer.status != 404:
            raise meaning(answer, call.subject, mutation=False)

    def _add(self, etag: str, size: int) -> None:
        self._etags.append(etag)
        self._size += size

    def _call(
        self,
        method: str,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        body: bytes | bytearray = b"",
    ) -> Call:
        query = {**query, "uploadId": self._id}
        return Call(method, self._bucket, self._key, query=query, headers=headers or {}, body=body, checked=bool(body))


def source_headers(bucket: str, source: Stored) -> dict[str, str]:
    """Name the object to copy from, as exactly this generation."""
    return {
        "x-amz-copy-source": encoded_path(f"/{bucket}/{source.key}"),
        "x-amz-copy-source-if-match": f'"{source.etag}"',
    }


async def _repeatable(service: Service, call: Call) -> Answer:
    """Of a request that nobody can see the effect of, so that it may be repeated."""
    answer = await service.client.send(call, mutation=False)
    if not answer.good:
        raise meaning(answer, call.subject, mutation=False)
    if (error := hidden_error(answer, call.subject, mutation=False)) is not None:
        raise error
    return answer


def _required(answer: Answer, call: Call, name: str) -> str:
    try:
        return documents.required(documents.parse(answer.body), name)
    except documents.Malformed as error:
        raise Busy(f"{call.subject}: {error}") from error
