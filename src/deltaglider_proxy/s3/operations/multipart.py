"""Multipart uploads: beginning them, their parts, and what is open. Their end is `complete_upload`."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.engine.api import OpenObject
from deltaglider_proxy.engine.model import Body, Checksum, ChecksumAlgorithm, ChecksumType, Digests
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.operations import preconditions
from deltaglider_proxy.s3.operations.copy_object import source_of
from deltaglider_proxy.s3.operations.object_headers import checksum_headers
from deltaglider_proxy.s3.operations.put_object import attributes_of
from deltaglider_proxy.s3.operations.upload_body import upload_body
from deltaglider_proxy.s3.protocol import listing, ranges, xml_out
from deltaglider_proxy.s3.protocol.checksums import UploadChecksum, parse_upload_checksum
from deltaglider_proxy.s3.protocol.metadata import refuse_unsupported


async def create_multipart_upload(call: Call) -> Response:
    attributes = attributes_of(call)
    wanted = parse_upload_checksum(call.request.headers)
    algorithm = ChecksumAlgorithm(wanted.algorithm) if wanted is not None else None
    kind = ChecksumType(wanted.type) if wanted is not None else None
    await call.store.head_bucket(call.bucket)
    upload_id = await call.store.create_upload(call.bucket, call.key, attributes, algorithm, kind)
    call.uploads.note(call.bucket, call.key, upload_id, wanted)
    response = xml(xml_out.initiate_multipart_upload(call.bucket, call.key, upload_id))
    if wanted is not None:
        response.headers += [
            (b"x-amz-checksum-algorithm", wanted.algorithm.encode()),
            (b"x-amz-checksum-type", wanted.type.encode()),
        ]
    return response


@asynccontextmanager
async def of_bucket(call: Call) -> AsyncIterator[None]:
    """An upload that is not there because its bucket is not: the bucket is what the client must hear of."""
    try:
        yield
    except engine.NoSuchUpload:
        await call.store.head_bucket(call.bucket)
        raise


async def upload_part(call: Call) -> Response:
    refuse_unsupported(call.request.headers)
    number = listing.part_number(call.parameters)
    assert number is not None
    upload_id = call.parameters["uploadId"]
    async with of_bucket(call):
        begun = await call.uploads.of(call.bucket, call.key, upload_id)
        part = await call.store.put_part(call.bucket, call.key, upload_id, number, upload_body(call, begun))
    headers = [(b"etag", b'"' + part.etag.encode() + b'"')]
    headers += [h for h in checksum_headers(part.checksum) if h[0] != b"x-amz-checksum-type"]
    return Response(200, headers)


async def upload_part_copy(call: Call) -> Response:
    refuse_unsupported(call.request.headers)
    number = listing.part_number(call.parameters)
    assert number is not None
    source = source_of(call.request)
    wanted = call.header(b"x-amz-copy-source-range")
    condition = preconditions.for_copy_source(call)
    upload_id = call.parameters["uploadId"]
    async with of_bucket(call):
        begun = await call.uploads.of(call.bucket, call.key, upload_id)
        opened = await call.store.open(*source)
        try:
            if condition is not None:
                condition(opened.info)
            start, stop = ranges.parse_copy_range(wanted, opened.info.size) or (0, opened.info.size)
            body = _copied(opened, start, stop, begun)
            part = await call.store.put_part(call.bucket, call.key, upload_id, number, body)
        finally:
            await opened.close()
    return xml(xml_out.copy_part(part.etag, part.modified, part.checksum))


def _copied(opened: OpenObject, start: int, stop: int, upload: UploadChecksum | None) -> Body:
    """A range of an object as a part, with the checksum of its upload: nobody but us could send one."""

    def keep(digests: Digests, size: int) -> Checksum | None:
        if size != stop - start:
            raise engine.Corrupt("the source ended early")
        if upload is None:
            return None
        value = base64.b64encode(digests[upload.algorithm.lower()]).decode()
        return Checksum(ChecksumAlgorithm(upload.algorithm), value)

    wanted = frozenset({upload.algorithm.lower()} if upload is not None else ())
    return Body(opened.stream(start, stop), stop - start, wanted, keep, trailing=upload is not None)


async def abort_multipart_upload(call: Call) -> Response:
    async with of_bucket(call):
        await call.store.abort_upload(call.bucket, call.key, call.parameters["uploadId"])
    return Response(204)


async def list_parts(call: Call) -> Response:
    query = listing.parse_parts(call.parameters)
    async with of_bucket(call):
        upload, parts, truncated = await call.store.list_parts(
            call.bucket, call.key, query.upload_id, query.after, query.limit
        )
    return xml(xml_out.list_parts(call.bucket, upload, query, parts, truncated))


async def list_multipart_uploads(call: Call) -> Response:
    query = listing.parse_uploads(call.parameters)
    await call.store.head_bucket(call.bucket)
    found = await call.store.list_uploads(
        call.bucket, query.prefix, query.key_marker, query.upload_marker, query.limit, query.delimiter
    )
    return xml(xml_out.list_multipart_uploads(call.bucket, query, found.entries, found.truncated))
