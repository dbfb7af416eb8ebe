"""Buckets, and the configurations of buckets that S3 clients ask for."""

from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.rules import Listing
from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.protocol import listing, xml_in, xml_out
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.metadata import check_create_bucket

_REGION = (b"x-amz-bucket-region", xml_out.REGION.encode())


async def list_buckets(call: Call) -> Response:
    query = listing.parse_buckets(call.parameters)
    rules = call.caller.identity.rules
    found = [
        bucket
        for bucket in await call.store.list_buckets()
        if bucket[0].startswith(query.prefix) and bucket[0] > query.after and rules.sees_bucket(bucket[0])
    ]
    page = found[: query.limit]
    return xml(xml_out.list_buckets(page, query, page[-1][0] if len(found) > len(page) else None))


async def head_service(_: Call) -> Response:
    return Response(200)


async def head_bucket(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    return Response(200, [_REGION])


async def create_bucket(call: Call) -> Response:
    """Creating one's own bucket again is no error, as in us-east-1."""
    check_create_bucket(call.request.headers)
    xml_in.parse_create_bucket(call.document)
    try:
        await call.store.create_bucket(call.bucket)
    except engine.BucketExists:
        return Response(200, [(b"location", b"/" + call.bucket.encode())])
    return Response(200, [(b"location", b"/" + call.bucket.encode())])


async def delete_bucket(call: Call) -> Response:
    await call.store.delete_bucket(call.bucket)
    return Response(204)


async def get_bucket_location(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    return xml(xml_out.location_constraint())


async def get_bucket_versioning(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    return xml(xml_out.versioning(None))


async def put_bucket_versioning(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    if xml_in.parse_versioning(call.document) == "Enabled":
        raise S3Error(Code.NotImplemented, "Versioning is not available.")
    return Response(200)


async def get_bucket_policy_status(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    is_public = call.state.anonymous.rules.listing(call.bucket, "", Context(call.at.now)) is Listing.WHOLE
    return xml(xml_out.policy_status(is_public=is_public))


async def absent_configuration(call: Call) -> Response:
    """A configuration that no bucket has: tools that probe for it expect to be told so, not a failure."""
    await call.store.head_bucket(call.bucket)
    assert call.operation.absent is not None
    raise S3Error(call.operation.absent, fields={"BucketName": call.bucket})


async def empty_configuration(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    return xml(xml_out.configuration(call.operation.document))


async def not_implemented(call: Call) -> Response:
    raise S3Error(Code.NotImplemented, f"{call.operation.name} is not implemented.")
