"""Buckets as directories at the root: making them, and removing them at one instant.

A deleted bucket is renamed aside while its lock is held alone, so that every commit came before or finds no bucket;
what is in it is removed later. A bucket that holds anything but disposable keys stays, and so does one that holds files
which are no keys, such as names that are not UTF-8: clients cannot see those, but somebody put them there.
"""

import errno
import secrets
from collections.abc import Callable
from typing import Final

from deltaglider_proxy.storage.backend import BucketInfo
from deltaglider_proxy.storage.backends.filesystem import paths
from deltaglider_proxy.storage.backends.filesystem.failures import BLOCKED, translated
from deltaglider_proxy.storage.backends.filesystem.files import DIRECTORY, Files
from deltaglider_proxy.storage.backends.filesystem.locks import Locks
from deltaglider_proxy.storage.backends.filesystem.tree import Tree
from deltaglider_proxy.storage.errors import BucketExists, BucketNotEmpty, NoSuchBucket

_ESCAPED: Final = f"{paths.ESCAPED}/"
_CREATED: Final = "user.dgp.created"


def every(tree: Tree) -> list[BucketInfo]:
    """All buckets in byte order."""
    found = []
    with translated("list buckets"):
        with tree.files.scan(tree.root.fd) as entries:
            names = sorted(e.name for e in entries if paths.is_bucket(e.name) and e.is_dir(follow_symlinks=False))
        for name in names:
            try:
                found.append(info(tree, name))
            except NoSuchBucket:
                continue  # deleted at this moment
    return found


def info(tree: Tree, bucket: str) -> BucketInfo:
    """Raises NoSuchBucket."""
    files = tree.files
    fd = tree.open_bucket(bucket)
    try:
        with translated(f"look at bucket {bucket!r}"):
            created = files.get_xattr(fd, _CREATED) or b""
            # A directory that another program made has no such attribute; its last change is the best that is known.
            ours = created.isdigit() and len(created) < 20
            return BucketInfo(bucket, (int(created) if ours else files.stat(fd).st_mtime_ns) / 1e9)
    finally:
        files.close(fd)


def create(tree: Tree, locks: Locks, bucket: str) -> None:
    """Raises BucketExists, and ValueError for a name that no bucket can have."""
    if not paths.is_bucket(bucket):
        raise ValueError(f"bucket {bucket!r}: not a directory's name; use letters, digits, '.', '_' and '-'")
    files = tree.files
    with translated(f"create bucket {bucket!r}"), locks.bucket(bucket):
        try:
            files.mkdir(tree.root.fd, bucket)
        except FileExistsError as error:
            raise BucketExists(bucket) from error
        fd = files.open(tree.root.fd, bucket, DIRECTORY)
        try:
            files.set_xattr(fd, _CREATED, b"%d" % files.stat(fd).st_mtime_ns)
        except OSError:
            files.rmdir(tree.root.fd, bucket)
            raise
        else:
            tree.sync(fd)
            tree.sync(tree.root.fd)
        finally:
            files.close(fd)


def delete(tree: Tree, locks: Locks, bucket: str, disposable: str) -> None:
    """Move the bucket to the trash. Raises BucketNotEmpty, NoSuchBucket."""
    tree.require(bucket)
    with translated(f"delete bucket {bucket!r}"):
        _require_empty(tree, tree.root.fd, bucket, disposable)
        with locks.bucket(bucket):
            tree.require(bucket)
            _require_empty(tree, tree.root.fd, bucket, disposable)
            aside = f"{bucket}.{secrets.token_hex(16)}"
            tree.files.rename(tree.root.fd, bucket, tree.root.tmp, aside)
            try:
                # Another program may have made a file in between; it knows nothing of our locks.
                _require_empty(tree, tree.root.tmp, aside, disposable)
            except BucketNotEmpty:
                tree.files.rename(tree.root.tmp, aside, tree.root.fd, bucket)
                raise
            tree.files.rename(tree.root.tmp, aside, tree.root.trash, aside)
            tree.sync(tree.root.fd)


def _require_empty(tree: Tree, dir_fd: int, name: str, disposable: str) -> None:
    """Raises BucketNotEmpty."""
    files = tree.files

    def plain(path: str) -> bool:
        return path.startswith(f"{paths.RESERVED}/") or (bool(disposable) and path.startswith(disposable))

    def escaped(path: str) -> bool:
        key = paths.unescape(path.removeprefix(_ESCAPED))
        return key is not None and bool(disposable) and key.startswith(disposable)

    fd = files.open(dir_fd, name, DIRECTORY)
    try:
        found = _first_file(files, fd, "", plain)
        if found is None and (path := _first_file(files, fd, _ESCAPED, escaped)) is not None:
            found = paths.unescape(path.removeprefix(_ESCAPED)) or path
    finally:
        files.close(fd)
    if found is not None:
        raise BucketNotEmpty(found)


def _first_file(files: Files, bucket: int, top: str, expendable: Callable[[str], bool]) -> str | None:
    """Path in the bucket of a regular file below `top` that is not expendable."""
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        try:
            fd = files.open(bucket, directory[:-1] or ".", DIRECTORY)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return directory  # no key is so deep, but somebody made it
            if error.errno == errno.ENOENT or error.errno in BLOCKED:
                continue
            raise
        try:
            with files.scan(fd) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if not expendable(path := f"{directory}{entry.name}/"):
                            waiting.append(path)
                    elif entry.is_file(follow_symlinks=False) and not expendable(path := directory + entry.name):
                        return path
        finally:
            files.close(fd)
    return None
