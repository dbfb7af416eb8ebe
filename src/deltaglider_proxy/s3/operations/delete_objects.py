"""Deleting objects, one or many, or all below a prefix."""

import asyncio

import orjson

from deltaglider_proxy.access.errors import AccessError
from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.s3.admission import Rejected, admit_key
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.errors import from_engine
from deltaglider_proxy.s3.operations import preconditions
from deltaglider_proxy.s3.protocol import xml_in, xml_out
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.extensions import asks_recursive
from deltaglider_proxy.s3.protocol.request import check_key
from deltaglider_proxy.s3.protocol.xml_in import DeleteItem
from deltaglider_proxy.s3.protocol.xml_out import DeleteFailure
from deltaglider_proxy.telemetry.tasks import Crew

_PARALLEL = 16


async def delete_object(call: Call) -> Response:
    if asks_recursive(call.request):
        return await _delete_below(call)
    await call.store.delete(call.bucket, call.key, preconditions.for_write(call))
    return Response(204)


async def _delete_below(call: Call) -> Response:
    """Everything whose key begins with this one. Stops at the first failure; a repeat goes on from there."""
    if preconditions.for_write(call) is not None:
        raise S3Error(Code.InvalidRequest, "A recursive delete takes no conditions: they are about one object.")
    deleted = denied = 0
    after, more = "", True
    while more:
        page = await call.store.list(call.bucket, call.key, after, call.settings.recursive_page)
        keys = [entry.key for entry in page.entries if isinstance(entry, ObjectInfo)]
        may = [key for key in keys if _may_delete(call, key)]
        deleted += await _delete_all(call, may)
        denied += len(keys) - len(may)
        more = page.truncated
        after = keys[-1] if keys else after
    document = orjson.dumps({"deleted": deleted, "denied": denied})
    return Response(200, [(b"content-type", b"application/json")], document)


def _may_delete(call: Call, key: str) -> bool:
    """By the rules of the caller, and by the operator's, as if the key were deleted alone."""
    try:
        admit_key(call.state, "DELETE", call.bucket, key, call.at)
    except (AccessError, Rejected):
        return False
    return call.may(call.operation.action, key)


async def _delete_all(call: Call, keys: list[str]) -> int:
    """How many of them were there."""
    limit = asyncio.Semaphore(_PARALLEL)
    deleted = 0

    async def one(key: str) -> None:
        nonlocal deleted
        async with limit:
            was_there = await call.store.delete(call.bucket, key)
        deleted += was_there

    async with Crew() as crew:
        for key in keys:
            crew.start(one(key))
        await crew.join()
    return deleted


async def delete_objects(call: Call) -> Response:
    wanted = xml_in.parse_delete(call.document)
    await call.store.head_bucket(call.bucket)
    limit = asyncio.Semaphore(_PARALLEL)

    async def one(item: DeleteItem) -> DeleteFailure | None:
        key, version = item.key, item.version
        if not _may_delete(call, key):
            return DeleteFailure(key, Code.AccessDenied, Code.AccessDenied.message, version)
        if version not in (None, "", "null"):
            return DeleteFailure(key, Code.NoSuchVersion, Code.NoSuchVersion.message, version)
        async with limit:
            try:
                check_key(key)
                await call.store.delete(call.bucket, key, preconditions.for_delete_item(item.etag))
            except S3Error as error:
                return DeleteFailure(key, error.code, error.message, version)
            except engine.EngineError as error:
                answer = from_engine(error, call.bucket, key)
                return DeleteFailure(key, answer.code, answer.message, version)
        return None

    outcomes = await asyncio.gather(*map(one, wanted.items))
    deleted = [(e.key, e.version) for e, failure in zip(wanted.items, outcomes, strict=True) if failure is None]
    failures = [failure for failure in outcomes if failure is not None]
    return xml(xml_out.delete_result([] if wanted.quiet else deleted, failures))
