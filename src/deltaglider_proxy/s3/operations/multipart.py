"""Multipart uploads."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.engine.model import Checksum, ChecksumAlgorithm, ChecksumType, CompletedPart, PartInfo
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.operations import preconditions
from deltaglider_proxy.s3.operations.copy_object import source_of
from deltaglider_proxy.s3.operations.object_headers import checksum_headers, debug
from deltaglider_proxy.s3.operations.put_object import attributes_of
from deltaglider_proxy.s3.operations.upload_body import upload_body
from deltaglider_proxy.s3.protocol import listing, ranges, xml_in, xml_out
from deltaglider_proxy.s3.protocol.checksums import composite_checksum, parse_upload_checksum
from deltaglider_proxy.s3.protocol.crc_combine import combine_crcs
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.etags import unquote
from deltaglider_proxy.s3.protocol.metadata import refuse_unsupported
from deltaglider_proxy.s3.protocol.xml_in import PartItem


async def create_multipart_upload(call: Call) -> Response:
    attributes = attributes_of(call)
    wanted = parse_upload_checksum(call.request.headers)
    algorithm = ChecksumAlgorithm(wanted[0]) if wanted is not None else None
    kind = ChecksumType(wanted[1]) if wanted is not None else None
    await call.store.head_bucket(call.bucket)
    upload_id = await call.store.create_upload(call.bucket, call.key, attributes, algorithm, kind)
    response = xml(xml_out.initiate_multipart_upload(call.bucket, call.key, upload_id))
    if algorithm is not None and kind is not None:
        response.headers += [
            (b"x-amz-checksum-algorithm", algorithm.encode()),
            (b"x-amz-checksum-type", kind.encode()),
        ]
    return response


@asynccontextmanager
async def _of_bucket(call: Call) -> AsyncIterator[None]:
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
    async with _of_bucket(call):
        part = await call.store.put_part(call.bucket, call.key, call.parameters["uploadId"], number, upload_body(call))
    headers = [(b"etag", b'"' + part.etag.encode() + b'"')]
    headers += [h for h in checksum_headers(part.checksum) if h[0] != b"x-amz-checksum-type"]
    return Response(200, headers)


async def upload_part_copy(call: Call) -> Response:
    refuse_unsupported(call.request.headers)
    number = listing.part_number(call.parameters)
    assert number is not None
    source = source_of(call.request)
    wanted = call.header(b"x-amz-copy-source-range")
    byte_range = None
    if wanted is not None:
        byte_range = ranges.parse_copy_range(wanted, (await call.store.head(*source)).size)
    upload_id = call.parameters["uploadId"]
    async with _of_bucket(call):
        part = await call.store.copy_part(
            call.bucket, call.key, upload_id, number, source, byte_range, preconditions.for_copy_source(call)
        )
    return xml(xml_out.copy_part(part.etag, part.modified, part.checksum))


async def complete_multipart_upload(call: Call) -> Response:
    items = xml_in.parse_complete_upload(call.document)
    upload_id = call.parameters["uploadId"]
    parts = [CompletedPart(item.number, unquote(item.etag)) for item in items]
    try:
        upload, _, _ = await call.store.list_parts(call.bucket, call.key, upload_id, 0, 0)
        algorithm, kind = upload.checksum_algorithm, upload.checksum_type
    except engine.NoSuchUpload:
        algorithm, kind = None, None

    asked_kind = call.header(b"x-amz-checksum-type")
    if kind is not None and asked_kind is not None and asked_kind.upper() != kind:
        raise S3Error(
            Code.InvalidRequest,
            f"The upload was created using the {kind} checksum mode. The complete request must use the same "
            "checksum mode.",
        )

    def verify(stored: Sequence[PartInfo]) -> Checksum | None:
        _check_parts(items, stored, kind)
        checksum = _combined(stored, algorithm, kind)
        _check_whole(call, checksum, sum(part.size for part in stored))
        return checksum

    async with _of_bucket(call):
        info = await call.store.complete_upload(
            call.bucket, call.key, upload_id, parts, preconditions.for_write(call), verify
        )
    host = call.header(b"host") or "localhost"
    location = f"http://{host}{call.request.raw_path.decode('latin-1')}"
    response = xml(xml_out.complete_multipart_upload(location, call.bucket, call.key, info.etag, info.checksum))
    response.headers += debug(call, info)
    return response


def _check_parts(items: Sequence[PartItem], stored: Sequence[PartInfo], kind: ChecksumType | None) -> None:
    """A client that names a part's checksum means that part and no other; a composite one is of checksums named."""
    for item, part in zip(items, stored, strict=True):
        if part.checksum is None:
            continue
        algorithm = part.checksum.algorithm
        for other in item.checksums.keys() - {algorithm}:
            raise S3Error(
                Code.BadDigest,
                f"The {other.lower()} you specified for part {part.number} did not match what we received.",
            )
        named = item.checksums.get(algorithm)
        if named is None and kind is ChecksumType.COMPOSITE:
            raise S3Error(
                Code.InvalidRequest,
                f"The upload was created using a {algorithm.lower()} checksum. The complete request must include the "
                f"checksum for each part. It was missing for part {part.number} in the request.",
            )
        if named is not None and named != part.checksum.value:
            raise engine.InvalidPart(part.number)


def _combined(
    stored: Sequence[PartInfo], algorithm: ChecksumAlgorithm | None, kind: ChecksumType | None
) -> Checksum | None:
    checksums = [part.checksum for part in stored]
    known = [c.value for c in checksums if c is not None and c.algorithm == algorithm]
    if algorithm is None or kind is None or len(known) != len(stored):
        return None
    if kind is ChecksumType.COMPOSITE:
        return Checksum(algorithm, composite_checksum(algorithm, known), kind)
    crcs = [(base64.b64decode(value), part.size) for value, part in zip(known, stored, strict=True)]
    return Checksum(algorithm, base64.b64encode(combine_crcs(algorithm.lower(), crcs)).decode(), kind)


def _check_whole(call: Call, checksum: Checksum | None, size: int) -> None:
    announced = call.header(b"x-amz-mp-object-size")
    if announced is not None and announced != str(size):
        raise S3Error(
            Code.InvalidRequest, "The provided 'x-amz-mp-object-size' header value does not match what was computed."
        )
    for algorithm in ChecksumAlgorithm:
        given = call.header(b"x-amz-checksum-" + algorithm.lower().encode())
        if given is None:
            continue
        if checksum is None or checksum.algorithm is not algorithm:
            raise S3Error(Code.InvalidRequest, f"The upload was not begun with the checksum algorithm {algorithm}.")
        if given.partition("-")[0] != checksum.value.partition("-")[0]:
            raise S3Error(Code.BadDigest, f"The {algorithm} you specified did not match what we received.")


async def abort_multipart_upload(call: Call) -> Response:
    async with _of_bucket(call):
        await call.store.abort_upload(call.bucket, call.key, call.parameters["uploadId"])
    return Response(204)


async def list_parts(call: Call) -> Response:
    query = listing.parse_parts(call.parameters)
    async with _of_bucket(call):
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
