"""Copying objects on the server."""

from deltaglider_proxy.engine.model import Attributes, ChecksumAlgorithm
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.operations import preconditions
from deltaglider_proxy.s3.operations.object_headers import debug
from deltaglider_proxy.s3.protocol import xml_out
from deltaglider_proxy.s3.protocol.checksums import parse_algorithm
from deltaglider_proxy.s3.protocol.copy_source import Directive, parse_copy_source, parse_directive
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.metadata import REDIRECT, parse_object_headers, refuse_unsupported
from deltaglider_proxy.s3.protocol.request import Request


def source_of(request: Request) -> tuple[str, str]:
    """Bucket and key that `x-amz-copy-source` names."""
    source = parse_copy_source(request.headers)
    return source.bucket, source.key


async def copy_object(call: Call) -> Response:
    headers = call.request.headers
    refuse_unsupported(headers)
    source = source_of(call.request)
    replaces = parse_directive(headers, b"x-amz-metadata-directive") is Directive.REPLACE
    retags = parse_directive(headers, b"x-amz-tagging-directive") is Directive.REPLACE
    if source == (call.bucket, call.key) and not replaces and not retags:
        raise S3Error(
            Code.InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata or tags.",
        )
    attributes = await _attributes(call, source, replaces=replaces, retags=retags)
    asked = call.header(b"x-amz-checksum-algorithm")
    info = await call.store.copy(
        source,
        (call.bucket, call.key),
        attributes,
        preconditions.for_copy_source(call),
        preconditions.for_write(call),
        ChecksumAlgorithm(parse_algorithm(asked)) if asked else None,
    )
    response = xml(xml_out.copy_object(info.etag, info.modified, info.checksum))
    response.headers += debug(call, info)
    return response


async def _attributes(call: Call, source: tuple[str, str], *, replaces: bool, retags: bool) -> Attributes:
    asked = parse_object_headers(call.request.headers)
    tags = asked.tags if retags else await call.store.get_tags(*source)
    if replaces:
        return Attributes(asked.system, asked.user, tags)
    found = await call.store.head(*source)
    # Where a website sends its readers belongs to one object: S3 copies all but that.
    kept = {name: value for name, value in found.headers.items() if name != REDIRECT}
    if REDIRECT in asked.system:
        kept[REDIRECT] = asked.system[REDIRECT]
    return Attributes(kept, found.user_metadata, tags)
