"""The backends of this server: which there are, how folders are claimed for this host, and all of them as one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.backends.s3.settings import S3Settings
from deltaglider_proxy.storage.routing import Route, RoutedBackend
from deltaglider_proxy.telemetry.clock import Clock, SystemClock
from deltaglider_proxy.telemetry.pool import Pool


@dataclass(frozen=True, slots=True)
class Directory:
    """A backend that is a folder."""

    name: str
    path: Path
    fsync: bool = True

    @property
    def place(self) -> str:
        return str(self.path)

    def open(self, pool: Pool, clock: Clock) -> FilesystemBackend:
        return FilesystemBackend(self.path, pool, clock, fsync=self.fsync)


@dataclass(frozen=True, slots=True)
class Service:
    """A backend that is a service."""

    name: str
    settings: S3Settings

    @property
    def place(self) -> str:
        return self.settings.endpoint or f"AWS in {self.settings.region}"


@dataclass(frozen=True, slots=True)
class StorageSettings:
    backends: tuple[Directory | Service, ...]
    default: str
    """Name of the backend of all buckets that have no route."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    """Buckets that are made at start where they are missing."""
    reserved: frozenset[Route] = frozenset()
    """What clients never see, under no name."""

    @property
    def type(self) -> str:
        """Of the default backend, as metrics call it."""
        default = next(backend for backend in self.backends if backend.name == self.default)
        return "filesystem" if isinstance(default, Directory) else "s3"

    def names_of(self, buckets: Collection[str]) -> frozenset[str]:
        """All names under which clients reach what these buckets are."""
        places = {self.route(bucket) for bucket in buckets}
        real = {place.bucket for place in places}
        return frozenset(name for name in {*self.routes, *buckets, *real} if self.route(name) in places)

    def route(self, bucket: str) -> Route:
        return self.routes.get(bucket) or Route(self.default, bucket)

    @property
    def directories(self) -> tuple[Directory, ...]:
        return tuple(backend for backend in self.backends if isinstance(backend, Directory))

    @property
    def services(self) -> tuple[Service, ...]:
        return tuple(backend for backend in self.backends if isinstance(backend, Service))


def claim(settings: StorageSettings) -> list[FilesystemBackend]:
    """Keeps other servers from the folders for as long as the result lives, and cleans up after the last one.

    Raises RootUnusable.
    """
    claimed: list[FilesystemBackend] = []
    pool = Pool(1)
    try:
        for directory in settings.directories:
            opened = directory.open(pool, SystemClock())
            opened.acquire_host()
            claimed.append(opened)
    finally:
        for opened in claimed:
            opened.finish_purge()
        pool.close()
    return claimed


def open_all(settings: StorageSettings, services: Mapping[str, Backend], pool: Pool, clock: Clock) -> RoutedBackend:
    """All backends as one, for one process; `services` by name."""
    directories: dict[str, Backend] = {
        directory.name: directory.open(pool, clock) for directory in settings.directories
    }
    return RoutedBackend({**directories, **services}, settings.default, settings.routes, reserved=settings.reserved)
