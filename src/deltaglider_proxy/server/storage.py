"""The backends of this server: which there are, how they are claimed for this host, and how a worker opens them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.routing import Route, RoutedBackend
from deltaglider_proxy.telemetry.clock import Clock, SystemClock
from deltaglider_proxy.telemetry.pool import Pool


@dataclass(frozen=True, slots=True)
class Directory:
    """A backend that is a folder."""

    name: str
    path: Path
    fsync: bool = True

    def open(self, pool: Pool, clock: Clock) -> FilesystemBackend:
        return FilesystemBackend(self.path, pool, clock, fsync=self.fsync)


@dataclass(frozen=True, slots=True)
class StorageSettings:
    backends: tuple[Directory, ...]
    default: str
    """Name of the backend of all buckets that have no route."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    """Buckets that are made at start where they are missing."""

    @property
    def type(self) -> str:
        """Of the default backend, as metrics call it."""
        return "filesystem"


def claim(settings: StorageSettings) -> list[FilesystemBackend]:
    """Keeps other servers from the folders for as long as the result lives, and cleans up after the last one.

    Raises RootUnusable.
    """
    claimed: list[FilesystemBackend] = []
    pool = Pool(1)
    try:
        for backend in settings.backends:
            opened = backend.open(pool, SystemClock())
            opened.acquire_host()
            claimed.append(opened)
    finally:
        pool.close()
    return claimed


def open_all(settings: StorageSettings, pool: Pool, clock: Clock) -> RoutedBackend:
    """All backends as one, for one worker."""
    opened: dict[str, Backend] = {backend.name: backend.open(pool, clock) for backend in settings.backends}
    return RoutedBackend(opened, settings.default, settings.routes)
