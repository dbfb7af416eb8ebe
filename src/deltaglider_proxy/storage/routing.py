"""Several backends as one: each bucket lies on one of them, perhaps under another name there.

Buckets that no route names lie on the default backend. A backend that is away takes its own buckets with it and no
others; in the listing of all buckets those that were last seen on it stay.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from deltaglider_proxy.storage.backend import (
    Backend,
    BucketInfo,
    Capabilities,
    Condition,
    IfMatch,
    Metadata,
    Page,
    Piece,
    Reader,
    Stored,
    Writer,
)
from deltaglider_proxy.storage.errors import NameTaken, NoSuchBucket, StorageError, Unavailable

_log = structlog.get_logger("deltaglider_proxy.routing")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a bucket lies."""

    backend: str
    bucket: str
    """Its name there."""


class RoutedBackend:
    """Buckets by the names that clients use. Owns the backends: `close` closes them."""

    def __init__(
        self,
        backends: Mapping[str, Backend],
        default: str,
        routes: Mapping[str, Route],
        patience: float = 5.0,
        reserved: Collection[Route] = (),
    ) -> None:
        """`patience`: seconds that one backend may take to list its buckets. `reserved` buckets are not there, and
        cannot be made.
        """
        self._backends = backends
        self._default = default
        self._routes = routes
        self._patience = patience
        self._reserved = frozenset(reserved)
        self._seen: dict[str, Sequence[BucketInfo]] = {}

    def named(self, name: str) -> Backend:
        """Raises KeyError."""
        return self._backends[name]

    def route(self, bucket: str) -> Route:
        return self._routes.get(bucket) or Route(self._default, bucket)

    def _at(self, bucket: str) -> tuple[Backend, str]:
        route = self.route(bucket)
        if route in self._reserved:
            raise NoSuchBucket(bucket)
        return self._backends[route.backend], route.bucket

    def capabilities(self, bucket: str, /) -> Capabilities:
        route = self.route(bucket)
        return self._backends[route.backend].capabilities(route.bucket)

    async def buckets(self) -> Sequence[BucketInfo]:
        listings = await asyncio.gather(*map(self._buckets_of, self._backends))
        there = dict(zip(self._backends, listings, strict=True))
        found = {
            info.name: info
            for info in there[self._default]
            if info.name not in self._routes and Route(self._default, info.name) not in self._reserved
        }
        for bucket, route in self._routes.items():
            if route in self._reserved:
                continue
            for info in there[route.backend]:
                if info.name == route.bucket:
                    found[bucket] = replace(info, name=bucket)
        return [found[name] for name in sorted(found)]

    async def _buckets_of(self, name: str) -> Sequence[BucketInfo]:
        try:
            async with asyncio.timeout(self._patience):
                self._seen[name] = await self._backends[name].buckets()
        except (StorageError, TimeoutError) as error:
            if len(self._backends) == 1:
                raise Unavailable(f"the storage backend {name!r} does not list its buckets") from error
            _log.warning("a backend does not list its buckets", backend=name, reason=str(error) or "no answer in time")
        return self._seen.get(name, ())

    async def bucket(self, bucket: str) -> BucketInfo:
        backend, name = self._at(bucket)
        return replace(await backend.bucket(name), name=bucket)

    async def create_bucket(self, bucket: str) -> None:
        if self.route(bucket) in self._reserved:
            raise NameTaken(bucket)
        backend, name = self._at(bucket)
        await backend.create_bucket(name)

    async def delete_bucket(self, bucket: str, disposable: str) -> None:
        backend, name = self._at(bucket)
        await backend.delete_bucket(name, disposable)

    async def head(self, bucket: str, key: str) -> Stored:
        backend, name = self._at(bucket)
        return await backend.head(name, key)

    def head_now(self, bucket: str, key: str) -> Stored | None:
        backend, name = self._at(bucket)
        return backend.head_now(name, key)

    async def open(self, bucket: str, key: str) -> Reader:
        backend, name = self._at(bucket)
        return await backend.open(name, key)

    async def write(
        self, bucket: str, key: str, metadata: Metadata, size: int | None = None, *, conditional: bool = False
    ) -> Writer:
        backend, name = self._at(bucket)
        return await backend.write(name, key, metadata, size, conditional=conditional)

    async def delete(self, bucket: str, key: str, condition: IfMatch | None = None) -> bool:
        backend, name = self._at(bucket)
        return await backend.delete(name, key, condition)

    async def compose(
        self,
        bucket: str,
        key: str,
        pieces: Sequence[Piece],
        metadata: Metadata,
        condition: Condition = None,
        pin: IfMatch | None = None,
    ) -> Stored:
        backend, name = self._at(bucket)
        return await backend.compose(name, key, pieces, metadata, condition, pin)

    async def replace(self, bucket: str, key: str, data: bytes, metadata: Metadata, expected: Stored) -> Stored:
        backend, name = self._at(bucket)
        return await backend.replace(name, key, data, metadata, expected)

    async def list(
        self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000, delimiter: str = "", hidden: str = ""
    ) -> Page:
        backend, name = self._at(bucket)
        return await backend.list(name, prefix, after, limit, delimiter, hidden)

    async def close(self) -> None:
        for backend in self._backends.values():
            await backend.close()
