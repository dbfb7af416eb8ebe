"""Storing objects."""

from deltaglider_proxy.engine.model import Attributes
from deltaglider_proxy.s3.call import Call, Response
from deltaglider_proxy.s3.operations import preconditions
from deltaglider_proxy.s3.operations.object_headers import checksum_headers, debug
from deltaglider_proxy.s3.operations.upload_body import before_asking, upload_body
from deltaglider_proxy.s3.protocol.metadata import parse_object_headers, refuse_unsupported


def attributes_of(call: Call) -> Attributes:
    """What the headers of an upload say about the object."""
    refuse_unsupported(call.request.headers)
    found = parse_object_headers(call.request.headers)
    return Attributes(found.system, found.user, found.tags)


async def put_object(call: Call) -> Response:
    attributes = attributes_of(call)
    await before_asking(call)
    body = upload_body(call)
    info = await call.store.put(call.bucket, call.key, body, attributes, preconditions.for_write(call))
    headers = [(b"etag", b'"' + info.etag.encode() + b'"'), *checksum_headers(info.checksum), *debug(call, info)]
    return Response(200, headers)
