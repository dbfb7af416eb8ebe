"""Replacing one generation by another so that not even a program that ignores our locks can lose a file to it.

rename(2) would destroy whatever is at the name at that instant. An exchanging rename brings it out instead: if it is
the expected generation, it is dropped; if not, it is put back. A record, durable before the exchange, tells the next
server's start about an exchange that was cut off in between. It names the file that went in and the one that was
expected to come out, so that a third one, somebody's new file, is recognised and put back then.
"""

import errno
from dataclasses import asdict, dataclass
from typing import Final

import orjson

from deltaglider_proxy.storage.backend import IfMatch, Stored
from deltaglider_proxy.storage.backends.filesystem import generations
from deltaglider_proxy.storage.backends.filesystem.drafts import Draft
from deltaglider_proxy.storage.backends.filesystem.failures import BLOCKED, translated
from deltaglider_proxy.storage.backends.filesystem.files import CREATE, DIRECTORY, READ, Files
from deltaglider_proxy.storage.backends.filesystem.root import Root
from deltaglider_proxy.storage.backends.filesystem.tree import Tree
from deltaglider_proxy.storage.errors import ConditionFailed, NoSuchKey, StorageError, Uncertain

SUFFIX: Final = ".exchange"


@dataclass(frozen=True, slots=True)
class Record:
    """One exchange under way. The draft's name is the record's own without SUFFIX."""

    parent: str
    """The directory of the other name, below the root."""
    leaf: str
    ours: str
    """Identity of what goes in."""
    expected: str
    """Identity of what should come out."""


def replace(tree: Tree, bucket: str, key: str, draft: Draft, expected: IfMatch) -> Stored:
    """Make the sealed draft the object at the key in place of `expected`. The key's lock is held; ends the draft.

    Raises ConditionFailed, Unavailable, DiskFull, Uncertain.
    """
    try:
        found = tree.find(bucket, key)
    except NoSuchKey as error:
        raise ConditionFailed(f"key {key!r} holds nothing") from error
    try:
        if tree.etag(found, key) != expected.etag:
            raise ConditionFailed(f"key {key!r} does not hold this generation")
    finally:
        tree.files.close(found.fd)
    with translated(f"replace {key!r}"):
        stored = draft.stored(key)
        above, _, leaf = found.path.rpartition("/")
        record = Record(f"{bucket}/{above}" if above else bucket, leaf, stored.etag, expected.etag)
        _write_record(tree, draft, record)
    try:
        with translated(f"replace {key!r}"):
            _exchange(tree, draft, record)
    except Uncertain:
        draft.close()  # what came out and the record stay for the next start, which sees what became durable
        raise
    except StorageError:
        _drop(tree.files, draft)
        raise
    try:
        _drop(tree.files, draft)
    except StorageError:
        return stored  # it has been replaced; the record stays with what came out, and the next start removes both
    return stored


def _drop(files: Files, draft: Draft) -> None:
    draft.discard()
    with translated("remove a record"):
        files.unlink(draft.directory, draft.name + SUFFIX)


def _exchange(tree: Tree, draft: Draft, record: Record) -> None:
    """Afterwards the draft's name holds what is to be dropped, except after Uncertain."""
    files = tree.files
    parent = -1
    try:
        parent = files.open(tree.root.fd, record.parent, DIRECTORY)
        files.exchange(draft.directory, draft.name, parent, record.leaf)
        try:
            replaced = _settle(files, draft, parent, record)
        except OSError as error:
            raise Uncertain(f"cut off between two exchanges: {error.strerror}; the next start ends it") from error
        if not replaced:
            raise ConditionFailed("another program changed the file at this moment")
        tree.sync(parent)
    except FileNotFoundError as error:
        raise ConditionFailed("another program removed the file at this moment") from error
    finally:
        if parent >= 0:
            files.close(parent)


def _settle(files: Files, draft: Draft, parent: int, record: Record) -> bool:
    """Whether what came out is what was expected. If not, exchange again: what comes out then must be what went in;
    else somebody renamed a newer file to the name meanwhile, and that one goes back in turn.
    """
    inside, outside = record.ours, _identity(files, draft.directory, draft.name)
    if outside == record.expected:
        return True
    while True:
        try:
            files.exchange(draft.directory, draft.name, parent, record.leaf)
        except FileNotFoundError:
            return False  # deleted by another program, so the name is meant to hold nothing
        came_out = _identity(files, draft.directory, draft.name)
        if came_out == inside:
            return False
        inside, outside = outside, came_out


def finish(files: Files, root: Root, name: str) -> None:
    """Bring the exchange of the draft `name` to its end after a crash. Errors are OSError."""
    fd = files.open(root.tmp, name + SUFFIX, READ)
    try:
        record = _decode(files.read(fd, files.stat(fd).st_size, 0))
    finally:
        files.close(fd)
    if record is None:
        return
    try:
        if _identity(files, root.tmp, name) not in (record.ours, record.expected):
            _restore(files, root, name, record)
    except OSError as error:
        if error.errno != errno.ENOENT and error.errno not in BLOCKED:
            raise


def _restore(files: Files, root: Root, name: str, record: Record) -> None:
    """Somebody's file had come out. It goes back, unless the key has got something newer since."""
    parent = files.open(root.fd, record.parent, DIRECTORY)
    try:
        if _identity(files, parent, record.leaf) == record.ours:
            files.exchange(root.tmp, name, parent, record.leaf)
            files.fsync(parent)
    finally:
        files.close(parent)


def _write_record(tree: Tree, draft: Draft, record: Record) -> None:
    fd = tree.files.open(draft.directory, draft.name + SUFFIX, CREATE)
    try:
        tree.files.write(fd, orjson.dumps(asdict(record)), 0)
        if tree.durable:
            tree.files.fsync(fd)
            tree.files.fsync(draft.directory)
    except OSError:
        tree.files.unlink(draft.directory, draft.name + SUFFIX)
        raise
    finally:
        tree.files.close(fd)


def _decode(data: bytes) -> Record | None:
    """None for a record that a crash cut off: its exchange was never begun."""
    try:
        fields: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if isinstance(fields, dict) and all(isinstance(value, str) for value in fields.values()):
        try:
            return Record(**fields)
        except TypeError:
            return None
    return None


def _identity(files: Files, dir_fd: int, name: str) -> str:
    try:
        fd = files.open(dir_fd, name, READ)
    except PermissionError:
        return generations.etag(files.stat_at(dir_fd, name), b"unreadable, so not ours")
    try:
        return generations.etag(files.stat(fd), files.get_xattr(fd, generations.ATTRIBUTE) or b"")
    finally:
        files.close(fd)
