"""Deleting objects, one or many."""

import asyncio

from deltaglider_proxy.access.authorize import allowed
from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.errors import from_engine
from deltaglider_proxy.s3.operations import preconditions
from deltaglider_proxy.s3.protocol import xml_in, xml_out
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.request import check_key
from deltaglider_proxy.s3.protocol.xml_in import DeleteItem
from deltaglider_proxy.s3.protocol.xml_out import DeleteFailure

_PARALLEL = 16


async def delete_object(call: Call) -> Response:
    await call.store.delete(call.bucket, call.key, preconditions.for_write(call))
    return Response(204)


async def delete_objects(call: Call) -> Response:
    wanted = xml_in.parse_delete(call.document)
    await call.store.head_bucket(call.bucket)
    limit = asyncio.Semaphore(_PARALLEL)

    async def one(item: DeleteItem) -> DeleteFailure | None:
        key, version = item.key, item.version
        if not allowed(call.caller.identity, "delete", call.bucket, key):
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
