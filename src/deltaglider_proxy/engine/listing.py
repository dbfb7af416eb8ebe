"""Listing a bucket as clients see it: internal keys do not exist, escaped ones have their own names, sizes and ETags
are those of HEAD.
"""

import bisect
from collections.abc import Sequence
from functools import partial

from deltaglider_proxy.engine import marks, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.facts import Facts
from deltaglider_proxy.engine.legacy import listing as legacy
from deltaglider_proxy.engine.model import Listing, ObjectInfo
from deltaglider_proxy.storage.backend import Page, Stored

_ESCAPED = names.to_storage(".deltaglider/")


async def list_objects(
    ctx: Context, facts: Facts, bucket: str, prefix: str, after: str, limit: int, delimiter: str
) -> Listing:
    """At most `limit` entries that sort after the client's name `after`."""
    if limit <= 0:
        return Listing((), truncated=False)
    while True:
        page, last = await _page(ctx, facts, bucket, prefix, after, limit, delimiter)
        # A page of objects that were deleted while they were looked at says nothing about where to go on.
        if page.entries or not page.truncated:
            return page
        after = last


async def _page(
    ctx: Context, facts: Facts, bucket: str, prefix: str, after: str, limit: int, delimiter: str
) -> tuple[Listing, str]:
    """A page, and the name of its last entry, shown or not."""
    if ctx.settings.policy(bucket).legacy:
        query = legacy.Query(bucket, prefix, after, limit, delimiter)
        return await legacy.list_objects(ctx, facts, partial(_stored, ctx, bucket), query)
    page = await _stored(ctx, bucket, prefix, after, limit, delimiter)
    entries = page.entries
    found = await facts.complete(bucket, [e for e in entries if isinstance(e, Stored)])
    described = {s.key: marks.describe(s, names.to_client(s.key) or "") for s in found}
    shown: list[ObjectInfo | str] = []
    for entry in entries:
        if isinstance(entry, str):
            shown.append(entry)
        elif entry.key in described:
            shown.append(described[entry.key])
    return Listing(tuple(shown), page.truncated), _name(entries[-1]) if entries else after


async def _stored(ctx: Context, bucket: str, prefix: str, after: str, limit: int, delimiter: str) -> Page:
    """The same page as it is stored."""
    visible = await ctx.backend.list(bucket, prefix, after, limit, delimiter, names.HIDDEN)
    entries = list(visible.entries)
    truncated = visible.truncated
    if _may_hold_escaped(prefix, after, entries, truncated=truncated):
        escaped = await _escaped(ctx, bucket, prefix, after, limit, delimiter)
        entries = _merge(entries, escaped.entries)
        truncated = truncated or escaped.truncated or len(entries) > limit
        entries = entries[:limit]
    return Page(tuple(entries), truncated)


def _may_hold_escaped(prefix: str, after: str, entries: Sequence[Stored | str], *, truncated: bool) -> bool:
    """Whether keys below `.deltaglider/` can belong to this page."""
    overlaps = names.HIDDEN.startswith(prefix) or prefix.startswith(names.HIDDEN)
    behind = after.startswith(names.HIDDEN) or after < names.HIDDEN
    before = not truncated or _name(entries[-1]) > names.HIDDEN
    return overlaps and behind and before


async def _escaped(ctx: Context, bucket: str, prefix: str, after: str, limit: int, delimiter: str) -> Page:
    """The same page over escaped keys alone. They are few, so delimiters are applied here, to their clients' names."""
    found: list[Stored | str] = []
    cursor = names.to_storage(after) if after.startswith(names.HIDDEN) else ""
    while len(found) <= limit:
        page = await ctx.backend.list(bucket, _ESCAPED, cursor, 1000)
        for stored in page.entries:
            assert isinstance(stored, Stored)
            cursor = stored.key
            name = names.to_client(stored.key) or ""
            if not name.startswith(prefix) or name <= after:
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                found.append(stored)
            elif (
                (rolled := name[: cut + len(delimiter)]) > after
                and not after.startswith(rolled)
                and rolled not in found[-1:]
            ):
                found.append(rolled)
        if not page.truncated:
            break
    return Page(tuple(found[:limit]), truncated=len(found) > limit)


def _merge(left: Sequence[Stored | str], right: Sequence[Stored | str]) -> list[Stored | str]:
    merged = list(left)
    for entry in right:
        position = bisect.bisect_left(merged, _name(entry).encode(), key=lambda e: _name(e).encode())
        if position == len(merged) or _name(merged[position]) != _name(entry):
            merged.insert(position, entry)
    return merged


def _name(entry: Stored | str) -> str:
    return entry if isinstance(entry, str) else names.to_client(entry.key) or ""
