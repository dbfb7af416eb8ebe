"""Buckets of a service: which there are, and how one goes with all that is disposable in it."""

import asyncio
from typing import Final

from deltaglider_proxy.storage.backend import BucketInfo
from deltaglider_proxy.storage.backends.s3 import documents, listing
from deltaglider_proxy.storage.backends.s3.answers import Busy, meaning
from deltaglider_proxy.storage.backends.s3.client import Call
from deltaglider_proxy.storage.backends.s3.service import Service
from deltaglider_proxy.storage.errors import BucketExists, BucketNotEmpty, NoSuchBucket, Unavailable

_PARALLEL: Final = 16
_LOOKS: Final = 3


async def every(service: Service) -> list[BucketInfo]:
    found: list[BucketInfo] = []
    token = ""
    while True:
        call = Call("GET", query={"continuation-token": token} if token else {})
        answer = await service.client.read(call)
        if not answer.good:
            raise meaning(answer, "list the buckets", mutation=False)
        try:
            root = documents.parse(answer.body)
            for group in documents.children(root, "Buckets"):
                for each in documents.children(group, "Bucket"):
                    created = documents.timestamp(documents.required(each, "CreationDate"))
                    found.append(BucketInfo(documents.required(each, "Name"), created))
        except documents.Malformed as error:
            raise Busy(f"list the buckets: {error}") from error
        token = documents.text(root, "ContinuationToken") or ""
        if not token:
            return sorted(found, key=lambda info: info.name)


async def create(service: Service, bucket: str) -> None:
    """Raises BucketExists, also where a service would answer that all is well since the bucket is ours already."""
    try:
        await service.look_for(bucket)
    except NoSuchBucket:
        region = service.client.settings.region
        await service.client.change(Call("PUT", bucket, body=documents.create_bucket(region)))
        return
    raise BucketExists(bucket)


async def delete(service: Service, bucket: str, disposable: str) -> None:
    """Nobody else on this host may write into it meanwhile. What programs on other hosts write at the same time makes
    the service refuse; then what was disposable may be gone although the bucket stays.
    """
    for _ in range(_LOOKS):
        query = listing.Query(prefix="", after="", limit=1, delimiter="", hidden=disposable)
        first = (await listing.page(service, bucket, query)).entries
        if first:
            raise BucketNotEmpty(listing.name(first[0]))
        if disposable:
            await _purge(service, bucket, disposable)
        call = Call("DELETE", bucket)
        answer = await service.client.send(call, mutation=True)
        if answer.good:
            service.forget(bucket)
            return
        if answer.code != "BucketNotEmpty":
            raise meaning(answer, call.subject, mutation=True)
    raise Unavailable(f"bucket {bucket!r}: nothing is listed, but the service says that it is not empty: old versions?")


async def _purge(service: Service, bucket: str, prefix: str) -> None:
    limit = asyncio.Semaphore(_PARALLEL)

    async def one(key: str) -> None:
        async with limit:
            call = Call("DELETE", bucket, key)
            answer = await service.client.send(call, mutation=False)  # no name below the prefix is used twice
            if not answer.good and answer.status != 404:
                raise meaning(answer, call.subject, mutation=True)

    query = listing.Query(prefix=prefix, after="", limit=1000, delimiter="", hidden="")
    while True:
        page = await listing.page(service, bucket, query)
        await asyncio.gather(*(one(listing.name(entry)) for entry in page.entries))
        if not page.truncated:
            return
