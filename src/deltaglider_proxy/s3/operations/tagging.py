"""Tags of objects, and the access control lists that every object and bucket has."""

from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.protocol import xml_in, xml_out
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.metadata import check_acl


async def get_object_tagging(call: Call) -> Response:
    return xml(xml_out.tagging(await call.store.get_tags(call.bucket, call.key)))


async def put_object_tagging(call: Call) -> Response:
    await call.store.set_tags(call.bucket, call.key, xml_in.parse_tagging(call.document))
    return Response(200)


async def delete_object_tagging(call: Call) -> Response:
    await call.store.set_tags(call.bucket, call.key, {})
    return Response(204)


async def get_bucket_tagging(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    raise S3Error(Code.NoSuchTagSet, fields={"BucketName": call.bucket})


async def put_bucket_tagging(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    raise S3Error(Code.NotImplemented, "Tags of buckets are not implemented.")


async def delete_bucket_tagging(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    return Response(204)


async def get_bucket_acl(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    return xml(xml_out.access_control_policy())


async def get_object_acl(call: Call) -> Response:
    await call.store.head(call.bucket, call.key)
    return xml(xml_out.access_control_policy())


async def put_bucket_acl(call: Call) -> Response:
    await call.store.head_bucket(call.bucket)
    check_acl(call.request.headers)
    xml_in.check_acl(call.document)
    return Response(200)


async def put_object_acl(call: Call) -> Response:
    await call.store.head(call.bucket, call.key)
    check_acl(call.request.headers)
    xml_in.check_acl(call.document)
    return Response(200)
