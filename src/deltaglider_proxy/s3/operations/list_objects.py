"""Listings of objects, and of versions, of which each object has one: `null`."""

from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.protocol import listing, xml_out


async def list_objects(call: Call) -> Response:
    query = listing.parse_objects_v1(call.parameters)
    page = await call.store.list(call.bucket, query.prefix, query.after, query.limit, query.delimiter)
    return xml(xml_out.list_objects(call.bucket, query, page.entries, page.truncated))


async def list_objects_v2(call: Call) -> Response:
    query = listing.parse_objects_v2(call.parameters)
    page = await call.store.list(call.bucket, query.prefix, query.after, query.limit, query.delimiter)
    return xml(xml_out.list_objects_v2(call.bucket, query, page.entries, page.truncated))


async def list_object_versions(call: Call) -> Response:
    query = listing.parse_versions(call.parameters)
    page = await call.store.list(call.bucket, query.prefix, query.key_marker, query.limit, query.delimiter)
    return xml(xml_out.list_object_versions(call.bucket, query, page.entries, page.truncated))
