"""Reading one generation: the first request brings its headers and its first bytes, all others carry its ETag.

A whole object of which the ETag is the MD5 is compared with it, and its last piece waits for that. A connection that
breaks is taken up again where it broke; what comes is exactly the range that was asked for, or an error.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

import aiohttp

from deltaglider_proxy.storage.backend import STEP, Stored
from deltaglider_proxy.storage.backends.s3.answers import Busy, describe, md5_of, meaning
from deltaglider_proxy.storage.backends.s3.client import Call, pause
from deltaglider_proxy.storage.backends.s3.service import Service
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict
from deltaglider_proxy.storage.errors import Changed, ConditionFailed, Damaged, NoSuchKey, Unavailable
from deltaglider_proxy.telemetry.pool import Pool

PREFETCH: Final = 256 << 10
_RESUMES: Final = 5
_IN_LINE: Final = 64 << 10
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


async def open_object(service: Service, bucket: str, key: str) -> "S3Reader":
    """Raises NoSuchKey, NoSuchBucket."""
    call = Call("GET", bucket, key, headers={"range": f"bytes=0-{PREFETCH - 1}"})
    while True:
        answer = await service.client.read(call)
        if answer.status == 416:  # what is empty has no first byte
            stored, head = await service.look(bucket, key)
            if stored.size > 0:
                continue
            return S3Reader(service, bucket, stored, b"", head.headers)
        if answer.status == 404 and not answer.code:
            await service.require(bucket)
            raise NoSuchKey(key)
        if not answer.good:
            raise meaning(answer, call.subject, mutation=False)
        size = len(answer.body)
        if answer.status == 206:
            first, stop, size = _range(answer.headers, call.subject)
            if (first, stop) != (0, min(PREFETCH, size)) or stop != len(answer.body):
                raise Unavailable(f"{call.subject}: asked for the first {PREFETCH} bytes, got {first} to {stop}")
        return S3Reader(service, bucket, describe(answer, key, size), answer.body, answer.headers)


class S3Reader:
    def __init__(self, service: Service, bucket: str, stored: Stored, start: bytes, headers: Mapping[str, str]) -> None:
        """`start`: the first bytes of the object, all of it if they are as many as its size."""
        self.stored = stored
        self._client = service.client
        self._bucket = bucket
        self._start = start
        self._md5 = md5_of(headers) if service.verdicts.md5_etags is Verdict.WORKS else None
        self._responses: set[aiohttp.ClientResponse] = set()
        self._open = True

    async def read(self, start: int, stop: int) -> bytes:
        start, stop = self._clamp(start, stop)
        data = self._start[start:stop]
        if len(data) < stop - start:
            data += await self._fetch(start + len(data), stop)
        if len(data) == self.stored.size:
            await _verify(self._client.pool, self._md5, data, self.stored.key)
        return data

    def read_now(self, start: int, stop: int) -> bytes | None:
        start, stop = self._clamp(start, stop)
        if stop - start == self.stored.size and stop > _IN_LINE and self._md5 is not None:
            return None
        if start == stop or stop <= len(self._start):
            return self._start[start:stop]
        return None

    async def chunks(self, start: int, stop: int, step: int = STEP) -> AsyncIterator[bytes]:
        start, stop = self._clamp(start, stop)
        whole = self._md5 is not None and stop - start == self.stored.size
        digest = hashlib.md5(usedforsecurity=False)
        piece = bytearray()
        at = start
        async for data in self._bytes(start, stop):
            done = 0
            while done < len(data):
                part = data[done : done + step - len(piece)]
                piece += part
                done += len(part)
                at += len(part)
                if len(piece) == step or at == stop:
                    full, piece = bytes(piece), bytearray()
                    if whole:
                        await self._client.pool.run(digest.update, full)
                        if at == stop and digest.hexdigest() != self._md5:
                            raise Damaged(f"{self.stored.key!r}: the bytes are not those of its ETag {self._md5}")
                    yield full

    def fileno(self) -> int | None:
        return None

    async def close(self) -> None:
        self._open = False
        for response in self._responses:
            response.close()
        self._start = b""

    async def _bytes(self, start: int, stop: int) -> AsyncIterator[bytes]:
        held = self._start[start:stop]
        if held:
            yield held
        at = start + len(held)
        resumed = 0
        while at < stop:
            if not self._open:
                raise Unavailable(f"{self.stored.key!r}: the reader was closed")
            before = at
            try:
                async for data in self._streamed(at, stop):
                    at += len(data)
                    yield data
            except Busy:
                resumed = resumed + 1 if at == before else 1
                if resumed > _RESUMES or not self._open:
                    raise
                await asyncio.sleep(pause(resumed))

    async def _streamed(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Exactly the range, or Busy behind a part of it."""
        call = self._call(start, stop)
        try:
            async with self._client.stream(call) as response:
                self._responses.add(response)
                try:
                    self._check(response.status, response.headers, start, stop)
                    left = stop - start
                    async for data in response.content.iter_any():
                        left -= len(data)
                        if left < 0:
                            raise Unavailable(f"{call.subject}: more bytes came than were announced")
                        yield data
                    if left:
                        raise Busy(f"{call.subject}: {left} bytes are missing")
                finally:
                    self._responses.discard(response)
        except (ConditionFailed, NoSuchKey) as error:
            raise Changed(self.stored.key) from error

    async def _fetch(self, start: int, stop: int) -> bytes:
        call = self._call(start, stop)
        answer = await self._client.read(call)
        if answer.status in (404, 412):
            raise Changed(self.stored.key)
        if not answer.good:
            raise meaning(answer, call.subject, mutation=False)
        self._check(answer.status, answer.headers, start, stop)
        if len(answer.body) != stop - start:
            raise Unavailable(f"{call.subject}: {len(answer.body)} bytes came instead of {stop - start}")
        return answer.body

    def _call(self, start: int, stop: int) -> Call:
        headers = {"range": f"bytes={start}-{stop - 1}", "if-match": f'"{self.stored.etag}"'}
        return Call("GET", self._bucket, self.stored.key, headers=headers)

    def _check(self, status: int, headers: Mapping[str, str], start: int, stop: int) -> None:
        """Raises Changed for another generation, for a service that ignores If-Match; Unavailable for another range."""
        subject = f"GET {self._bucket}/{self.stored.key[:200]!r}"
        if headers.get("etag", "").removeprefix("W/").strip('"') != self.stored.etag:
            raise Changed(self.stored.key)
        if status != 206 or _range(headers, subject) != (start, stop, self.stored.size):
            raise Unavailable(f"{subject}: asked for bytes {start} to {stop}, got {headers.get('content-range')}")

    def _clamp(self, start: int, stop: int) -> tuple[int, int]:
        start = min(max(start, 0), self.stored.size)
        return start, min(max(stop, start), self.stored.size)


async def _verify(pool: Pool, md5: str | None, data: bytes, key: str) -> None:
    if md5 is None:
        return
    found = _md5(data) if len(data) <= _IN_LINE else await pool.run(_md5, data)
    if found != md5:
        raise Damaged(f"{key!r}: the bytes are not those of its ETag {md5}")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _range(headers: Mapping[str, str], subject: str) -> tuple[int, int, int]:
    """First byte, byte behind the last, and size of the object."""
    found = _RANGE.fullmatch(headers.get("content-range", ""))
    if found is None:
        raise Unavailable(f"{subject}: an answer to a range names none")
    first, last, size = map(int, found.groups())
    return first, last + 1, size
