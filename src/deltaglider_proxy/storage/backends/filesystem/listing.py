"""A page of a bucket: the plain and the escaped tree walked side by side, merged in the order of keys.

Each object on the page is opened, so that its size, ETag and metadata are of one generation; one that was deleted
meanwhile is left out. What the server may not read is listed without metadata where it is a file, and not at all where
it is a directory: one such thing among others must not end all listings. Runs in a thread; the cost grows with the
page, not with what lies before or after it.
"""

import errno
import os
from contextlib import ExitStack
from dataclasses import dataclass

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import Page, Stored
from deltaglider_proxy.storage.backends.filesystem import generations, paths
from deltaglider_proxy.storage.backends.filesystem.failures import BLOCKED
from deltaglider_proxy.storage.backends.filesystem.files import READ, Files
from deltaglider_proxy.storage.backends.filesystem.names import Names
from deltaglider_proxy.storage.backends.filesystem.walk import Walker
from deltaglider_proxy.storage.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Query:
    """The arguments of `Backend.list`."""

    prefix: str
    after: str
    limit: int
    delimiter: str
    hidden: str

    def hides(self, path: str) -> bool:
        return bool(self.hidden) and path.startswith(self.hidden)

    def rolls_up(self, path: str) -> bool:
        return keys.common_prefix(path, self.prefix, self.delimiter) is not None


class _Source:
    """One tree as an ordered sequence of keys with the wanted prefix."""

    def __init__(self, walker: Walker, query: Query, *, escaped: bool) -> None:
        self.key: str | None = None
        """The key it stands on, or a path that begins some key, where all of them are one common prefix."""
        self.walker = walker
        self._query = query
        self._escaped = escaped

    def seek(self, target: str | None) -> None:
        """Move to the first key at or after `target`; None: to the end."""
        while target is not None:
            self.walker.seek(paths.lower_bound(target) if self._escaped else target)
            self._look()
            if self.key is None or not self._query.hides(self.key):
                return
            target = keys.successor(self._query.hidden)
        self.key = None

    def next(self) -> None:
        self.walker.next()
        self._look()
        if self.key is not None and self._query.hides(self.key):
            self.seek(keys.successor(self._query.hidden))

    def _look(self) -> None:
        path = self.walker.position
        key = paths.unescape(path) if self._escaped and path is not None else path
        self.key = key if key is not None and key.startswith(self._query.prefix) else None


def page(files: Files, names: Names, root: int, bucket: str, query: Query, since: float) -> Page:
    """Raises OSError, and Later if it has to be asked for again. The bucket exists."""
    start = keys.first_wanted(query.prefix, query.after, query.delimiter)
    if start is None:
        return Page((), truncated=False)
    with ExitStack() as stack:
        plain = _plain(files, names, root, bucket, query, since, stack)
        escaped = _escaped(files, names, root, bucket, query, since, stack)
        for source in (plain, escaped):
            source.seek(start)
        return _merge(files, plain, escaped, query)


def _plain(files: Files, names: Names, root: int, bucket: str, query: Query, since: float, stack: ExitStack) -> _Source:
    def skip(path: str) -> bool:
        too_long = len(path) * 4 > keys.MAX_BYTES and not keys.is_key(path)
        return too_long or path == f"{paths.RESERVED}/" or query.hides(path)

    walker = Walker(files, names, since, skip, query.rolls_up)
    stack.callback(walker.close)
    base = query.prefix[: query.prefix.rfind("/") + 1]
    if not base or paths.plain(base[:-1]) is not None:
        walker.enter(root, bucket, base)
    return _Source(walker, query, escaped=False)


def _escaped(
    files: Files, names: Names, root: int, bucket: str, query: Query, since: float, stack: ExitStack
) -> _Source:
    def skip(path: str) -> bool:
        return not path.endswith("/") and paths.unescape(path) is None

    walker = Walker(files, names, since, skip, lambda _: False)
    stack.callback(walker.close)
    bound = paths.lower_bound(query.prefix)
    walker.enter(root, f"{bucket}/{paths.ESCAPED}", bound[: bound.rfind("/") + 1])
    return _Source(walker, query, escaped=True)


def _merge(files: Files, plain: _Source, escaped: _Source, query: Query) -> Page:
    entries: list[Stored | str] = []
    while plain.key is not None or escaped.key is not None:
        # Where a key is in both trees, reads find the plain one.
        first = plain if escaped.key is None or (plain.key is not None and plain.key <= escaped.key) else escaped
        key = first.key
        assert key is not None
        entry = keys.common_prefix(key, query.prefix, query.delimiter) or _describe(files, first, key)
        if entry is not None and len(entries) >= query.limit:
            return Page(tuple(entries), truncated=True)
        if entry is None:
            first.next()
            continue
        entries.append(entry)
        behind = keys.successor(entry) if isinstance(entry, str) else None
        for source in (plain, escaped):
            if isinstance(entry, str):
                if source.key is not None and source.key.startswith(entry):
                    source.seek(behind)
            elif source.key == key:
                source.next()
    return Page(tuple(entries), truncated=False)


def _describe(files: Files, source: _Source, key: str) -> Stored | None:
    """None if it is an object no longer."""
    directory, name = source.walker.file()
    try:
        fd = files.open(directory, name, READ)
    except PermissionError:
        return _without_metadata(key, files.stat_at(directory, name))
    except OSError as error:
        if error.errno == errno.ENOENT or error.errno in BLOCKED:
            return None
        raise
    try:
        status = files.stat(fd)
        if not generations.is_object(status):
            return None
        try:
            return generations.describe(files, fd, key, status)
        except Unavailable:
            return _without_metadata(key, status)
    finally:
        files.close(fd)


def _without_metadata(key: str, status: os.stat_result) -> Stored:
    return Stored(key, status.st_size, generations.etag(status, b""), status.st_mtime_ns / 1e9, {})
