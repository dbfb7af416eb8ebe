"""Cross-origin requests: refused by saying nothing, or, for development, allowed to everyone without credentials."""

from deltaglider_proxy.s3.call import HeaderList, Response
from deltaglider_proxy.s3.protocol.errors import Code, S3Error

_EXPOSED = (
    b"ETag, Content-Range, Accept-Ranges, x-amz-request-id, x-amz-id-2, x-amz-checksum-crc32, x-deltaglider-cache"
)
_ANYONE: HeaderList = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]


def response_headers(permissive: bool) -> HeaderList:
    return _ANYONE if permissive else []


def preflight(permissive: bool, headers: HeaderList) -> Response:
    """Needs no credentials; raises AccessDenied where cross-origin requests are not allowed."""
    asked = dict(headers)
    if b"origin" not in asked or b"access-control-request-method" not in asked:
        raise S3Error(Code.InvalidRequest, "A preflight needs Origin and Access-Control-Request-Method.")
    if not permissive:
        raise S3Error(Code.AccessDenied, "CORSResponse: cross-origin requests are not enabled.")
    return Response(
        200,
        [
            (b"access-control-allow-methods", b"GET, HEAD, PUT, POST, DELETE"),
            (b"access-control-allow-headers", asked.get(b"access-control-request-headers", b"*")),
            (b"access-control-max-age", b"3600"),
        ],
    )
