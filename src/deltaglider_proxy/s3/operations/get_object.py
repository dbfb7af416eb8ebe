"""Reading objects and what is known about them."""

from deltaglider_proxy.engine.api import OpenObject
from deltaglider_proxy.engine.model import ObjectInfo
from deltaglider_proxy.s3.call import Call, HeaderList, Response, xml
from deltaglider_proxy.s3.operations.object_headers import checksum_headers, debug, describe
from deltaglider_proxy.s3.protocol import listing, ranges, xml_out
from deltaglider_proxy.s3.protocol.conditions import Outcome, if_range_holds, parse_conditions
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.metadata import response_overrides

_SMALL = 256 << 10
_NOT_MODIFIED = frozenset({b"etag", b"last-modified", b"cache-control", b"expires"})


_UNTRUSTED: HeaderList = [(b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff")]
"""What a browser can be sent to by a link shares its origin with the pages of this server, and must not act there."""


async def get_object(call: Call) -> Response:
    listing.part_number(call.parameters)  # a malformed one is refused whether or not the object exists
    opened = await call.store.open(call.bucket, call.key)
    try:
        response, start, stop = _head(call, opened.info)
        if response.status == 304 or start == stop:
            await opened.close()
            return response
        if stop - start <= _SMALL and (data := opened.read_now(start, stop)) is not None and len(data) == stop - start:
            await opened.close()
            response.body = data
            return response
    except BaseException:
        await opened.close()
        raise
    response.stream = opened.stream(start, stop)
    response.close = opened.close
    if call.settings.debug_headers:
        response.first = lambda: _cache(opened)
    return response


def _cache(opened: OpenObject) -> HeaderList:
    hit = opened.cache_hit
    return [] if hit is None else [(b"x-deltaglider-cache", b"hit" if hit else b"miss")]


async def head_object(call: Call) -> Response:
    listing.part_number(call.parameters)
    response, _, _ = _head(call, await call.store.head(call.bucket, call.key))
    return response


def _head(call: Call, info: ObjectInfo) -> tuple[Response, int, int]:
    """The response without its body, and the range that the body is."""
    headers = describe(info)
    if call.caller.signature is None or call.caller.signature.presigned:
        headers += _UNTRUSTED
    conditions = parse_conditions(call.request.headers)
    if conditions is not None:
        outcome = conditions.for_read(info.etag, info.modified)
        if outcome is Outcome.NOT_MODIFIED:
            return Response(304, [h for h in headers if h[0] in _NOT_MODIFIED]), 0, 0
        if outcome is not Outcome.PROCEED:
            raise S3Error(Code.PreconditionFailed)
    start, stop, partial = _range(call, info)
    if call.parameters:
        headers = _overridden(call, headers)
    if partial:
        headers.append((b"content-range", ranges.content_range(start, stop, info.size).encode()))
    elif call.header(b"x-amz-checksum-mode") == "ENABLED":
        headers += checksum_headers(info.checksum)
    if info.part_sizes and "partNumber" in call.parameters:
        headers.append((b"x-amz-mp-parts-count", b"%d" % len(info.part_sizes)))
    if info.tag_count:
        headers.append((b"x-amz-tagging-count", b"%d" % info.tag_count))
    headers += debug(call, info)
    return Response(206 if partial else 200, headers, length=stop - start), start, stop


def _range(call: Call, info: ObjectInfo) -> tuple[int, int, bool]:
    number = listing.part_number(call.parameters)
    header = call.header(b"range")
    if number is not None:
        if header is not None:
            raise S3Error(Code.InvalidRequest, "Cannot specify both Range header and partNumber query parameter")
        start, stop = ranges.parse_part_range(number, info.part_sizes, info.size)
        return start, stop, start < stop
    if header is None or not if_range_holds(call.header(b"if-range"), info.etag, info.modified):
        return 0, info.size, False
    found = ranges.parse_range(header, info.size)
    return (0, info.size, False) if found is None else (*found, True)


def _overridden(call: Call, headers: HeaderList) -> HeaderList:
    overrides = {
        n.encode(): v.encode() for n, v in response_overrides(call.parameters, signed=not call.caller.anonymous).items()
    }
    return [*(h for h in headers if h[0] not in overrides), *overrides.items()] if overrides else headers


_PAGING = ((b"x-amz-part-number-marker", 0), (b"x-amz-max-parts", 1000))


def _count(call: Call, name: bytes, default: int) -> int:
    text = call.header(name) or str(default)
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise S3Error(Code.InvalidArgument, f"{name.decode()} must be a number.", {"ArgumentName": name.decode()})
    return min(int(text), 10_000)


async def get_object_attributes(call: Call) -> Response:
    asked = frozenset(name.strip() for name in (call.header(b"x-amz-object-attributes") or "").split(",")) - {""}
    if not asked:
        raise S3Error(
            Code.InvalidRequest,
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
        )
    unknown = asked - {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
    if unknown:
        raise S3Error(Code.InvalidArgument, f"Invalid attribute name specified: {', '.join(sorted(unknown))}")
    info = await call.store.head(call.bucket, call.key)
    after, most = (_count(call, name, default) for name, default in _PAGING)
    document = xml_out.object_attributes(asked, info.size, info.etag, info.checksum, info.part_sizes, after, most)
    response = xml(document)
    response.headers += [h for h in describe(info) if h[0] == b"last-modified"]
    return response
