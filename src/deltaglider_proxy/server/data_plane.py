"""Storage and the engine on it, as one configuration says. Another configuration makes another one beside it, and
requests that have begun end on theirs.
"""

import asyncio
import re
from dataclasses import replace
from typing import Final

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
from deltaglider_proxy.storage.errors import Away, StorageError, Unavailable
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background, Crew

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


class DataPlane:
    def __init__(self, settings: ServerSettings, pool: Pool, clock: Clock, metrics: Metrics) -> None:
        """Raises ValueError for an endpoint that cannot be, OSError for folders that cannot be used."""
        ours = share(settings.engine, settings.workers)
        self.settings = settings
        self._codec_pool = Pool(ours.codec_slots, "codec")
        self._services = Services(settings, pool, clock)
        self._routed = open_all(settings.storage, self._services.backends, pool, clock)
        self.context = Context(self._routed, ours, clock, pool, self._codec_pool, CountedEvents(metrics), Background())
        self.engine = Engine(self.context)
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

    async def health(self, name: str) -> BackendHealth:
        """Ask a backend now. Raises KeyError."""
        backend = self._routed.named(name)
        try:
            async with asyncio.timeout(_PATIENCE):
                try:
                    await backend.buckets()
                except Unavailable:
                    await backend.buckets()  # by now it is known whether connections are refused
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
        self._codec_pool.close()
