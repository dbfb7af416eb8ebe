"""A disk that takes a change, shows it to everybody, and refuses to say that it has it: it is not acknowledged.

A file system that turns read-only because of an error does that to what is under way, and later shows the old state.
"""

import errno
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from typing_extensions import override

from deltaglider_proxy.engine import errors
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.errors import NotDurable
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.engine.bodies import MEDIUM, edited, noise
from tests.support.engine.nodes import BUCKET, Node, node, settings

FIRST = noise(1, MEDIUM)
Deed = Callable[[Node], Awaitable[object]]


class RefusingFiles(Files):
    """Refuses to make directories durable, while told to."""

    refusing = False

    @override
    def fsync(self, fd: int) -> None:
        if self.refusing and stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        super().fsync(fd)


@pytest.fixture
def files() -> RefusingFiles:
    return RefusingFiles()


@pytest.fixture
async def backend(tmp_path: Path, files: RefusingFiles) -> AsyncIterator[FilesystemBackend]:
    pool = Pool(2)
    made = FilesystemBackend(tmp_path / "data", pool, SystemClock(), files=files)
    await made.create_bucket(BUCKET)
    yield made
    await made.close()
    pool.close()


@pytest.fixture
async def process(tmp_path: Path, backend: FilesystemBackend) -> AsyncIterator[Node]:
    made = node(backend, SystemClock(), settings(tmp_path))
    await made.put("old-1.bin", FIRST)
    await made.put("old-2.bin", edited(FIRST, 2))
    await made.quiet()
    yield made
    await made.engine.close()


async def put(process: Node) -> None:
    await process.put("old-1.bin", edited(FIRST, 3))


async def put_alone(process: Node) -> None:
    await process.put("alone", b"small")


async def copy(process: Node) -> None:
    await process.engine.copy((BUCKET, "old-2.bin"), (BUCKET, "copy"), None)


async def delete(process: Node) -> None:
    await process.engine.delete(BUCKET, "old-1.bin")


@pytest.mark.parametrize("deed", [put, put_alone, copy, delete], ids=lambda deed: deed.__name__)
async def test_it_is_not_acknowledged(process: Node, files: RefusingFiles, deed: Deed) -> None:
    files.refusing = True
    with pytest.raises((errors.Uncertain, errors.Unavailable)):
        await deed(process)
    with pytest.raises((errors.Uncertain, errors.Unavailable)):
        await deed(process)
    files.refusing = False
    await deed(process)


async def test_a_deletion_that_is_asked_for_again(backend: FilesystemBackend, files: RefusingFiles) -> None:
    """There is nothing left to delete, and that is not yet sure."""
    writer = await backend.write(BUCKET, "deep/er/key", {}, 1)
    await writer.write(b"x")
    await writer.commit()
    files.refusing = True
    for _ in range(2):
        with pytest.raises(NotDurable):
            await backend.delete(BUCKET, "deep/er/key")
    files.refusing = False
    assert await backend.delete(BUCKET, "deep/er/key") is False
    assert await backend.delete(BUCKET, "never/was/there") is False
