"""The engine without a server around it, for commands that need the storage to themselves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deltaglider_proxy.engine.context import Context, Events
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.server.services import Services
from deltaglider_proxy.server.settings import ServerSettings
from deltaglider_proxy.server.storage import claim, open_all
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background


@asynccontextmanager
async def engine_alone(settings: ServerSettings) -> AsyncIterator[Engine]:
    """No server of this host uses the storage meanwhile. Raises RootUnusable if one does."""
    claimed = claim(settings.storage)
    pool, codecs = Pool(settings.pool_threads, "files"), Pool(settings.engine.codec_slots, "codec")
    clock = SystemClock()
    for directory in (settings.engine.cache_dir, settings.engine.spool_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    backend = open_all(settings.storage, Services(settings, pool, clock).backends, pool, clock)
    engine = Engine(Context(backend, settings.engine, clock, pool, codecs, Events(), Background()))
    try:
        yield engine
    finally:
        await engine.close()
        await backend.close()
        for root in claimed:
            await root.close()
        codecs.close()
        pool.close()
