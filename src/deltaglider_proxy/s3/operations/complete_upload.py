"""The end of a multipart upload: what the client says of its parts and of the whole must be what was stored.

Source: Amazon S3 API Reference, CompleteMultipartUpload; S3 User Guide, "Checking object integrity".
"""

import base64
from collections.abc import Sequence

from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.engine.model import Checksum, ChecksumAlgorithm, ChecksumType, CompletedPart, PartInfo
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.operations import preconditions
from deltaglider_proxy.s3.operations.multipart import of_bucket
from deltaglider_proxy.s3.operations.object_headers import debug
from deltaglider_proxy.s3.protocol import xml_in, xml_out
from deltaglider_proxy.s3.protocol.checksums import (
    UploadChecksum,
    WholeChecksum,
    check_object_size,
    composite_checksum,
    parse_type,
    parse_whole_checksum,
)
from deltaglider_proxy.s3.protocol.crc_combine import combine_crcs
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.etags import unquote
from deltaglider_proxy.s3.protocol.xml_in import PartItem


async def complete_multipart_upload(call: Call) -> Response:
    items = xml_in.parse_complete_upload(call.document)
    whole = parse_whole_checksum(call.request.headers)
    upload_id = call.parameters["uploadId"]
    parts = [CompletedPart(item.number, unquote(item.etag)) for item in items]
    try:
        begun = await call.uploads.of(call.bucket, call.key, upload_id)
    except engine.NoSuchUpload:
        begun = None  # a repeat of what has succeeded is still answered
    _check_type(call, begun)

    def verify(stored: Sequence[PartInfo]) -> Checksum | None:
        _check_parts(items, stored, begun)
        checksum = _combined(stored, begun)
        check_object_size(call.request.headers, sum(part.size for part in stored))
        if whole is not None:
            _check_whole(whole, checksum, len(stored))
        return checksum

    async with of_bucket(call):
        info = await call.store.complete_upload(
            call.bucket, call.key, upload_id, parts, preconditions.for_write(call), verify
        )
    host = call.header(b"host") or "localhost"
    location = f"http://{host}{call.request.raw_path.decode('latin-1')}"
    response = xml(xml_out.complete_multipart_upload(location, call.bucket, call.key, info.etag, info.checksum))
    response.headers += debug(call, info)
    return response


def _check_type(call: Call, upload: UploadChecksum | None) -> None:
    asked = parse_type(call.request.headers)
    if upload is not None and asked not in (None, upload.type):
        raise S3Error(
            Code.InvalidRequest,
            f"The upload was created using the {upload.type} checksum mode. The complete request must use the same "
            "checksum mode.",
        )


def _check_parts(items: Sequence[PartItem], stored: Sequence[PartInfo], upload: UploadChecksum | None) -> None:
    """A client that names a part's checksum means that part and no other; a composite one is of checksums named."""
    for item, part in zip(items, stored, strict=True):
        if item.algorithm is None:
            if upload is not None and upload.type == ChecksumType.COMPOSITE:
                raise S3Error(
                    Code.InvalidRequest,
                    f"The upload was created using a {upload.algorithm.lower()} checksum. The complete request must "
                    f"include the checksum for each part. It was missing for part {part.number} in the request.",
                )
        elif part.checksum is None or item.algorithm != part.checksum.algorithm:
            raise S3Error(
                Code.BadDigest,
                f"The {item.algorithm.lower()} you specified for part {part.number} did not match what we received.",
            )
        elif item.checksum != part.checksum.value:
            raise engine.InvalidPart(part.number)


def _combined(stored: Sequence[PartInfo], upload: UploadChecksum | None) -> Checksum | None:
    if upload is None:
        return None
    algorithm, kind = ChecksumAlgorithm(upload.algorithm), ChecksumType(upload.type)
    checksums = [part.checksum for part in stored]
    known = [c.value for c in checksums if c is not None and c.algorithm is algorithm]
    if len(known) != len(stored):
        return None  # parts from before their checksums were insisted on
    if kind is ChecksumType.COMPOSITE:
        return Checksum(algorithm, composite_checksum(algorithm, known), kind)
    crcs = [(base64.b64decode(value), part.size) for value, part in zip(known, stored, strict=True)]
    return Checksum(algorithm, base64.b64encode(combine_crcs(algorithm.lower(), crcs)).decode(), kind)


def _check_whole(said: WholeChecksum, checksum: Checksum | None, parts: int) -> None:
    if checksum is None or checksum.algorithm != said.algorithm:
        raise S3Error(Code.InvalidRequest, f"The upload was not begun with the checksum algorithm {said.algorithm}.")
    if said.value != checksum.value.partition("-")[0] or said.parts not in (None, parts):
        raise S3Error(
            Code.BadDigest, f"The {said.algorithm.lower()} you specified did not match the calculated checksum."
        )
