"""What must hold of the storage at any time, read from the backend itself, past the engine's caches."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from deltaglider_proxy.codecs import container
from deltaglider_proxy.engine import marks, names, tags
from deltaglider_proxy.engine.model import Kind
from deltaglider_proxy.storage.backend import Backend, Stored
from deltaglider_proxy.storage.errors import NoSuchBucket


class Violation(AssertionError):
    """The storage is in a state that loses data."""


@dataclass(slots=True)
class Census:
    """All keys of a bucket, by what they are for."""

    objects: set[str] = field(default_factory=set)
    internal: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    """Internal keys that an object or a staged part names."""


async def everything(backend: Backend, bucket: str) -> AsyncIterator[Stored]:
    """All generations there are, with their metadata."""
    after = ""
    while True:
        page = await backend.list(bucket, "", after)
        for entry in page.entries:
            assert isinstance(entry, Stored)
            after = entry.key
            yield await backend.head(bucket, entry.key)
        if not page.truncated:
            return


async def census(backend: Backend, bucket: str) -> Census:
    found = Census()
    try:
        async for stored in everything(backend, bucket):
            key = names.to_client(stored.key)
            (found.internal if key is None else found.objects).add(stored.key)
            mark = marks.mark_of(stored)
            if key is not None:
                info = marks.describe(stored, key)
                found.needed.add(tags.place(info))
            if mark is not None and mark.side is not None:
                found.needed.add(marks.side_key(mark.side))
            if mark is not None and mark.kind is Kind.DELTA:
                index = await index_of(backend, bucket, stored.key)
                found.needed |= {names.INTERNAL + r.name for r in index.references}
    except NoSuchBucket:
        return Census()
    return found


async def index_of(backend: Backend, bucket: str, key: str) -> container.Index:
    data = await whole(backend, bucket, key)
    start, stop = container.parse_trailer(data, len(data))
    return container.parse_index(data[start:stop])


async def whole(backend: Backend, bucket: str, key: str) -> bytes:
    reader = await backend.open(bucket, key)
    try:
        return await reader.read(0, reader.stored.size)
    finally:
        await reader.close()


async def nothing_dangles(backend: Backend) -> None:
    """Raises Violation if a container, or the mark of an object, names what is not there."""
    for bucket in await backend.buckets():
        found = await census(backend, bucket.name)
        missing = {k for k in found.needed - found.internal if not k.startswith(names.TAGS)}
        if missing:
            raise Violation(f"named and not there in {bucket.name}: {sorted(missing)}")


async def references_fit(backend: Backend) -> None:
    """Raises Violation if a reference does not have the bytes that its name says."""
    for bucket in await backend.buckets():
        async for stored in everything(backend, bucket.name):
            if not stored.key.startswith(names.REFERENCES) or stored.key.endswith(names.FACTS_SUFFIX):
                continue
            if names.condemned_target(stored.key) is None:
                data = await whole(backend, bucket.name, stored.key)
                if hashlib.sha256(data).hexdigest() != names.sha256_of(stored.key):
                    raise Violation(f"{stored.key} has other bytes")


async def litter(backend: Backend, bucket: str) -> set[str]:
    """Internal keys that nobody needs: neither named, nor facts or markers of something named, nor current hints."""
    found = await census(backend, bucket)
    kept = found.needed | {k + names.FACTS_SUFFIX for k in found.needed}
    return {
        key
        for key in found.internal
        if (names.condemned_target(key) or key) not in kept and not key.startswith((names.FIRSTS, names.UPLOADS))
    }
