"""Files that other programs make, change, link and remove."""

import os
import socket
from pathlib import Path

import pytest

from deltaglider_proxy.storage.backend import IfAbsent, Piece
from deltaglider_proxy.storage.backends.filesystem.backend import FilesystemBackend
from deltaglider_proxy.storage.errors import (
    BucketExists,
    BucketNotEmpty,
    Changed,
    ConditionFailed,
    NoSuchBucket,
    NoSuchKey,
    Unavailable,
)
from tests.support.storage.objects import BUCKET, get, keys, names, put


@pytest.fixture
def bucket(root: Path) -> Path:
    return root / BUCKET


async def test_foreign_files_are_objects(backend: FilesystemBackend, bucket: Path) -> None:
    (bucket / "dir").mkdir()
    (bucket / "dir" / "file").write_bytes(b"foreign")
    assert await keys(backend) == ["dir/file"]
    stored = await backend.head(BUCKET, "dir/file")
    assert (stored.size, stored.metadata) == (7, {})
    assert await get(backend, "dir/file") == b"foreign"
    with pytest.raises(ConditionFailed):
        await put(backend, "dir/file", condition=IfAbsent())
    await put(backend, "dir/file", b"ours")
    assert (bucket / "dir" / "file").read_bytes() == b"ours"


async def test_files_in_foreign_hands_are_seen_to_change(backend: FilesystemBackend, bucket: Path) -> None:
    stored = await put(backend, "key", b"old")
    (bucket / "key").write_bytes(b"in place")
    changed = await backend.head(BUCKET, "key")
    assert changed.etag != stored.etag
    assert changed.size == 8
    (bucket / "fresh").write_bytes(b"replaced")
    (bucket / "fresh").rename(bucket / "key")
    assert (await backend.head(BUCKET, "key")).etag != changed.etag


async def test_a_link_to_a_file_does_not_change_it(backend: FilesystemBackend, bucket: Path) -> None:
    stored = await put(backend, "key", b"data")
    (bucket / "another").hardlink_to(bucket / "key")
    assert await backend.head(BUCKET, "key") == stored
    await put(backend, "key", b"new")
    assert await get(backend, "another") == b"data"


async def test_a_read_never_mixes_generations(backend: FilesystemBackend, bucket: Path) -> None:
    await put(backend, "key", bytes(3 << 20))
    reader = await backend.open(BUCKET, "key")
    chunks = reader.chunks(0, 3 << 20)
    await anext(chunks)
    with (bucket / "key").open("r+b") as file:
        file.seek(2 << 20)
        file.write(b"changed")
    with pytest.raises(Changed):
        assert [chunk async for chunk in chunks]
    with pytest.raises(Changed):
        await reader.read(0, 10)
    await reader.close()


async def test_a_truncated_file_is_a_changed_one(backend: FilesystemBackend, bucket: Path) -> None:
    await put(backend, "key", bytes(3 << 20))
    reader = await backend.open(BUCKET, "key")
    os.truncate(bucket / "key", 10)
    with pytest.raises(Changed):
        await reader.read(0, 1 << 20)
    with pytest.raises(Changed):
        assert reader.read_now(0, 5)
    await reader.close()


async def test_unreadable_metadata_is_an_error_not_a_plain_object(backend: FilesystemBackend, bucket: Path) -> None:
    await put(backend, "key", b"container", {"dgp": "x"})
    for garbage in (b"garbage", b"[]", b'{"dgp": 1}', b"\xff"):
        os.setxattr(bucket / "key", "user.dgp", garbage)
        with pytest.raises(Unavailable, match=r"user\.dgp"):
            await backend.head(BUCKET, "key")
        with pytest.raises(Unavailable):
            await backend.open(BUCKET, "key")
        assert await keys(backend) == ["key"]
    await put(backend, "key", b"repaired")
    assert await get(backend, "key") == b"repaired"


async def test_what_is_no_file_is_no_object(backend: FilesystemBackend, bucket: Path) -> None:
    os.mkfifo(bucket / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(bucket / "socket"))
    (bucket / "directory").mkdir()
    (bucket / "dangling").symlink_to("nowhere")
    assert await keys(backend) == []
    assert names(await backend.list(BUCKET, delimiter="/")) == []
    for key in ("fifo", "socket", "directory", "dangling", "fifo/below"):
        with pytest.raises(NoSuchKey):
            await backend.head(BUCKET, key)
        assert await backend.delete(BUCKET, key) is False
        await put(backend, key, key.encode(), condition=IfAbsent())
        assert await get(backend, key) == key.encode()
    assert await keys(backend) == ["dangling", "directory", "fifo", "fifo/below", "socket"]
    assert (bucket / "fifo").is_fifo()
    assert (bucket / "socket").is_socket()
    assert (bucket / "dangling").is_symlink()
    for key in await keys(backend):
        assert await backend.delete(BUCKET, key)


async def test_links_lead_nowhere(backend: FilesystemBackend, root: Path, bucket: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (bucket / "link").symlink_to(outside)
    (bucket / "file").symlink_to(outside / "secret")
    (root / "linked").symlink_to(outside)
    (bucket / "loop").symlink_to(bucket)
    for key in ("link/secret", "file", "link", "loop/file", "loop/loop/x"):
        with pytest.raises(NoSuchKey):
            await backend.open(BUCKET, key)
        await put(backend, key, b"ours")
        assert await get(backend, key) == b"ours"
        assert await backend.delete(BUCKET, key)
    with pytest.raises(NoSuchBucket):
        await backend.head("linked", "secret")
    with pytest.raises(NoSuchBucket):
        await backend.write("linked", "x", {})
    with pytest.raises(BucketExists):
        await backend.create_bucket("linked")
    assert [info.name for info in await backend.buckets()] == [BUCKET]
    assert await keys(backend) == []
    await backend.delete_bucket(BUCKET, "")
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


async def test_our_own_directory_may_be_no_link_either(backend: FilesystemBackend, root: Path, bucket: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (bucket / ".deltaglider.fs").symlink_to(outside)
    with pytest.raises(Unavailable, match="in the way"):
        await put(backend, "a//b")
    with pytest.raises(NoSuchKey):
        await backend.head(BUCKET, "a//b")
    await put(backend, "a")
    assert await keys(backend) == ["a"]
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("bad", ["../other/x", "..", "a/../../other/x", "/etc/passwd", "./x"])
async def test_no_key_leaves_its_bucket(backend: FilesystemBackend, root: Path, bad: str) -> None:
    await backend.create_bucket("other")
    await put(backend, "x", b"not yours", bucket="other")

    def around() -> list[Path]:
        return sorted(path for path in root.parent.rglob("*") if f"/{BUCKET}/" not in str(path))

    before = around()
    await put(backend, bad, b"mine")
    await backend.compose(BUCKET, bad, [Piece(bad, 0, 4)], {})
    assert around() == before
    assert await get(backend, "x", "other") == b"not yours"
    await backend.delete(BUCKET, bad)
    assert await get(backend, "x", "other") == b"not yours"


@pytest.mark.parametrize(
    "bucket_name", ["..", ".", "", "a/b", ".deltaglider.fs", "x\0", "../root", "\udc80"], ids=ascii
)
async def test_no_bucket_leaves_the_root(backend: FilesystemBackend, bucket_name: str) -> None:
    with pytest.raises(NoSuchBucket):
        await backend.head(bucket_name, "host.lock")
    with pytest.raises(NoSuchBucket):
        await backend.list(bucket_name)
    with pytest.raises(NoSuchBucket):
        await backend.delete(bucket_name, "host.lock")
    with pytest.raises(NoSuchBucket):
        await backend.delete_bucket(bucket_name, "")
    with pytest.raises(ValueError, match="bucket"):
        await backend.create_bucket(bucket_name)


async def test_names_that_are_no_keys_are_not_listed_but_keep_the_bucket(
    backend: FilesystemBackend, bucket: Path
) -> None:
    with open(os.fsencode(bucket) + b"/\xff\xfe", "wb") as file:  # noqa: PTH123 - pathlib knows no bytes
        file.write(b"data")
    os.mkdir(os.fsencode(bucket) + b"/dir\xff")  # noqa: PTH102
    await put(backend, "key")
    assert await keys(backend) == ["key"]
    assert names(await backend.list(BUCKET, delimiter="/")) == ["key"]
    await backend.delete(BUCKET, "key")
    with pytest.raises(BucketNotEmpty):
        await backend.delete_bucket(BUCKET, "")


async def test_paths_too_long_for_keys_are_not_listed(backend: FilesystemBackend, bucket: Path) -> None:
    long = bucket
    for _ in range(5):
        long = long / ("d" * 250)
        long.mkdir()
    (long / "file").write_bytes(b"x")
    (bucket / ("d" * 250) / "short").write_bytes(b"x")
    assert await keys(backend) == ["d" * 250 + "/short"]
    (bucket / ("d" * 250) / "short").unlink()
    assert names(await backend.list(BUCKET, delimiter="/")) == []
    with pytest.raises(BucketNotEmpty):
        await backend.delete_bucket(BUCKET, "")


async def test_foreign_garbage_among_escaped_keys(backend: FilesystemBackend, bucket: Path) -> None:
    await put(backend, "a//b")
    escaped = bucket / ".deltaglider.fs" / "escaped"
    for name in ("readme.txt", "zz+", "61", "6A+"):
        (escaped / name).write_bytes(b"x")
    (escaped / "dir").mkdir()
    (escaped / "dir" / "61+").write_bytes(b"x")
    (bucket / ".deltaglider.fs" / "other").write_bytes(b"x")
    assert await keys(backend) == ["a//b"]


async def test_empty_directories_are_no_common_prefixes(backend: FilesystemBackend, bucket: Path) -> None:
    (bucket / "a" / "b" / "c").mkdir(parents=True)
    (bucket / "d").mkdir()
    (bucket / "d" / "x").write_bytes(b"")
    assert names(await backend.list(BUCKET, delimiter="/")) == ["d/"]
    assert names(await backend.list(BUCKET, prefix="a/", delimiter="/")) == []
    assert await keys(backend) == ["d/x"]
    await put(backend, "a", b"beside an empty directory")
    assert await get(backend, "a") == b"beside an empty directory"
