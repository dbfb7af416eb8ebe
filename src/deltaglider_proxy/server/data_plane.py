"""Storage and the engine on it, as one configuration says. Another configuration makes another one beside it, and
requests that have begun end on theirs.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Self, TypeVar

from deltaglider_proxy.admin.ports import BackendHealth
from deltaglider_proxy.engine import errors as engine_errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.server.events import CountedEvents
from deltaglider_proxy.server.from_config import CannotStart
from deltaglider_proxy.server.services import Services
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.server.storage import open_all
from deltaglider_proxy.storage.errors import Away, Denied, StorageError, Unavailable
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background, Crew

R = TypeVar("R")

_PATIENCE: Final = 10.0
_WRONG_KEYS: Final = re.compile("InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken")


def share(settings: EngineSettings, workers: int) -> EngineSettings:
    """One worker's part of what is counted for the whole host."""
    return replace(
        settings,
        codec_slots=max(1, settings.codec_slots // workers),
        spool_bytes=settings.spool_bytes // workers,
        decoded_bytes=settings.decoded_bytes // workers,
        metadata_cache_bytes=settings.metadata_cache_bytes // workers,
    )


def is_up(error: Exception) -> bool:
    """Whether a backend that answered with this can be worked with: one may be allowed objects, and not listings."""
    return isinstance(error, Denied) and not _WRONG_KEYS.search(str(error))


async def on_present(present: Callable[[], "DataPlane"], work: Callable[["DataPlane"], Awaitable[R]]) -> R:
    """For what is no request: nobody waits for it before a former plane is closed, so it is begun again on the new one.
    Raises what `work` raises on the plane that is there at its end.
    """
    while True:
        plane = present()
        try:
            return await work(plane)
        except Exception:
            if plane is present():
                raise


class _Codecs:
    """The threads of codecs. Whoever uses them last ends them."""

    def __init__(self, size: int) -> None:
        self.pool = Pool(size, "codec")
        self._users = 1

    def shared(self) -> Self:
        self._users += 1
        return self

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self.pool.close()


class DataPlane:
    def __init__(
        self,
        settings: ServerSettings,
        pool: Pool,
        clock: Clock,
        metrics: Metrics,
        former: "DataPlane | None" = None,
    ) -> None:
        """`former` shares its threads, so that a change needs no new ones, which a host short of memory may not give.

        Raises ValueError for an endpoint that cannot be, OSError for folders that cannot be used.
        """
        ours = share(settings.engine, settings.workers)
        self.settings = settings
        self._services = Services(settings, pool, clock)
        self._routed = open_all(settings.storage, self._services.backends, pool, clock)
        self.codecs: _Codecs
        if former is not None and former.codecs.pool.size == ours.codec_slots:
            self.codecs = former.codecs.shared()
        else:
            self.codecs = _Codecs(ours.codec_slots)
        events = CountedEvents(metrics)
        self.context = Context(self._routed, ours, clock, pool, self.codecs.pool, events, Background())
        try:
            self.engine = Engine(self.context)
        except BaseException:
            self.codecs.release()
            raise
        self._crew = Crew()

    def start(self, *, leads: bool) -> None:
        """Whoever `leads` finds out what services can do; the others learn it."""
        self._crew.start(self._services.follow(leads=leads))

    async def make_declared(self) -> None:
        """The buckets that the configuration names and that folders have to be made for."""
        for bucket in self.settings.storage.declared:
            try:
                await self.engine.create_bucket(bucket)
            except engine_errors.BucketExists:
                continue

    async def check_against(self, before: ServerSettings) -> None:
        """Ask the backends that are new or other than before. Raises CannotStart."""
        known = {backend.name: backend for backend in before.storage.backends}
        for backend in self.settings.storage.backends:
            if known.get(backend.name) == backend:
                continue
            health = await self.health(backend.name)
            if health.status in ("unreachable", "auth-rejected"):
                raise CannotStart(f"backend {backend.name!r} is {health.status}: {health.detail}")

    async def ask(self, name: str) -> None:
        """One round trip to a backend, however long it takes. Raises KeyError, StorageError."""
        await self._routed.named(name).buckets()

    async def health(self, name: str) -> BackendHealth:
        """Ask a backend now. Raises KeyError."""
        try:
            async with asyncio.timeout(_PATIENCE):
                try:
                    await self.ask(name)
                except Unavailable:
                    await self.ask(name)  # by now it is known whether connections are refused
            status, detail = "healthy", ""
        except (Away, TimeoutError) as error:
            status, detail = "unreachable", str(error) or "no answer in time"
        except StorageError as error:
            # A key pair that may not list buckets may still be the right one for some of them.
            status, detail = "auth-rejected" if _WRONG_KEYS.search(str(error)) else "erroring", str(error)
        return BackendHealth(status, detail, self.context.clock.now())

    async def close(self) -> None:
        """When nobody uses it any more."""
        await self._crew.close()
        await self.engine.close()
        await self.context.backend.close()
        self.codecs.release()
