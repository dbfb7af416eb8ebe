"""The objects of one probe, below a place of their own, with names that nobody else uses; all removed at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deltaglider_proxy.storage.backends.s3 import documents
from deltaglider_proxy.storage.backends.s3.answers import Answer
from deltaglider_proxy.storage.backends.s3.client import Call
from deltaglider_proxy.storage.backends.s3.service import Service
from deltaglider_proxy.storage.errors import StorageError, Unavailable


@dataclass(slots=True)
class Throwaway:
    service: Service
    bucket: str
    place: str
    """What all keys begin with."""
    notes: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    uploads: list[tuple[str, str]] = field(default_factory=list)

    async def put(self, name: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        key = self.place + name
        self.made.add(key)
        headers = {"content-type": "binary/octet-stream", **(headers or {})}
        return await self.send(Call("PUT", self.bucket, key, headers=headers, body=body, checked=bool(body)))

    async def stored(self, name: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        answer = await self.put(name, body, headers)
        if not answer.good:
            raise Unavailable(f"a plain PutObject was refused: {answer.status} {answer.code}")
        return answer

    async def holds(self, name: str, body: bytes | None) -> bool:
        answer = await self.send(Call("GET", self.bucket, self.place + name))
        return answer.status == 404 if body is None else answer.good and answer.body == body

    async def begin(self, key: str, headers: Mapping[str, str] | None = None) -> str:
        self.made.add(key)
        answer = await self.send(Call("POST", self.bucket, key, query={"uploads": ""}, headers=headers or {}))
        if not answer.good:
            raise Unavailable(f"no upload can be begun: {answer.status} {answer.code}")
        upload = documents.required(documents.parse(answer.body), "UploadId")
        self.uploads.append((key, upload))
        return upload

    async def complete(
        self, name: str, body: bytes, headers: Mapping[str, str], beginning: Mapping[str, str] | None = None
    ) -> Answer:
        """`headers` of the completion, and of the beginning."""
        key = self.place + name
        upload = await self.begin(key, beginning)
        query = {"partNumber": "1", "uploadId": upload}
        part = await self.send(Call("PUT", self.bucket, key, query=query, body=body))
        document = documents.complete_upload([part.etag])
        return await self.send(
            Call("POST", self.bucket, key, query={"uploadId": upload}, headers=headers, body=document)
        )

    async def send(self, call: Call) -> Answer:
        """Names are used by this probe alone, so any request may be repeated; 501 and the like are answers."""
        return await self.service.client.send(call, mutation=False)

    async def clean_up(self) -> None:
        """What cannot be removed is said, and found by whoever lists the place."""
        try:
            for key, upload in self.uploads:
                await self.send(Call("DELETE", self.bucket, key, query={"uploadId": upload}))
            for key in sorted(self.made, reverse=True):
                await self.send(Call("DELETE", self.bucket, key))
        except StorageError as error:
            self.notes.append(f"not all of {self.place} was removed: {error}")
