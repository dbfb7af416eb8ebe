"""Storage and the engine on it, as one configuration says. Another configuration makes another one beside it, and
requests that have begun end on theirs.
"""

from dataclasses import replace

from deltaglider_proxy.engine import errors as engine_errors
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.server.events import CountedEvents
from deltaglider_proxy.server.services import Services
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.server.storage import open_all
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background, Crew


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
        backend = open_all(settings.storage, self._services.backends, pool, clock)
        self.context = Context(backend, ours, clock, pool, self._codec_pool, CountedEvents(metrics), Background())
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

    async def close(self) -> None:
        """When nobody uses it any more."""
        await self._crew.close()
        await self.engine.close()
        await self.context.backend.close()
        self._codec_pool.close()
