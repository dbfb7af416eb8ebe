"""Listings, exact whatever the service adds to or leaves out of its own.

A page of the service is only material: what it shows is rolled up, hidden and bounded here, and where it goes on is
always named by `start-after`, so that hidden keys and whole common prefixes are jumped over. An answer that is not in
byte order is refused; a service that is known to order otherwise is listed whole and sorted, up to a bound.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from lxml import etree

from deltaglider_proxy.storage import keys
from deltaglider_proxy.storage.backend import Page, Stored
from deltaglider_proxy.storage.backends.s3 import documents
from deltaglider_proxy.storage.backends.s3.answers import Busy, meaning
from deltaglider_proxy.storage.backends.s3.client import Call
from deltaglider_proxy.storage.backends.s3.service import Service
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict
from deltaglider_proxy.storage.errors import Unavailable, Unsupported

_PAGE: Final = 1000
LAST: Final = "\U0010ffff"
"""Behind a prefix, it sorts above nearly all that have the prefix."""
MOST_SORTED: Final = 200_000

Entry = Stored | str


@dataclass(frozen=True, slots=True)
class Query:
    prefix: str
    after: str
    limit: int
    delimiter: str
    hidden: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A page as the service has it: what it lists, in its order, each kind by itself merged by name."""

    entries: tuple[Entry, ...]
    truncated: bool
    token: str


def parse(body: bytes) -> Raw:
    """An answer to ListObjectsV2. Raises documents.Malformed."""
    root = documents.parse(body)
    space = root.tag.removesuffix("ListBucketResult")
    if space == root.tag:
        raise documents.Malformed(f"an answer to a listing is a {root.tag}")
    encoded = root.findtext(f"{space}EncodingType") == "url"
    objects = [_object(child, space, encoded=encoded) for child in root.iterchildren(f"{space}Contents")]
    prefixes = [
        _decoded(child.findtext(f"{space}Prefix") or "", encoded=encoded)
        for child in root.iterchildren(f"{space}CommonPrefixes")
    ]
    entries: list[Entry] = [*objects, *prefixes] if not prefixes else sorted([*objects, *prefixes], key=name)
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    return Raw(tuple(entries), truncated, root.findtext(f"{space}NextContinuationToken") or "")


def name(entry: Entry) -> str:
    return entry if isinstance(entry, str) else entry.key


def _object(element: etree._Element, space: str, *, encoded: bool) -> Stored:
    key = size = modified = tag = None
    cut = len(space)
    for child in element:
        match child.tag[cut:]:
            case "Key":
                key = child.text
            case "Size":
                size = child.text
            case "LastModified":
                modified = child.text
            case "ETag":
                tag = child.text
            case _:
                continue
    if key is None or size is None or modified is None:
        raise documents.Malformed("an entry of a listing has no Key, Size or LastModified")
    moment = documents.timestamp(modified)
    return Stored(_decoded(key, encoded=encoded), int(size), documents.etag(tag or ""), moment, None)


def _decoded(text: str, *, encoded: bool) -> str:
    if not encoded:
        if "\ufffd" in text:
            raise Unsupported(f"LIST: the service garbles the key {text[:200]!r}, which plain XML cannot express")
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError as error:
        raise documents.Malformed(f"a key in a listing is no UTF-8: {text[:200]!r}") from error


async def page(service: Service, bucket: str, query: Query) -> Page:
    """Raises NoSuchBucket; Unsupported if the service does not list in byte order."""
    if keys.first_wanted(query.prefix, query.after, query.delimiter) is None or (
        query.hidden and query.prefix.startswith(query.hidden)
    ):
        await service.look_for(bucket)
        return Page((), truncated=False)
    if service.verdicts.byte_order is Verdict.LACKING:
        return await _Sorted(service, bucket, query).page()
    return await _Walk(service, bucket, query).page()


class _Filter:
    """Collects entries of a page, those that it is offered in order."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self.entries: list[Entry] = []
        self.more = False

    def rolled(self, entry: Entry) -> Entry:
        if isinstance(entry, str):
            return entry
        return keys.common_prefix(entry.key, self._query.prefix, self._query.delimiter) or entry

    def skips(self, entry: Entry) -> bool:
        """Of a rolled-up entry."""
        found, query = name(entry), self._query
        if found <= query.after or not found.startswith(query.prefix):
            return True
        if query.hidden and found.startswith(query.hidden):
            return True
        return isinstance(entry, str) and bool(self.entries) and self.entries[-1] == entry

    def add(self, entry: Entry) -> None:
        if len(self.entries) >= self._query.limit:
            self.more = True
        else:
            self.entries.append(entry)

    def page(self) -> Page:
        return Page(tuple(self.entries), self.more)


class _Walk:
    """A page by `start-after`."""

    def __init__(self, service: Service, bucket: str, query: Query) -> None:
        self._service = service
        self._bucket = bucket
        self._query = query
        self._filter = _Filter(query)

    async def page(self) -> Page:
        query, chosen = self._query, self._filter
        start, token = self._start(), ""
        rolls_up = self._service.verdicts.common_prefixes is Verdict.WORKS
        delimiter = "/" if query.delimiter == "/" and rolls_up else ""
        while True:
            count = min(max(query.limit - len(chosen.entries), 1), _PAGE)
            raw = await fetch(self._service, self._bucket, query.prefix, start, delimiter, count, token)
            _check_order(raw, start, self._bucket)
            for entry in raw.entries:
                await self._offer(chosen.rolled(entry))
                if chosen.more:
                    return chosen.page()
            if not raw.truncated:
                return chosen.page()
            if not raw.entries:
                token = _next(raw, token, self._bucket)
                continue
            token = ""
            last = raw.entries[-1]
            if self._is_full_and_followed(last):
                return Page(tuple(chosen.entries), truncated=True)
            start = self._jump(last)

    async def _offer(self, entry: Entry) -> None:
        if self._filter.skips(entry):
            return
        hidden = self._query.hidden
        if isinstance(entry, str) and hidden.startswith(entry) and not await self._shows(entry):
            return
        self._filter.add(entry)

    async def _shows(self, prefix: str) -> bool:
        """Whether a common prefix has a key that is not hidden."""
        hidden = self._query.hidden
        start = ""
        while True:
            raw = await fetch(self._service, self._bucket, prefix, start, "", 1)
            if not raw.entries:
                return False
            key = name(raw.entries[0])
            if not key.startswith(hidden):
                return True
            start = max(hidden + LAST, key)

    def _start(self) -> str:
        query = self._query
        if query.after < query.prefix:
            return ""
        rolled = keys.common_prefix(query.after, query.prefix, query.delimiter)
        return max(rolled + LAST, query.after) if rolled is not None else query.after

    def _jump(self, last: Entry) -> str:
        """What the next entry must sort behind."""
        rolled, hidden = self._filter.rolled(last), self._query.hidden
        at = name(last)
        if hidden and at.startswith(hidden):
            return max(hidden + LAST, at)
        return max(rolled + LAST, at) if isinstance(rolled, str) else at

    def _is_full_and_followed(self, last: Entry) -> bool:
        """The page is full, and what the service has behind it will be shown: no look is needed."""
        query, entries = self._query, self._filter.entries
        if len(entries) < query.limit or not entries or isinstance(last, str) or entries[-1] is not last:
            return False
        return not query.hidden or last.key > query.hidden


class _Sorted:
    """A page of everything, for a service whose own order is another."""

    def __init__(self, service: Service, bucket: str, query: Query) -> None:
        self._service = service
        self._bucket = bucket
        self._query = query

    async def page(self) -> Page:
        query = self._query
        found: list[Stored] = []
        token = ""
        while True:
            raw = await fetch(self._service, self._bucket, query.prefix, "", "", _PAGE, token)
            found.extend(entry for entry in raw.entries if isinstance(entry, Stored))
            if len(found) > MOST_SORTED:
                raise Unsupported(
                    f"LIST {self._bucket}: the service does not list in byte order, and more than {MOST_SORTED} keys "
                    f"begin with {query.prefix!r}; list with a longer prefix"
                )
            if not raw.truncated:
                break
            token = _next(raw, token, self._bucket)
        chosen = _Filter(query)
        for entry in sorted(found, key=name):
            if query.hidden and entry.key.startswith(query.hidden):
                continue
            rolled = chosen.rolled(entry)
            if not chosen.skips(rolled):
                chosen.add(rolled)
                if chosen.more:
                    break
        return chosen.page()


async def fetch(
    service: Service, bucket: str, prefix: str, start_after: str, delimiter: str, count: int, token: str = ""
) -> Raw:
    """One page of the service. Raises NoSuchBucket."""
    query = {"list-type": "2", "max-keys": str(count), "encoding-type": "url", "prefix": prefix}
    if delimiter:
        query["delimiter"] = delimiter
    if start_after:
        query["start-after"] = start_after
    if token:
        query["continuation-token"] = token
    answer = await service.client.read(Call("GET", bucket, query=query))
    if not answer.good:
        raise meaning(answer, f"LIST {bucket}", mutation=False)
    try:
        return await service.client.pool.run(parse, answer.body) if count > 100 else parse(answer.body)
    except documents.Malformed as error:
        raise Busy(f"LIST {bucket}: {error}") from error


def _next(raw: Raw, token: str, bucket: str) -> str:
    if not raw.token or raw.token == token:
        raise Unavailable(f"LIST {bucket}: the service says that there is more but not where")
    return raw.token


def _check_order(raw: Raw, start: str, bucket: str) -> None:
    before = start
    for entry in raw.entries:
        found = name(entry)
        # A common prefix may be one of `start`, whose keys go on behind it.
        if found <= before and not (isinstance(entry, str) and before is start and start.startswith(found)):
            raise Unsupported(
                f"LIST {bucket}: the service does not list in byte order ({found[:100]!r} behind {before[:100]!r}); "
                f"run `backend check` for this backend"
            )
        before = found
