"""Every implementation of the storage contract, each as something that makes a fresh one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deltaglider_proxy.storage.backend import Backend, Capabilities
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.backends.memory import DEFAULT, Etags, MemoryBackend
from deltaglider_proxy.storage.routing import Route, RoutedBackend
from deltaglider_proxy.storage.wrappers.faulty import FaultyBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.objects import BUCKET

Make = Callable[[Path], AbstractAsyncContextManager[Backend]]


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    make: Make
    unique_etags: bool = True


def _memory(capabilities: Capabilities, etags: Etags = Etags.UNIQUE) -> Make:
    @asynccontextmanager
    async def make(_: Path) -> AsyncIterator[Backend]:
        yield MemoryBackend(SystemClock(), capabilities, etags)

    return make


@asynccontextmanager
async def _faulty(_: Path) -> AsyncIterator[Backend]:
    yield FaultyBackend(MemoryBackend(SystemClock()))


@asynccontextmanager
async def _routed(_: Path) -> AsyncIterator[Backend]:
    near, far = MemoryBackend(SystemClock()), MemoryBackend(SystemClock())
    routes = {BUCKET: Route("far", "elsewhere"), "zz": Route("far", "aliased"), "aa": Route("far", "aa")}
    yield RoutedBackend({"near": near, "far": far}, "near", routes)


def filesystem(
    *, fsync: bool = False, inline_reads: bool = True, openat2: bool = True
) -> Callable[[Path], AbstractAsyncContextManager[FilesystemBackend]]:
    @asynccontextmanager
    async def make(root: Path) -> AsyncIterator[FilesystemBackend]:
        pool = Pool(4)
        backend = FilesystemBackend(
            root, pool, SystemClock(), fsync=fsync, inline_reads=inline_reads, files=Files(openat2=openat2)
        )
        try:
            yield backend
        finally:
            await backend.close()
            pool.close()

    return make


MEMORY = Kind("memory", _memory(DEFAULT))
FILESYSTEM = Kind("filesystem", filesystem())

KINDS = (
    MEMORY,
    Kind("memory-heads-for-listings", _memory(replace(DEFAULT, listing_has_metadata=False))),
    Kind("memory-early-metadata", _memory(replace(DEFAULT, late_metadata=0))),
    Kind("memory-metadata-late-for-small", _memory(replace(DEFAULT, late_metadata=5))),
    Kind("memory-local", _memory(replace(DEFAULT, local=True))),
    Kind("memory-md5", _memory(DEFAULT, Etags.MD5), unique_etags=False),
    FILESYSTEM,
    Kind("filesystem-fsync", filesystem(fsync=True)),
    Kind("filesystem-reads-in-pool", filesystem(inline_reads=False)),
    Kind("filesystem-without-openat2", filesystem(openat2=False)),
    Kind("faulty", _faulty),
    Kind("routed", _routed),
)
