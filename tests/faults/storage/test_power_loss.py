"""Whatever operation the power fails at, an object is there whole, old or new; and new once its write was answered."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backend import Metadata, Piece
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.errors import NoSuchBucket, NoSuchKey
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.disk import Left, RecordingFiles
from tests.support.storage.objects import BUCKET, get, put

Deed = Callable[[FilesystemBackend], Awaitable[object]]
Content = tuple[bytes, Metadata] | None

OLD: Content = (b"old" * 1000, {"dgp": "old"})
NEW: Content = (b"new" * 2000, {"dgp": "new"})


async def content(backend: FilesystemBackend, key: str) -> Content:
    try:
        stored = await backend.head(BUCKET, key)
        data = await get(backend, key)
    except (NoSuchKey, NoSuchBucket):
        return None
    assert stored.metadata is not None
    return data, stored.metadata


async def after_crash(recorder: RecordingFiles, index: int, left: Left, target: Path, key: str) -> Content:
    """What the next server finds, having checked that it works and that nothing lies about."""
    recorder.disks[index].write_to(target, left)
    pool = Pool(2)
    backend = FilesystemBackend(target, pool, SystemClock(), fsync=False)
    try:
        backend.acquire_host()
        found = await content(backend, key)
        assert await content(backend, "bystander") == (b"bystander", {"dgp": "b"})
        assert list((target / ".deltaglider.fs" / "tmp").iterdir()) == []
        await put(backend, key, b"works")
        assert await get(backend, key) == b"works"
        await backend.delete(BUCKET, key)
        return found
    finally:
        await backend.close()
        pool.close()


async def record(
    root: Path,
    prepare: Callable[[FilesystemBackend], Awaitable[object]],
    change: Callable[[FilesystemBackend], Awaitable[object]],
) -> RecordingFiles:
    recorder = RecordingFiles()
    pool = Pool(2)
    backend = FilesystemBackend(root, pool, SystemClock(), files=recorder)
    try:
        await backend.create_bucket(BUCKET)
        await put(backend, "bystander", b"bystander", {"dgp": "b"})
        await prepare(backend)
        recorder.start(root)
        await change(backend)
    finally:
        await backend.close()
        pool.close()
    return recorder


async def put_old(backend: FilesystemBackend, key: str) -> None:
    assert OLD is not None
    await put(backend, key, *OLD)


async def put_new(backend: FilesystemBackend, key: str) -> None:
    assert NEW is not None
    await put(backend, key, *NEW)


async def compose_new(backend: FilesystemBackend, key: str) -> None:
    assert NEW is not None
    data, metadata = NEW
    await put(backend, "part", data + b"rest")
    await backend.compose(BUCKET, key, [Piece("part", 0, len(data))], metadata)


async def replace_new(backend: FilesystemBackend, key: str) -> None:
    assert NEW is not None
    await backend.replace(BUCKET, key, *NEW, await backend.head(BUCKET, key))


async def delete(backend: FilesystemBackend, key: str) -> None:
    assert await backend.delete(BUCKET, key)


async def nothing(backend: FilesystemBackend, key: str) -> None:
    """The key holds nothing before."""


KEYS = ("key", "a/b/c", "a//b", "n" * 300)

CASES = {
    "first put": (nothing, put_new, None, NEW),
    "overwrite": (put_old, put_new, OLD, NEW),
    "compose": (put_old, compose_new, OLD, NEW),
    "replace": (put_old, replace_new, OLD, NEW),
    "delete": (put_old, delete, OLD, None),
}


@pytest.mark.parametrize("key", KEYS, ids=["plain", "deep", "escaped", "long"])
@pytest.mark.parametrize("case", CASES)
async def test_old_or_new(tmp_path: Path, case: str, key: str) -> None:
    prepare, change, old, new = CASES[case]
    recorder = await record(tmp_path / "root", lambda b: prepare(b, key), lambda b: change(b, key))
    for index in range(len(recorder.disks)):
        for left in Left:
            found = await after_crash(recorder, index, left, tmp_path / f"{index}-{left}", key)
            assert found in (old, new), f"{left} after {recorder.operations[:index]}"
            if index == len(recorder.disks) - 1:
                assert found == new, f"{left} after the answer"


async def test_the_order_of_operations(tmp_path: Path) -> None:
    recorder = await record(tmp_path / "root", lambda b: nothing(b, "key"), lambda b: put_new(b, "key"))
    steps = recorder.operations
    assert [steps[0][0], *steps[1:]] == [
        "create",
        ("write", "file"),
        ("attribute", "file"),
        ("fsync", "file"),
        ("rename", "key"),
        ("fsync", "directory"),
    ]


async def test_the_order_of_operations_with_new_directories(tmp_path: Path) -> None:
    recorder = await record(tmp_path / "root", lambda b: nothing(b, "a/b/key"), lambda b: put_new(b, "a/b/key"))
    steps = recorder.operations
    assert steps[3:] == [
        ("fsync", "file"),
        ("mkdir", "a"),
        ("fsync", "directory"),
        ("mkdir", "b"),
        ("fsync", "directory"),
        ("rename", "key"),
        ("fsync", "directory"),
    ]


async def test_the_record_sees_a_missing_fsync(tmp_path: Path) -> None:
    """The check of the check: with fsync off, some crash must lose something."""
    recorder = RecordingFiles()
    pool = Pool(2)
    backend = FilesystemBackend(tmp_path / "root", pool, SystemClock(), files=recorder, fsync=False)
    await backend.create_bucket(BUCKET)
    await put(backend, "bystander", b"bystander", {"dgp": "b"})
    await put_old(backend, "key")
    recorder.start(tmp_path / "root")
    await put_new(backend, "key")
    await backend.close()
    pool.close()
    found = [await after_crash(recorder, len(recorder.disks) - 1, left, tmp_path / left, "key") for left in Left]
    assert found == [NEW, OLD, (b"", {})]


async def test_a_deleted_bucket_stays_deleted(tmp_path: Path) -> None:
    async def change(backend: FilesystemBackend) -> None:
        await backend.delete_bucket("doomed", "internal/")

    async def prepare(backend: FilesystemBackend) -> None:
        await backend.create_bucket("doomed")
        await put(backend, "internal/x", bucket="doomed")

    recorder = await record(tmp_path / "root", prepare, change)
    answered = recorder.operations.index(("fsync", "directory")) + 1
    for index in range(len(recorder.disks)):
        for left in Left:
            target = tmp_path / f"{index}-{left}"
            await after_crash(recorder, index, left, target, "key")
            whole = (target / "doomed" / "internal" / "x").exists()
            assert whole or not (target / "doomed").exists()
            assert not (whole and index >= answered)
            trash = target / ".deltaglider.fs" / "trash"
            assert list(trash.iterdir()) == []


async def test_a_created_bucket_is_durable(tmp_path: Path) -> None:
    async def nothing_before(_: FilesystemBackend) -> None:
        return

    recorder = await record(tmp_path / "root", nothing_before, lambda b: b.create_bucket("fresh"))
    for left in Left:
        recorder.disks[-1].write_to(tmp_path / left, left)
        assert (tmp_path / left / "fresh").is_dir()
        assert os.listxattr(tmp_path / left / "fresh") == ["user.dgp.created"]
