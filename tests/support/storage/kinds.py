"""Every implementation of the storage contract, each as something that makes a fresh one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from deltaglider_proxy.storage.backend import Backend, Capabilities, Stored
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.backends.memory import DEFAULT, Etags, MemoryBackend
from deltaglider_proxy.storage.routing import Route, RoutedBackend
from deltaglider_proxy.storage.wrappers.faulty import FaultyBackend
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support import programs
from tests.support.storage.objects import BUCKET, ODD_KEYS
from tests.support.storage.s3 import fits_a_path, own_server, shared, versitygw, versitygw_untested
from tests.support.storage.services.seaweedfs import seaweedfs

Make = Callable[[Path], AbstractAsyncContextManager[Backend]]


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    make: Make
    slow: bool = False
    """It takes long to build or to start, or many seconds for the suite."""
    unique_etags: bool = True
    holds: Callable[[str], bool] = lambda _: True
    """Whether a key can be here."""
    lasting_readers: bool = True
    """A reader goes on with its generation after that is gone; else it raises Changed."""
    replaces: bool = True
    """`replace` can be done at all."""
    exact_times: bool = True
    """What a change returns has the time that `head` shows later, and not one that is seconds off."""

    def same(self, one: Stored, other: Stored) -> bool:
        """Whether two views of one generation agree."""
        if not self.exact_times and abs(one.modified - other.modified) <= 5:
            other = replace(other, modified=one.modified)
        return one == other

    @property
    def odd_keys(self) -> tuple[str, ...]:
        return tuple(filter(self.holds, ODD_KEYS))


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
    routes = {BUCKET: Route("far", "elsewhere"), "zzz": Route("far", "aliased"), "aaa": Route("far", "aaa")}
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

_S3 = Kind(
    "s3-versitygw",
    versitygw,
    unique_etags=False,
    holds=fits_a_path,
    lasting_readers=False,
    exact_times=False,
    slow=not programs.is_built(programs.VERSITYGW),
)

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
    _S3,
    Kind(
        "s3-own-server",
        shared("own-server", own_server),
        slow=True,
        unique_etags=False,
        lasting_readers=False,
        exact_times=False,
    ),
    replace(_S3, name="s3-seaweedfs", make=shared("seaweedfs", seaweedfs), slow=True),
    replace(_S3, name="s3-versitygw-untested", make=versitygw_untested, replaces=False, slow=True),
)
