"""Listings of objects, and of versions, of which each object has one: `null`."""

import asyncio
from collections.abc import Mapping, Sequence

from deltaglider_proxy.access.authorize import Action
from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.operations.visible import FILTERED, list_visible
from deltaglider_proxy.s3.protocol import listing, xml_out
from deltaglider_proxy.s3.protocol.extensions import shown_metadata
from deltaglider_proxy.telemetry.tasks import Crew

_PARALLEL = 16


async def list_objects(call: Call) -> Response:
    query = listing.parse_objects_v1(call.parameters)
    page = await list_visible(call, query.prefix, query.after, query.limit, query.delimiter)
    return _answer(call, xml_out.list_objects(call.bucket, query, page.entries, page.truncated))


async def list_objects_v2(call: Call) -> Response:
    query = listing.parse_objects_v2(call.parameters)
    page = await list_visible(call, query.prefix, query.after, query.limit, query.delimiter)
    metadata = await _metadata(call, page.entries) if query.metadata else {}
    return _answer(call, xml_out.list_objects_v2(call.bucket, query, page.entries, page.truncated, metadata))


async def _metadata(call: Call, entries: Sequence[ObjectInfo | str]) -> Mapping[str, Mapping[str, str]]:
    """By key, for objects that the caller may read. A listing need not know everything, so each is asked for."""
    limit = asyncio.Semaphore(_PARALLEL)
    found: dict[str, Mapping[str, str]] = {}

    async def one(key: str) -> None:
        async with limit:
            try:
                info = await call.store.head(call.bucket, key)
            except engine.NoSuchKey:
                return  # deleted since it was listed
        found[key] = shown_metadata(info.kind, info.size, info.stored_size, info.user_metadata)

    async with Crew() as crew:
        for entry in entries:
            if isinstance(entry, ObjectInfo) and call.may(Action.READ, entry.key):
                crew.start(one(entry.key))
        await crew.join()
    return found


async def list_object_versions(call: Call) -> Response:
    query = listing.parse_versions(call.parameters)
    page = await list_visible(call, query.prefix, query.key_marker, query.limit, query.delimiter)
    return _answer(call, xml_out.list_object_versions(call.bucket, query, page.entries, page.truncated))


def _answer(call: Call, document: bytes) -> Response:
    response = xml(document)
    if call.filtered:
        response.headers += FILTERED
    return response
