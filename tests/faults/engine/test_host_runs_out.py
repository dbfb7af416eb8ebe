"""What the engine keeps on the host's own disk, when that takes nothing more."""

import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deltaglider_proxy.engine import errors
from deltaglider_proxy.engine.reference_entry import Entry
from deltaglider_proxy.engine.translate import translate_system, translated, translated_stream
from tests.soak.disk import CannotMount, Disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        made = Disk(tmp_path / "image", tmp_path / "mount", 16 << 20)
    except CannotMount as reason:
        pytest.skip(str(reason))
    yield made
    made.close()


def check(entry: Entry, pieces: int) -> None:
    """All of it can be used; a mapped hole that the disk has no room for would end this process here."""
    entry.flags[:] = b"\x01" * pieces
    os.pwrite(entry.data, b"piece", 0)
    assert os.pread(entry.data, 5, 0) == b"piece"
    entry.close()


def test_an_entry_on_a_full_disk_is_memory(disk: Disk) -> None:
    folder = disk.path / "entry"
    folder.mkdir()
    # A predecessor got as far as the size.
    (folder / "state").touch()
    os.truncate(folder / "state", 9_000)
    disk.fill(0)
    disk.fill_up()
    check(Entry(folder, 9_000), 9_000)
    check(Entry(disk.path / "new", 1), 1)
    disk.empty()
    shared, other = Entry(folder, 9_000), Entry(folder, 9_000)
    shared.flags[3] = 1
    assert other.flags[3] == 1
    shared.close()
    other.close()


def test_an_entry_on_a_read_only_disk_is_memory(disk: Disk) -> None:
    disk.break_down()
    check(Entry(disk.path / "entry", 2), 2)


def test_other_errors_of_the_disk_are_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Entry(tmp_path / "file" / "entry", 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "full"), errors.DiskFull),
        (OSError(errno.EFBIG, "long"), errors.DiskFull),
        (OSError(errno.EMFILE, "files"), errors.Unavailable),
        (OSError(errno.EROFS, "read-only"), errors.Unavailable),
        (MemoryError(), errors.Unavailable),
    ],
)
async def test_what_a_client_is_told(error: OSError | MemoryError, kind: type[Exception]) -> None:
    @translated
    async def fails() -> None:
        raise error

    async def chunks() -> AsyncIterator[bytes]:
        yield b""
        raise error

    with pytest.raises(kind):
        await fails()
    with pytest.raises(kind):
        async for _ in translated_stream(chunks()):
            pass


def test_a_bug_is_not_explained_away() -> None:
    assert translate_system(FileNotFoundError(errno.ENOENT, "nothing there")) is None
    assert translate_system(TimeoutError()) is None
