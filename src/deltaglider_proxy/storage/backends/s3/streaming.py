"""One PutObject whose body is still being produced, cut off unless it is finished.

The body is signed in chunks and ends with an empty one, which only `finish` sends, so a connection that is cut before
has brought an incomplete request. A length alone does not do: there are services that keep what came of a plain body
when its connection ends. Whether a service drops what is incomplete is a verdict of the probe.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import Future

from deltaglider_proxy.storage.backends.s3.answers import Answer
from deltaglider_proxy.storage.backends.s3.client import CHUNK, Call, Client
from deltaglider_proxy.storage.errors import StorageError, Unavailable, Uncertain
from deltaglider_proxy.telemetry.tasks import Crew


class StreamedPut:
    """Holds at most three of the pieces that it is fed."""

    def __init__(self, client: Client, call: Call, size: int) -> None:
        self._client = client
        self._call = call
        self._size = size
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._digest = hashlib.md5(usedforsecurity=False)
        self._hashing: Future[None] | None = None
        self._crew = Crew()
        self._answer: Answer | None = None
        self._failure: StorageError | None = None
        self._ended = asyncio.Event()
        self._crew.start(self._run())

    async def feed(self, piece: bytes) -> None:
        """Send another CHUNK bytes; waits while the service takes nothing.

        Raises what went wrong meanwhile; nothing is visible then.
        """
        await self._put(piece)
        if self._ended.is_set():
            raise self._early()

    async def finish(self, rest: bytes | bytearray) -> tuple[Answer, str]:
        """Send the rest; the answer, and the MD5 of all pieces in hex. Raises what a mutation raises."""
        if self._ended.is_set():
            raise self._early()
        try:
            async with asyncio.timeout(self._client.settings.deadline):
                for start in range(0, len(rest), CHUNK):
                    await self._put(bytes(rest[start : start + CHUNK]))
                await self._pieces.put(None)
                await self._ended.wait()
        except TimeoutError as error:
            raise Uncertain(f"{self._call.subject}: no answer within the deadline") from error
        finally:
            await self.cut()
        if self._failure is not None:
            raise self._failure
        assert self._answer is not None
        return self._answer, self._digest.hexdigest()

    async def cut(self) -> None:
        """Close the connection, unless the answer is there. Idempotent."""
        await self._crew.close()
        if self._hashing is not None:
            await self._client.pool.wait(self._hashing)

    async def _put(self, piece: bytes) -> None:
        if self._hashing is not None:
            await self._client.pool.wait(self._hashing)
        self._hashing = self._client.pool.submit(self._digest.update, piece)
        try:
            async with asyncio.timeout(self._client.settings.idle_timeout):
                await self._pieces.put(piece)
        except TimeoutError as error:
            raise Unavailable(f"{self._call.subject}: the service takes no more of the body") from error

    async def _run(self) -> None:
        try:
            self._answer = await self._client.upload(self._call, self._body(), self._size)
        except StorageError as error:
            self._failure = error
        finally:
            self._ended.set()
            while not self._pieces.empty():  # lets a `feed` go on that waits for room
                self._pieces.get_nowait()

    async def _body(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    def _early(self) -> StorageError:
        """Before the last piece was sent, so whatever went wrong, nothing was done."""
        if self._failure is None or isinstance(self._failure, Uncertain):
            return Unavailable(str(self._failure or f"{self._call.subject}: answered before the body was sent"))
        return self._failure
