"""Where keys live, and that they stay there."""

from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.errors import NoSuchKey
from deltaglider_proxy.telemetry.clock import SystemClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.failing import FailingFiles
from tests.support.storage.objects import BUCKET, get, keys, put


def files_in(bucket: Path) -> list[str]:
    return sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file())


ESCAPED = ".deltaglider.fs/escaped/"


async def test_plain_where_possible(backend: FilesystemBackend, root: Path) -> None:
    for key in ("a", "b/c", "é/😀"):
        await put(backend, key)
    assert files_in(root / BUCKET) == ["a", "b/c", "é/😀"]


async def test_no_key_moves_when_another_appears(backend: FilesystemBackend, root: Path) -> None:
    await put(backend, "a", b"file")
    await put(backend, "a/b", b"below a file")
    await put(backend, "c/d", b"below a directory")
    await put(backend, "c", b"beside a directory")
    expected = [ESCAPED + "612f62+", ESCAPED + "63+", "a", "c/d"]
    assert files_in(root / BUCKET) == expected
    await backend.delete(BUCKET, "a")
    await backend.delete(BUCKET, "c/d")
    await put(backend, "a/b", b"new")
    await put(backend, "c", b"new")
    assert files_in(root / BUCKET) == expected[:2]
    assert await get(backend, "a/b") == b"new"
    await put(backend, "a/x")
    assert files_in(root / BUCKET) == [*expected[:2], "a/x"]


async def test_a_plain_file_hides_an_escaped_one_until_both_are_deleted(backend: FilesystemBackend, root: Path) -> None:
    bucket = root / BUCKET
    await put(backend, "c/d")
    await put(backend, "c", b"escaped")
    (bucket / "c" / "d").unlink()
    (bucket / "c").rmdir()
    (bucket / "c").write_bytes(b"foreign")
    assert await get(backend, "c") == b"foreign"
    assert await keys(backend) == ["c"]
    await put(backend, "c", b"overwritten")
    assert (bucket / "c").read_bytes() == b"overwritten"
    assert await get(backend, "c") == b"overwritten"
    assert await backend.delete(BUCKET, "c") is True
    with pytest.raises(NoSuchKey):
        await backend.head(BUCKET, "c")
    assert files_in(bucket) == []


async def test_deletes_remove_the_directories_that_puts_made(backend: FilesystemBackend, root: Path) -> None:
    bucket = root / BUCKET
    await put(backend, "a/b/c/d")
    await put(backend, "a/x")
    await put(backend, "y//" + "z" * 300)
    await backend.delete(BUCKET, "a/b/c/d")
    assert (bucket / "a").is_dir()
    assert not (bucket / "a" / "b").exists()
    await backend.delete(BUCKET, "a/x")
    await backend.delete(BUCKET, "y//" + "z" * 300)
    assert list(bucket.iterdir()) == []


async def test_a_put_whose_directory_vanishes_makes_it_anew(root: Path) -> None:
    files, pool = FailingFiles(), Pool(2)
    backend = FilesystemBackend(root, pool, SystemClock(), files=files)
    await backend.create_bucket(BUCKET)
    vanished: list[str] = []

    def vanish(_: int, name: str) -> None:
        if name == "rename" and len(vanished) < 3:
            (root / BUCKET / "a" / "b").rmdir()
            (root / BUCKET / "a").rmdir()
            vanished.append(name)

    files.before = vanish
    await put(backend, "a/b/c", b"data")
    assert len(vanished) == 3
    assert await get(backend, "a/b/c") == b"data"
    await backend.close()
    pool.close()


async def test_a_directory_that_appears_sends_the_key_to_the_other_tree(root: Path) -> None:
    files, pool = FailingFiles(), Pool(2)
    backend = FilesystemBackend(root, pool, SystemClock(), files=files)
    await backend.create_bucket(BUCKET)

    def appear(_: int, name: str) -> None:
        if name == "rename":
            (root / BUCKET / "a").mkdir(exist_ok=True)

    files.before = appear
    await put(backend, "a", b"data")
    assert files_in(root / BUCKET) == [ESCAPED + "61+"]
    assert await get(backend, "a") == b"data"
    await backend.close()
    pool.close()


async def test_a_parent_that_turns_into_a_link_leads_nowhere(root: Path) -> None:
    files, pool = FailingFiles(), Pool(2)
    backend = FilesystemBackend(root, pool, SystemClock(), files=files)
    await backend.create_bucket(BUCKET)
    outside = root.parent / "outside"
    outside.mkdir()
    await put(backend, "dir/other")

    def turn(_: int, name: str) -> None:
        if name == "rename":
            files.before = lambda *_: None
            (root / BUCKET / "dir").rename(root / BUCKET / "moved")
            (root / BUCKET / "dir").symlink_to(outside)

    files.before = turn
    await put(backend, "dir/key", b"data")
    assert list(outside.iterdir()) == []
    assert await keys(backend) == ["moved/key", "moved/other"]
    await backend.close()
    pool.close()
