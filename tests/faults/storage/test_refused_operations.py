"""One operation on files is refused, or the process dies at it: the old object is intact and nothing is left behind."""

import errno
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backend import Piece
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.errors import (
    ConditionFailed,
    DiskFull,
    MetadataTooLarge,
    NoSuchKey,
    StorageError,
    Unavailable,
    Uncertain,
)
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.failing import FailingFiles, Killed
from tests.support.storage.objects import BUCKET, get, keys, put

Deed = Callable[[FilesystemBackend], Awaitable[object]]

KEY = "dir/key"


@asynccontextmanager
async def opened(root: Path, files: Files | None = None, *, fsync: bool = True) -> AsyncIterator[FilesystemBackend]:
    pool = Pool(2)
    backend = FilesystemBackend(root, pool, SystemClock(), files=files, fsync=fsync)
    try:
        yield backend
    finally:
        await backend.close()
        pool.close()


def left_in_tmp(root: Path) -> list[str]:
    return [path.name for path in (root / ".deltaglider.fs" / "tmp").iterdir()]


async def write_new(backend: FilesystemBackend) -> None:
    await put(backend, KEY, b"new" * 500_000, {"dgp": "new"})


async def write_elsewhere(backend: FilesystemBackend) -> None:
    await put(backend, "other/deep/er", b"new", {"dgp": "new"})


async def compose_new(backend: FilesystemBackend) -> None:
    await backend.compose(BUCKET, KEY, [Piece("source", 0, 3), Piece("source", 1, 2)], {"dgp": "new"})


async def replace_new(backend: FilesystemBackend) -> None:
    await backend.replace(BUCKET, KEY, b"new", {"dgp": "new"}, await backend.head(BUCKET, KEY))


async def delete(backend: FilesystemBackend) -> None:
    await backend.delete(BUCKET, KEY)


DEEDS = [write_new, write_elsewhere, compose_new, replace_new, delete]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT], ids=["ENOSPC", "EIO", "EDQUOT"])
@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
async def test_each_operation_refused_once(tmp_path: Path, deed: Deed, code: int) -> None:
    files = FailingFiles()
    async with opened(tmp_path, files) as backend:
        await backend.create_bucket(BUCKET)
        await put(backend, "source", b"source")
        failed_at = -1
        while True:
            await put(backend, KEY, b"old", {"dgp": "old"})
            await backend.delete(BUCKET, "other/deep/er")
            failed_at += 1
            start = files.count
            failed: list[str] = []

            def refuse(number: int, name: str, at: int = start + failed_at, failed: list[str] = failed) -> None:
                if number == at:
                    failed.append(name)
                    raise OSError(code, os.strerror(code))

            files.before = refuse
            error: StorageError | None = None
            try:
                await deed(backend)
            except StorageError as raised:
                error = raised
            files.before = lambda *_: None
            if not failed:
                assert failed_at > 2
                return
            if error is None:
                # Only what comes after the effect, and is done again at the next start, may fail in silence.
                assert failed == ["rmdir"] or (deed is replace_new and failed == ["unlink"])
            elif not isinstance(error, Uncertain):
                full = code in {errno.ENOSPC, errno.EDQUOT} and failed != ["attribute"]
                kinds = {DiskFull} if full else {Unavailable, MetadataTooLarge, DiskFull}
                assert type(error) in kinds, failed
                assert await get(backend, KEY) == b"old", failed
                assert await keys(backend) == [KEY, "source"]
                assert left_in_tmp(tmp_path) == [], failed
                assert not (tmp_path / BUCKET / "other").exists(), failed


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
async def test_death_at_each_operation(tmp_path: Path, deed: Deed, moment: str) -> None:
    dies_at = -1
    dead = True
    while dead:
        root = tmp_path / str(dies_at)
        dies_at += 1
        async with opened(root) as backend:
            await backend.create_bucket(BUCKET)
            await put(backend, "source", b"source")
            await put(backend, KEY, b"old", {"dgp": "old"})
        files = FailingFiles()
        dead = False
        async with opened(root, files) as backend:
            start = files.count

            def die(number: int, _: str, at: int = start + dies_at) -> None:
                nonlocal dead
                if number >= at:
                    dead = True
                    raise Killed

            if moment == "before":
                files.before = die
            else:
                files.after = die
            try:
                await deed(backend)
            except Killed:
                files.before = files.after = lambda *_: None
        async with opened(root) as backend:
            backend.acquire_host()
            assert left_in_tmp(root) == []
            try:
                found: bytes | None = await get(backend, KEY)
            except NoSuchKey:
                found = None
            assert found in (b"old", b"new", b"new" * 500_000, b"souo", None)
            assert found is not None or deed is delete
            if deed is write_elsewhere:
                assert found == b"old"
            assert (await backend.head(BUCKET, "source")).size == 6
    assert dies_at > 2


def foreign(path: Path, data: bytes) -> None:
    """Another program puts its file at the path, as programs do."""
    fresh = path.parent.parent / "foreign.tmp"
    fresh.write_bytes(data)
    fresh.rename(path)


@pytest.mark.parametrize("intruders", [1, 2, 3, 4])
async def test_replacing_gives_way_to_other_programs(tmp_path: Path, intruders: int) -> None:
    """A program that renames its file to the key at the worst moment, before each exchange, keeps the last word."""
    files = FailingFiles()
    async with opened(tmp_path, files) as backend:
        await backend.create_bucket(BUCKET)
        old = await put(backend, KEY, b"old", {"dgp": "old"})
        written: list[bytes] = []

        def intrude(_: int, name: str) -> None:
            if name == "exchange" and len(written) < intruders:
                written.append(f"foreign {len(written)}".encode())
                foreign(tmp_path / BUCKET / KEY, written[-1])

        files.before = intrude
        with pytest.raises(ConditionFailed):
            await backend.replace(BUCKET, KEY, b"ours", {"dgp": "new"}, old)
        assert await get(backend, KEY) == written[-1]
        assert left_in_tmp(tmp_path) == []


async def test_replacing_gives_way_to_deletion(tmp_path: Path) -> None:
    for moment in (1, 2):
        files = FailingFiles()
        async with opened(tmp_path / str(moment), files) as backend:
            await backend.create_bucket(BUCKET)
            old = await put(backend, KEY, b"old", {"dgp": "old"})
            path = tmp_path / str(moment) / BUCKET / KEY
            exchanges = 0

            def intrude(_: int, name: str, path: Path = path, moment: int = moment) -> None:
                nonlocal exchanges
                if name == "exchange":
                    exchanges += 1
                    if exchanges < moment:
                        foreign(path, b"foreign")
                    elif exchanges == moment:
                        path.unlink()

            files.before = intrude
            with pytest.raises(ConditionFailed):
                await backend.replace(BUCKET, KEY, b"ours", {"dgp": "new"}, old)
            assert await keys(backend) == []
            assert left_in_tmp(tmp_path / str(moment)) == []


async def test_a_cut_off_exchange_is_taken_back_at_the_next_start(tmp_path: Path) -> None:
    files = FailingFiles()
    async with opened(tmp_path, files) as backend:
        await backend.create_bucket(BUCKET)
        old = await put(backend, KEY, b"old", {"dgp": "old"})
        path = tmp_path / BUCKET / KEY

        def intrude(_: int, name: str) -> None:
            if name == "exchange":
                foreign(path, b"foreign")

        def die(_: int, name: str) -> None:
            if name == "exchange":
                files.before = files.after = dead
                raise Killed

        def dead(_: int, __: str) -> None:
            raise Killed

        files.before, files.after = intrude, die
        with pytest.raises(Killed):
            await backend.replace(BUCKET, KEY, b"ours", {"dgp": "new"}, old)
        assert path.read_bytes() == b"ours"
        files.before = files.after = lambda *_: None
    async with opened(tmp_path) as backend:
        backend.acquire_host()
        assert await get(backend, KEY) == b"foreign"
        assert left_in_tmp(tmp_path) == []


async def test_an_exchange_that_cannot_be_taken_back_now_is_taken_back_at_the_next_start(tmp_path: Path) -> None:
    files = FailingFiles()
    async with opened(tmp_path, files) as backend:
        await backend.create_bucket(BUCKET)
        old = await put(backend, KEY, b"old", {"dgp": "old"})
        exchanges = 0

        def fail(_: int, name: str) -> None:
            nonlocal exchanges
            if name == "exchange":
                exchanges += 1
                if exchanges == 2:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                foreign(tmp_path / BUCKET / KEY, b"foreign")

        files.before = fail
        with pytest.raises(Uncertain):
            await backend.replace(BUCKET, KEY, b"ours", {"dgp": "new"}, old)
        files.before = lambda *_: None
    async with opened(tmp_path) as backend:
        backend.acquire_host()
        assert await get(backend, KEY) == b"foreign"
        assert left_in_tmp(tmp_path) == []


async def test_a_late_sweep_does_not_undo_newer_writes(tmp_path: Path) -> None:
    files = FailingFiles()
    async with opened(tmp_path, files) as backend:
        await backend.create_bucket(BUCKET)
        old = await put(backend, KEY, b"old", {"dgp": "old"})

        def die(_: int, name: str) -> None:
            if name == "exchange":
                files.before = dead
                raise Killed

        def dead(_: int, __: str) -> None:
            raise Killed

        files.after = die
        with pytest.raises(Killed):
            await backend.replace(BUCKET, KEY, b"ours", {"dgp": "new"}, old)
        files.before = files.after = lambda *_: None
        await put(backend, KEY, b"newer")
    async with opened(tmp_path) as backend:
        backend.acquire_host()
        assert await get(backend, KEY) == b"newer"
        assert left_in_tmp(tmp_path) == []


async def test_no_exchange_no_replacement(tmp_path: Path) -> None:
    files = FailingFiles()
    async with opened(tmp_path, files) as backend:
        await backend.create_bucket(BUCKET)
        old = await put(backend, KEY, b"old")

        def refuse(_: int, name: str) -> None:
            if name == "exchange":
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        files.before = refuse
        with pytest.raises(Unavailable, match="EINVAL"):
            await backend.replace(BUCKET, KEY, b"new", {}, old)
        assert await get(backend, KEY) == b"old"
        assert left_in_tmp(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    image.write_bytes(bytes(8 << 20))
    commands = (
        ["mkfs.ext4", "-q", "-b", "4096", "-m", "0", str(image)],
        ["mount", "-o", "loop", str(image), str(mounted)],
    )
    for command in commands:
        try:
            made = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip(f"no {command[0]} here")
        if made.returncode != 0:
            pytest.skip(f"{command[0]} not permitted here: {made.stderr.decode()[:100]}")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    root = small_disk / "root"
    async with opened(root) as backend:
        await backend.create_bucket(BUCKET)
        await put(backend, KEY, b"old" * 1000, {"dgp": "old"})
        with pytest.raises(DiskFull):
            await put(backend, KEY, bytes(16 << 20), {"dgp": "new"})
        assert left_in_tmp(root) == []
        stored: list[str] = []

        async def fill() -> None:
            for number in range(5000):
                await put(backend, f"filler/{number:04}", bytes(50_000), {"dgp": "x" * 3000})
                stored.append(f"filler/{number:04}")

        with pytest.raises(DiskFull):
            await fill()
        assert left_in_tmp(root) == []
        assert await keys(backend) == [KEY, *stored]
        assert await get(backend, KEY) == b"old" * 1000
        with pytest.raises(DiskFull):
            await backend.compose(BUCKET, "copy", [Piece(stored[0], 0, 50_000)], {"dgp": "x" * 3000})
        async with opened(root) as restarted:
            assert await get(restarted, KEY) == b"old" * 1000
        for key in stored:
            assert await backend.delete(BUCKET, key) is True
        await put(backend, KEY, b"new", {"dgp": "new"})
        assert await get(backend, KEY) == b"new"


async def test_metadata_that_only_the_file_system_refuses(tmp_path: Path) -> None:
    """Within the promised bytes, but their JSON does not fit: not a full disk."""
    async with opened(tmp_path) as backend:
        await backend.create_bucket(BUCKET)
        try:
            await put(backend, KEY, b"x", {f"n{number:03}": "" for number in range(800)})
        except MetadataTooLarge:
            assert await keys(backend) == []
            assert left_in_tmp(tmp_path) == []
        else:
            pytest.skip("this file system takes large attributes")
