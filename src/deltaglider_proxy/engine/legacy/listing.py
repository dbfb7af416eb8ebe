"""Listing a bucket that may have objects of the older layout, as its clients see it.

A delta is stored under its client's key and a suffix, so stored keys and client keys do not sort alike: `a.delta` comes
after `a-1.delta`, though `a` comes before `a-1`. But only a key that begins another one can be so late. So a page is
read in stored order up to some end; then exactly the keys that this end begins with may be missing, and those few are
looked up. The baselines that stand for an object may lie anywhere in their folder; only the folders around both ends of
the page can have one outside of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.facts import Facts
from deltaglider_proxy.engine.legacy import names as older
from deltaglider_proxy.engine.legacy import resolve
from deltaglider_proxy.engine.legacy.resolve import Found
from deltaglider_proxy.engine.model import Listing, ObjectInfo
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import Page, Stored

Native = Callable[[str, str, int, str], Awaitable[Page]]
"""Given prefix, after, limit and delimiter: what the bucket stores, in the order of its clients' names for it."""

_FOLDERS = "/"
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Query:
    bucket: str
    prefix: str
    after: str
    limit: int
    delimiter: str

    def shown_as(self, key: str) -> str | None:
        """The key itself or the common prefix that it is rolled up into; None if it is not on this page or later."""
        if not key.startswith(self.prefix) or key <= self.after:
            return None
        rolled = keys.common_prefix(key, self.prefix, self.delimiter)
        if rolled is None:
            return key
        return rolled if rolled > self.after and not self.after.startswith(rolled) else None

    @property
    def stored_delimiter(self) -> str:
        """Only folders are the same for stored keys: a suffix has no `/`, but it may have any other delimiter."""
        return self.delimiter if self.delimiter == _FOLDERS else ""


@dataclass(slots=True)
class _Seen:
    """What was found of a page, by what it is shown as. No candidates: a common prefix."""

    query: Query
    shown: dict[str, list[Found]] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        name = self.query.shown_as(found.key) if found.key is not None else None
        if name is None:
            return
        candidates = self.shown.setdefault(name, [])
        if name == found.key:
            candidates.append(found)

    def add_prefix(self, prefix: str) -> None:
        if self.query.shown_as(prefix) is not None:
            self.shown.setdefault(prefix, [])


async def list_objects(ctx: Context, facts: Facts, native: Native, query: Query) -> tuple[Listing, str]:
    """At most `query.limit` entries after `query.after`, and the name up to which all were seen."""
    root = older.root(ctx, query.bucket)
    seen = _Seen(query)
    ends: list[str] = []
    if root:
        ends += await _scan(ctx, facts, seen, "", lambda a, n, d: _beside(native, root, query.prefix, a, n, d))
    end = await _scan(ctx, facts, seen, root, lambda a, n, d: _stored(ctx, native, root, query, a, n, d))
    ends += end
    for each in await _look(ctx, query.bucket, _late(root, query, end[0] if end else None)):
        seen.add(each)
    bound = min(ends, default=None)
    complete = sorted(name for name in seen.shown if bound is None or name <= bound)
    entries: list[ObjectInfo | str] = []
    last = bound if bound is not None else query.after
    for name in complete:
        if len(entries) == query.limit:
            return Listing(tuple(entries), truncated=True), last
        last = name
        best = max(seen.shown[name], key=lambda f: f.rank, default=None)
        if best is None:
            entries.append(name)
        elif not await resolve.is_gone(ctx, query.bucket, best):
            entries.append(best.describe())
    return Listing(tuple(entries), truncated=bound is not None), bound if bound is not None else last


async def _scan(
    ctx: Context, facts: Facts, seen: _Seen, root: str, pages: Callable[[str, int, str], Awaitable[Page]]
) -> list[str]:
    """Read pages until more than enough is seen: the name of the last stored thing; empty if there are no more.

    `root`: of a tree of its own that holds nothing but the older layout.
    """
    query = seen.query
    before = set(seen.shown)
    after = query.after
    while True:
        page = await pages(after, query.limit + 1, query.stored_delimiter)
        for entry in page.entries:
            # Local, this is a look; a service is not asked about each of its folders.
            if isinstance(entry, str) and (not root or await _holds_objects(ctx, root, query.bucket, entry)):
                seen.add_prefix(entry)
        objects = [entry for entry in page.entries if isinstance(entry, Stored)]
        for found in await placed(ctx, facts, query.bucket, objects):
            seen.add(found)
        if not page.truncated:
            return []
        after = _name(ctx, query.bucket, page.entries[-1])
        if len(seen.shown.keys() - before) > query.limit:
            return [after]


def _name(ctx: Context, bucket: str, entry: Stored | str) -> str:
    """What a stored thing is called where it lies."""
    root = older.root(ctx, bucket)
    if isinstance(entry, str):
        return entry
    return entry.key[len(root) :] if root and entry.key.startswith(root) else names.to_client(entry.key) or ""


async def _stored(
    ctx: Context, native: Native, root: str, query: Query, after: str, limit: int, delimiter: str
) -> Page:
    """A page of the older layout, without its root in common prefixes."""
    if not root:
        return await native(query.prefix, after, limit, delimiter)
    page = await ctx.backend.list(query.bucket, root + query.prefix, root + after if after else "", limit, delimiter)
    entries = tuple(e[len(root) :] if isinstance(e, str) else e for e in page.entries)
    return Page(entries, page.truncated)


async def _holds_objects(ctx: Context, root: str, bucket: str, folder: str) -> bool:
    """Whether a folder of the older layout has anything for clients, and not just a baseline."""
    after = ""
    while True:
        page = await ctx.backend.list(bucket, root + folder, after, 8)
        for entry in page.entries:
            assert isinstance(entry, Stored)
            after = entry.key
            found = await _attributed(ctx, bucket, entry)
            if found is not None and found.key is not None and not await resolve.is_gone(ctx, bucket, found):
                return True
        if not page.truncated:
            return False


async def _beside(native: Native, root: str, prefix: str, after: str, limit: int, delimiter: str) -> Page:
    """A page of what does not lie below the root."""
    end = keys.successor(root) or ""
    if prefix.startswith(root):
        return Page((), truncated=False)
    if not root.startswith(prefix) or after >= end:
        return await native(prefix, after, limit, delimiter)
    page = await native(prefix, after, limit, delimiter)
    kept = tuple(e for e in page.entries if not (e if isinstance(e, str) else e.key).startswith(root))
    if len(kept) == len(page.entries) or not page.truncated:
        return Page(kept, page.truncated)
    # What lies below the root may fill any number of pages, so the next one begins behind it.
    rest = await native(prefix, root + _LAST, limit, delimiter)
    return Page((*kept, *rest.entries), rest.truncated)


_LAST = "\U0010ffff" * 4
"""Behind all keys below a folder that anybody has."""


async def placed(ctx: Context, facts: Facts, bucket: str, entries: list[Stored]) -> list[Found]:
    """What listed things are; those that are gone meanwhile are left out."""
    root = older.root(ctx, bucket)
    if not root:
        return [resolve.place(ctx, bucket, s) for s in await facts.complete(bucket, entries, every=True)]
    found = []
    for at in range(0, len(entries), _AT_ONCE):
        for stored in entries[at : at + _AT_ONCE]:
            if not stored.key.startswith(root):
                found.append(resolve.place(ctx, bucket, stored))
            elif (looked := await _attributed(ctx, bucket, stored)) is not None:
                found.append(looked)
        await asyncio.sleep(0)  # local reads never wait, and others want their turn
    return found


async def _attributed(ctx: Context, bucket: str, stored: Stored) -> Found | None:
    try:
        return await resolve.look(ctx, bucket, stored.key)
    except storage.Unavailable:
        return resolve.place(ctx, bucket, stored)  # a file that we may not read is listed all the same


def _late(root: str, query: Query, end: str | None) -> set[str]:
    """Storage keys of what may belong to the page, but is stored in front of it or behind `end`."""
    folders = {older.folder(query.prefix), *_folders(query.after), *_folders(end or "")}
    if query.stored_delimiter:
        folders = {older.folder(query.prefix)}
    late = {
        root + folder + older.BASELINE
        for folder in folders
        if folder.startswith(query.prefix) or folder == older.folder(query.prefix)
    }
    if end is not None:
        shorter = (end[:length] for length in range(max(len(query.prefix), 1), len(end) + 1))
        late |= {
            root + key + older.DELTA
            for key in shorter
            if key + older.DELTA > end and older.may_hold_older(key) and query.shown_as(key) == key
        }
    return {key for key in late if keys.is_key(key)}


def _folders(key: str) -> Iterable[str]:
    """All that the key lies in, the bucket itself included."""
    yield ""
    for at, letter in enumerate(key):
        if letter == _FOLDERS:
            yield key[: at + 1]


async def _look(ctx: Context, bucket: str, storage_keys: Iterable[str]) -> list[Found]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(key: str) -> Found | None:
        async with limit:
            return await resolve.look(ctx, bucket, key)

    return [found for found in await asyncio.gather(*map(one, storage_keys)) if found is not None]
