"""What an object's description looks like in the headers of a response."""

from deltaglider_proxy.engine.model import Checksum, Kind, ObjectInfo
from deltaglider_proxy.s3.call import Call, HeaderList
from deltaglider_proxy.s3.protocol.dates import http_date
from deltaglider_proxy.s3.protocol.metadata import user_metadata_header

_DEFAULT_TYPE = b"application/octet-stream"
_ACCEPT_RANGES = (b"accept-ranges", b"bytes")


def describe(info: ObjectInfo) -> HeaderList:
    """Headers of GET and HEAD but for length, range and checksum."""
    headers: HeaderList = [
        (b"etag", b'"' + info.etag.encode() + b'"'),
        (b"last-modified", http_date(info.modified).encode()),
        _ACCEPT_RANGES,
        (b"content-type", user_metadata_header(info.headers.get("content-type", "")) or _DEFAULT_TYPE),
    ]
    headers += [(n.encode(), user_metadata_header(v)) for n, v in info.headers.items() if n != "content-type"]
    headers += [(b"x-amz-meta-" + n.encode(), user_metadata_header(v)) for n, v in info.user_metadata.items()]
    return headers


def checksum_headers(checksum: Checksum | None) -> HeaderList:
    if checksum is None:
        return []
    return [
        (b"x-amz-checksum-" + checksum.algorithm.lower().encode(), checksum.value.encode()),
        (b"x-amz-checksum-type", checksum.type.encode()),
    ]


def debug(call: Call, info: ObjectInfo) -> HeaderList:
    """How the object is stored, for operators who asked for it."""
    if not call.settings.debug_headers:
        return []
    headers: HeaderList = [
        (b"x-amz-storage-type", info.kind.encode()),
        (b"x-deltaglider-stored-size", b"%d" % info.stored_size),
    ]
    if info.kind is Kind.DELTA and info.size:
        headers.append((b"x-deltaglider-ratio", f"{info.stored_size / info.size:.4f}".encode()))
    return headers
