"""Pages of a listing that hold only what the caller may see.

A page is filled up from as many pages of the store as it takes, and continues after the last name that was shown: the
names of what is hidden appear neither in the listing nor in the place where it goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.s3.call import Call, HeaderList
from deltaglider_proxy.s3.protocol.errors import Code, S3Error

_MOST_PAGES = 100
"""Of the store, for one page of the caller's."""

FILTERED: HeaderList = [(b"x-amz-meta-dg-list-filtered", b"true")]


@dataclass(frozen=True, slots=True)
class VisiblePage:
    entries: Sequence[ObjectInfo | str]
    truncated: bool


async def list_visible(call: Call, prefix: str, after: str, limit: int, delimiter: str) -> VisiblePage:
    if not call.filtered:
        page = await call.store.list(call.bucket, prefix, after, limit, delimiter)
        return VisiblePage(page.entries, page.truncated)
    shown = call.caller.identity.rules.filter(call.bucket, call.context)
    found: list[ObjectInfo | str] = []
    for _ in range(_MOST_PAGES):
        page = await call.store.list(call.bucket, prefix, after, max(limit, 1), delimiter)
        for index, entry in enumerate(page.entries):
            after, visible = (
                (entry, shown.prefix(entry)) if isinstance(entry, str) else (entry.key, shown.key(entry.key))
            )
            if visible:
                found.append(entry)
                if len(found) == limit:
                    return VisiblePage(found, page.truncated or index + 1 < len(page.entries))
        if not page.truncated:
            return VisiblePage(found, truncated=False)
    if found:
        return VisiblePage(found, truncated=True)
    raise S3Error(
        Code.InvalidRequest,
        f"More than {_MOST_PAGES * limit} keys that you may not list come first; ask for a longer prefix.",
    )
