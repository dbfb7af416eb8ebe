"""Who may change what at the same time, on one host.

Whoever makes a change of a key visible holds its bucket shared and its key alone, in this order; whoever deletes a
bucket holds that alone. So a check and the request behind it are one step for all processes of the host: a service
without conditions needs that, and comparing metadata, which no condition covers, needs it on every service.

A request that is under way may still take effect when its task is cancelled, so the hold lasts until its end is known.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from deltaglider_proxy.storage.errors import Unavailable
from deltaglider_proxy.storage.host_locks import HostLocks
from deltaglider_proxy.telemetry.tasks import Crew

R = TypeVar("R")


class Turns:
    def __init__(self, directory: Path, patience: float) -> None:
        """`directory` is shared by all processes of the host; `patience` in seconds."""
        self._locks = HostLocks(directory / "s3.locks")
        self._patience = patience

    async def change(self, bucket: str, key: str, work: Callable[[], Awaitable[R]]) -> R:
        """Run `work`, to its end even if cancelled, while nobody else changes the key or deletes the bucket."""

        async def held() -> R:
            async with (
                self._locks.hold(bucket, self._patience, shared=True),
                self._locks.hold(f"{bucket}/{key}", self._patience),
            ):
                return await work()

        return await self._to_the_end(held, f"{bucket}/{key[:200]!r}")

    async def alone(self, bucket: str, work: Callable[[], Awaitable[R]]) -> R:
        """The same for a bucket with everything in it."""

        async def held() -> R:
            async with self._locks.hold(bucket, self._patience):
                return await work()

        return await self._to_the_end(held, bucket)

    async def _to_the_end(self, held: Callable[[], Awaitable[R]], subject: str) -> R:
        results: list[R] = []

        async def run() -> None:
            try:
                results.append(await held())
            except TimeoutError as error:
                raise Unavailable(f"{subject}: another change took more than {self._patience} s") from error

        crew = Crew()
        crew.start(run())
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                await crew.join()
                break
            except asyncio.CancelledError as error:
                cancelled = error
            except BaseException:
                if cancelled is None:
                    raise
                break
        if cancelled is not None:
            raise cancelled
        return results[0]
