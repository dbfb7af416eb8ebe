"""Several processes on one root."""

import subprocess
import sys
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.backends.filesystem.failures import RootUnusable
from tests.support.storage.kinds import filesystem
from tests.support.storage.objects import BUCKET, get, keys, put

REPOSITORY = Path(__file__).parents[4]


def contend(root: Path, work: str, times: int, processes: int = 2) -> list[int]:
    command = [sys.executable, "-m", "tests.support.storage.contender", str(root), work, str(times)]
    running = [
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    results = [process.communicate(timeout=60) for process in running]
    assert [errors for _, errors in results] == [""] * processes
    return [int(output) for output, _ in results]


@pytest.fixture
async def backend(root: Path) -> FilesystemBackend:
    async with filesystem()(root) as made:
        await made.create_bucket(BUCKET)
        await put(made, "counter", b"0", {"n": "0"})
    return made


async def test_compare_and_swap(backend: FilesystemBackend, root: Path) -> None:
    assert contend(root, "count", 60) == [60, 60]
    async with filesystem()(root) as reopened:
        assert await get(reopened, "counter") == b"120"


async def test_one_winner_for_each_key(backend: FilesystemBackend, root: Path) -> None:
    won = contend(root, "claim", 80)
    assert sum(won) == 80
    async with filesystem()(root) as reopened:
        assert len(await keys(reopened)) == 81


async def test_directories_that_come_and_go(backend: FilesystemBackend, root: Path) -> None:
    """Each process removes the directories that the other is about to use."""
    assert contend(root, "churn", 60) == [60, 60]
    assert not (root / BUCKET / "shared").exists()


async def test_one_host(root: Path) -> None:
    async with filesystem()(root) as first:
        first.acquire_host()
        async with filesystem()(root) as worker:
            await worker.create_bucket(BUCKET)
        async with filesystem()(root) as second:
            with pytest.raises(RootUnusable, match="another server"):
                second.acquire_host()
    async with filesystem()(root) as third:
        third.acquire_host()


async def test_the_start_cleans_up(root: Path) -> None:
    async with filesystem()(root) as before:
        await before.create_bucket(BUCKET)
        writer = await before.write(BUCKET, "key", {})
        await writer.write(bytes(3 << 20))
        own = root / ".deltaglider.fs"
        (own / "tmp" / "aside" / "deep").mkdir(parents=True)
        (own / "trash" / "bucket.1" / "deep" / "er").mkdir(parents=True)
        (own / "trash" / "bucket.1" / "deep" / "file").write_bytes(b"x")
        (own / "trash" / "bucket.1" / "link").symlink_to(root / BUCKET)
        assert len(list((own / "tmp").iterdir())) == 2
        async with filesystem()(root) as after:
            after.acquire_host()
        assert list((own / "tmp").iterdir()) == []
        assert list((own / "trash").iterdir()) == []
        assert (root / BUCKET).is_dir()
        await writer.abort()


async def test_a_root_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RootUnusable, match="file"):
        async with filesystem()(tmp_path / "file"):
            pass


async def test_a_file_system_without_attributes() -> None:
    with pytest.raises(RootUnusable):
        async with filesystem()(Path("/proc/self")):
            pass
