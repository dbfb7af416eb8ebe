"""The first exchange of a node with those that it shares users with: before its workers start."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deltaglider_proxy.control.database import Database
from deltaglider_proxy.control.sharing.copies import sweep
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.server.config_sync import ConfigSync
from deltaglider_proxy.server.sync_bucket import SyncBucket, SyncSettings
from deltaglider_proxy.telemetry.clock import Clock, SystemClock
from deltaglider_proxy.telemetry.pool import Pool

R = TypeVar("R")


class SoleReplica:
    """The database, before there are workers."""

    def __init__(self, database: Database, path: Path, pool: Pool, clock: Clock) -> None:
        self._database = database
        self.path = path
        self._pool = pool
        self._clock = clock

    async def read(self, work: Callable[[Unit], R]) -> R:
        def run() -> R:
            with self._database.read(self._clock.now()) as unit:
                return work(unit)

        return await self._pool.run(run)

    async def write(self, work: Callable[[Unit], R], *, quiet: bool = False) -> R:
        del quiet

        def run() -> R:
            with self._database.write(self._clock.now()) as unit:
                return work(unit)

        return await self._pool.run(run)

    async def on_database(self, work: Callable[[Database], R]) -> R:
        return await self._pool.run(work, self._database)


class _Nobody:
    def config_sync_succeeded(self, now: float) -> None: ...

    def config_sync_conflict(self) -> None: ...


async def synchronise(settings: SyncSettings, database: Database, path: Path, run_dir: Path) -> None:
    """Once, before the workers start. Raises SyncFailed."""
    sweep(path)
    clock, pool = SystemClock(), Pool(1)
    bucket = SyncBucket(settings, pool, clock)
    try:
        boot = SoleReplica(database, path, pool, clock)
        await ConfigSync(bucket, boot, run_dir, settings.poll, clock, _Nobody()).exchange()
    finally:
        await bucket.close()
        pool.close()
