"""The one object through which nodes share their users, and the conditions under which it may be replaced."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deltaglider_proxy.server.storage import Service
from deltaglider_proxy.storage.backends.s3.answers import meaning
from deltaglider_proxy.storage.backends.s3.client import Call, Client
from deltaglider_proxy.storage.backends.s3.probe import probe_conditions
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict
from deltaglider_proxy.storage.errors import Unavailable
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

_DIGEST: Final = "x-amz-meta-dgp-sha256"


@dataclass(frozen=True, slots=True)
class SyncSettings:
    service: Service
    """That of the default backend."""
    bucket: str
    key: str
    poll: float
    """Seconds between two looks."""


class SyncBucket:
    """Raises StorageError throughout; ConditionFailed if the object is another one than was named."""

    def __init__(self, settings: SyncSettings, pool: Pool, clock: Clock) -> None:
        self._settings = settings
        self._client = Client(settings.service.settings, pool, clock)
        self._pool = pool

    @property
    def place(self) -> str:
        return f"{self._settings.bucket}/{self._settings.key}"

    async def can_be_shared(self) -> bool:
        """Whether the service lets only one of several writers win. Raises NoSuchBucket."""
        verdicts = (await probe_conditions(self._client, self._settings.bucket)).verdicts
        untested = Verdict.UNTESTED in (verdicts.create_if_absent, verdicts.replace_if_match)
        if untested:
            raise Unavailable(f"{self._settings.bucket}: conditional writes could not be tried")
        return verdicts.create_if_absent is Verdict.WORKS and verdicts.replace_if_match is Verdict.WORKS

    async def etag(self) -> str | None:
        """None: there is no object yet."""
        call = self._call("HEAD")
        answer = await self._client.read(call)
        if answer.status == 404:
            return None
        if not answer.good:
            raise meaning(answer, call.subject, mutation=False)
        return answer.etag

    async def fetch(self, etag: str, into: Path) -> None:
        """Write this generation of the object to a new file."""
        hashed = hashlib.sha256()
        async with self._client.stream(self._call("GET", {"if-match": f'"{etag}"'})) as response:
            descriptor = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                async for piece in response.content.iter_chunked(1 << 20):
                    hashed.update(piece)
                    await self._pool.run(file.write, piece)
            promised = response.headers.get(_DIGEST)
        if promised is not None and promised != hashed.hexdigest():
            raise Unavailable(f"{self.place}: what came is not what was stored")

    async def store(self, path: Path, etag: str | None) -> str:
        """In place of the object that has this ETag, or where there is none; the new one's."""
        data = await self._pool.run(path.read_bytes)
        assert data, "a database is never empty"
        condition = {"if-none-match": "*"} if etag is None else {"if-match": f'"{etag}"'}
        digest = await self._pool.run(hashlib.sha256, data)
        headers = {"content-type": "application/octet-stream", _DIGEST: digest.hexdigest(), **condition}
        return (await self._client.change(self._call("PUT", headers, data))).etag

    def _call(self, method: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Call:
        settings = self._settings
        return Call(method, settings.bucket, settings.key, headers=headers or {}, body=body, checked=bool(body))

    async def close(self) -> None:
        await self._client.close()
