"""Finding, placing and removing objects in a bucket's two trees. Everything here runs in a thread.

The plain path is looked at first, then the escaped one; a key goes where it is already, else to its plain path, else,
if something stands there, to the escaped one. So a key that another key gets in the way of stays where it is. Changes
are made under the key's lock (see locks.py).
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import Condition, IfAbsent, IfMatch, Stored
from deltaglider_proxy.storage.backends.filesystem import generations, paths
from deltaglider_proxy.storage.backends.filesystem.drafts import Draft
from deltaglider_proxy.storage.backends.filesystem.failures import BLOCKED, meaning, translated
from deltaglider_proxy.storage.backends.filesystem.files import DIRECTORY, READ, Files
from deltaglider_proxy.storage.backends.filesystem.root import Root
from deltaglider_proxy.storage.errors import ConditionFailed, NoSuchBucket, NoSuchKey, NotDurable, Unavailable

_ATTEMPTS: Final = 64


@dataclass(frozen=True, slots=True)
class Found:
    """An object's file. Whoever gets one closes `fd`."""

    fd: int
    path: str
    """Below the bucket's directory."""
    status: os.stat_result


@dataclass(frozen=True, slots=True)
class Nothing:
    """No object is at a path."""

    path: str
    blocked: bool
    """Something else is, or is where one of its directories would be."""


class Tree:
    def __init__(self, files: Files, root: Root, *, durable: bool) -> None:
        self.files = files
        self.root = root
        self.durable = durable

    def draft(self) -> Draft:
        """A new file under construction, the caller's to end. Raises DiskFull, Unavailable."""
        return Draft(self.files, self.root.tmp, durable=self.durable)

    def require(self, bucket: str) -> None:
        """Raises NoSuchBucket."""
        self.files.close(self.open_bucket(bucket))

    def open_bucket(self, bucket: str) -> int:
        """The bucket's directory; the caller closes it. Raises NoSuchBucket."""
        if not paths.is_bucket(bucket):
            raise NoSuchBucket(bucket)
        try:
            return self.files.open(self.root.fd, bucket, DIRECTORY)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in BLOCKED:
                raise NoSuchBucket(bucket) from error
            raise meaning(f"open bucket {bucket!r}", error) from error

    def find(self, bucket: str, key: str) -> Found:
        """Raises NoSuchKey, NoSuchBucket."""
        if paths.is_bucket(bucket) and keys.is_key(key):
            for path in _places(key):
                found = self._look(bucket, path)
                if isinstance(found, Found):
                    return found
        self.require(bucket)
        raise NoSuchKey(key)

    def _look(self, bucket: str, path: str) -> Found | Nothing:
        try:
            fd = self.files.open(self.root.fd, f"{bucket}/{path}", READ)
        except OSError as error:
            if error.errno == errno.ENOENT or error.errno in BLOCKED:
                return Nothing(path, blocked=error.errno != errno.ENOENT)
            raise meaning(f"open {path!r} in {bucket!r}", error) from error
        status = self.files.stat(fd)
        if generations.is_object(status):
            return Found(fd, path, status)
        self.files.close(fd)
        return Nothing(path, blocked=True)

    def head(self, bucket: str, key: str) -> Stored:
        """Raises NoSuchKey, NoSuchBucket."""
        found = self.find(bucket, key)
        try:
            return generations.describe(self.files, found.fd, key, found.status)
        except OSError as error:
            raise meaning(f"read metadata of {key!r}", error) from error
        finally:
            self.files.close(found.fd)

    def put(self, bucket: str, key: str, draft: Draft, condition: Condition) -> Stored:
        """Make the sealed draft the object at the key. The lock is held."""
        self.require(bucket)
        with self._all(bucket, key) as looked:
            self._check(key, looked, condition)
            existing = [found.path for found in looked if isinstance(found, Found)]
            free = [found.path for found in looked if isinstance(found, Nothing) and not found.blocked]
        with translated(f"look at {key!r}"):
            stored = draft.stored(key)
        for path in existing[:1] or free:
            if self._rename(bucket, path, draft):
                draft.close()
                return stored
        raise Unavailable(f"key {key!r}: something other than an object is in the way, plain and escaped; remove it")

    def delete(self, bucket: str, key: str, condition: IfMatch | None) -> bool:
        """Remove the object, the hidden one first. The lock is held. False if there was none."""
        self.require(bucket)
        with self._all(bucket, key) as looked:
            self._check(key, looked, condition)
            existing = [found.path for found in looked if isinstance(found, Found)]
        for path in reversed(existing):
            self._unlink(bucket, path)
        if not existing and keys.is_key(key) and self.durable:
            self._sync_absence(bucket, key)
        return bool(existing)

    def _sync_absence(self, bucket: str, key: str) -> None:
        """Who was told that a deletion is not durable asks again, and finds nothing to delete. Raises NotDurable."""
        path = next(_places(key))
        with translated(f"delete {key!r} in {bucket!r}"):
            while True:
                try:
                    with self.parent(bucket, path) as parent:
                        return self.sync(parent)
                except OSError as error:
                    if "/" not in path or error.errno not in {errno.ENOENT, *BLOCKED}:
                        raise
                    path = path.rpartition("/")[0]

    @contextmanager
    def _all(self, bucket: str, key: str) -> Iterator[Sequence[Found | Nothing]]:
        """What is at each place of the key; open within the block."""
        looked: list[Found | Nothing] = []
        try:
            if keys.is_key(key):
                looked.extend(self._look(bucket, path) for path in _places(key))
            yield looked
        finally:
            for found in looked:
                if isinstance(found, Found):
                    self.files.close(found.fd)

    @contextmanager
    def parent(self, bucket: str, path: str) -> Iterator[int]:
        """The directory that holds `path`. Errors are OSError."""
        fd = self.files.open(self.root.fd, _parent(bucket, path), DIRECTORY)
        try:
            yield fd
        finally:
            self.files.close(fd)

    def sync(self, fd: int) -> None:
        """Make the changes in a directory durable. Raises NotDurable, since they have happened."""
        if self.durable:
            try:
                self.files.fsync(fd)
            except OSError as error:
                raise NotDurable(f"fsync of a directory: {error.strerror}") from error

    def _check(self, key: str, looked: Sequence[Found | Nothing], condition: Condition) -> None:
        current = next((found for found in looked if isinstance(found, Found)), None)
        match condition:
            case IfAbsent() if current is not None:
                raise ConditionFailed(f"key {key!r} holds an object")
            case IfMatch(etag) if current is None or self.etag(current, key) != etag:
                raise ConditionFailed(f"key {key!r} does not hold this generation")
            case _:
                return

    def etag(self, found: Found, key: str) -> str:
        with translated(f"read metadata of {key!r}"):
            return generations.describe(self.files, found.fd, key, found.status).etag

    def _rename(self, bucket: str, path: str, draft: Draft) -> bool:
        """False if something is in the way. A parent may vanish, since deletes remove empty ones: then once more."""
        leaf = path.rpartition("/")[2]
        try:
            for _ in range(_ATTEMPTS):
                parent = self._make_parent(bucket, path)
                if parent is None:
                    continue
                try:
                    self.files.rename(draft.directory, draft.name, parent, leaf)
                    self.sync(parent)
                    return True
                except FileNotFoundError:
                    if draft.status().st_nlink == 0:
                        raise Unavailable("the temporary file was removed: another server cleans this root") from None
                finally:
                    self.files.close(parent)
            raise Unavailable(f"put {path!r}: its directory is removed faster than it can be made")
        except OSError as error:
            self._prune(bucket, path)
            if error.errno in BLOCKED:
                return False
            raise meaning(f"put {path!r} into {bucket!r}", error) from error

    def _make_parent(self, bucket: str, path: str) -> int | None:
        """Open the directory that is to hold `path`, making what is missing; None if it was removed meanwhile."""
        try:
            return self.files.open(self.root.fd, _parent(bucket, path), DIRECTORY)
        except FileNotFoundError:
            pass
        at = self.files.open(self.root.fd, bucket, DIRECTORY)
        for name in path.split("/")[:-1]:
            try:
                below = self._make(at, name)
            finally:
                self.files.close(at)
            if below is None:
                return None
            at = below
        return at

    def _make(self, parent: int, name: str) -> int | None:
        """Each directory is durable before one is made in it, so that nobody builds on one that a crash takes away."""
        try:
            return self.files.open(parent, name, DIRECTORY)
        except FileNotFoundError:
            pass
        try:
            self.files.mkdir(parent, name)
            if self.durable:
                self.files.fsync(parent)
        except FileExistsError:
            pass
        except FileNotFoundError:
            return None
        try:
            return self.files.open(parent, name, DIRECTORY)
        except FileNotFoundError:
            return None

    def _unlink(self, bucket: str, path: str) -> None:
        try:
            with self.parent(bucket, path) as parent:
                self.files.unlink(parent, path.rpartition("/")[2])
                self.sync(parent)
        except FileNotFoundError:
            return  # another program was faster
        except OSError as error:
            raise meaning(f"delete {path!r} in {bucket!r}", error) from error
        self._prune(bucket, path)

    def _prune(self, bucket: str, path: str) -> None:
        """Remove the directories above `path` that are empty: a client never made them, so none may stay."""
        while "/" in path:
            path = path.rpartition("/")[0]
            try:
                with self.parent(bucket, path) as parent:
                    self.files.rmdir(parent, path.rpartition("/")[2])
            except FileNotFoundError:
                continue
            except OSError:
                return  # in use, or gone; an empty directory that stays is no key and harms nobody


def _places(key: str) -> Iterator[str]:
    plain = paths.plain(key)
    if plain is not None:
        yield plain
    yield f"{paths.ESCAPED}/{paths.escape(key)}"


def _parent(bucket: str, path: str) -> str:
    above = path.rpartition("/")[0]
    return f"{bucket}/{above}" if above else bucket
