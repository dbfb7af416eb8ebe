"""Uploads from browser forms: the fields come first and are checked before a byte of the file is stored."""

from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import quote

from deltaglider_proxy.access.authorize import authorize
from deltaglider_proxy.engine.model import Attributes, Body
from deltaglider_proxy.s3.admission import admit_key
from deltaglider_proxy.s3.call import Call, Response, xml
from deltaglider_proxy.s3.operations.upload_body import kept_checksum
from deltaglider_proxy.s3.protocol import post_policy, xml_out
from deltaglider_proxy.s3.protocol.checksums import parse_expected
from deltaglider_proxy.s3.protocol.errors import Code, S3Error
from deltaglider_proxy.s3.protocol.metadata import parse_object_headers, refuse_unsupported
from deltaglider_proxy.s3.protocol.post_form import FormParser, parse_boundary
from deltaglider_proxy.s3.protocol.post_policy import Policy, Success
from deltaglider_proxy.s3.protocol.xml_in import parse_tagging


async def post_object(call: Call) -> Response:
    parser = FormParser(parse_boundary(call.header(b"content-type") or ""))
    source = call.body.chunks()
    begun: list[bytes] = []
    async for data in source:
        begun += parser.feed(data)
        if parser.file_started:
            break
    if not parser.file_started:
        parser.finish()
    fields = parser.fields
    key = post_policy.final_key(fields, parser.file_name)
    policy = _permit(call, key, fields)
    post_policy.check_fields(fields)
    success = post_policy.parse_success(fields)
    headers = post_policy.form_headers(fields)
    refuse_unsupported(headers)
    found = parse_object_headers(headers)
    tags = parse_tagging(fields["tagging"].encode()) if "tagging" in fields else found.tags
    attributes = Attributes(found.system, found.user, tags)
    expected = parse_expected(headers)
    body = Body(
        _file(call, parser, begun, source, policy),
        None,
        expected.digests,
        lambda digests, _: kept_checksum(expected, digests, {}),
        trailing=expected.algorithm is not None,
    )
    info = await call.store.put(call.bucket, key, body, attributes)
    return _answer(call, key, info.etag, success)


def _permit(call: Call, key: str, fields: dict[str, str]) -> Policy | None:
    """Who signed the policy may write the key, and the policy allows this form. None: nobody has to sign."""
    admit_key(call.state, call.request.method, call.bucket, key, call.at)
    caller = call.authenticator.form(call.state, fields, call.at)
    context = replace(call.context, username=caller.identity.name, auth_type="POST")
    authorize(caller.identity, call.operation.action, call.bucket, key, context)
    call.caller = caller
    if caller.signature is None:
        return None
    policy = post_policy.parse_policy(fields["policy"])
    policy.check({**fields, "key": key}, call.bucket, call.clock.now())
    return policy


async def _file(
    call: Call, parser: FormParser, begun: list[bytes], source: AsyncIterator[bytes], policy: Policy | None
) -> AsyncIterator[bytes]:
    limit = call.settings.max_object_size
    size = 0
    async for piece in _pieces(parser, begun, source):
        size += len(piece)
        if policy is not None:
            policy.check_size(size, complete=False)
        if size > limit:
            raise S3Error(Code.EntityTooLarge, fields={"ProposedSize": str(size), "MaxSizeAllowed": str(limit)})
        yield piece
    parser.finish()
    if policy is not None:
        policy.check_size(size, complete=True)


async def _pieces(parser: FormParser, begun: list[bytes], source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in begun:
        yield piece
    async for chunk in source:
        for piece in parser.feed(chunk):
            yield piece


def _answer(call: Call, key: str, etag: str, success: Success) -> Response:
    host = call.header(b"host") or "localhost"
    location = f"http://{host}/{call.bucket}/{quote(key)}"
    headers = [(b"etag", b'"' + etag.encode() + b'"'), (b"location", location.encode())]
    if success.redirect:
        place = post_policy.redirect_location(success.redirect, call.bucket, key, etag)
        return Response(303, [headers[0], (b"location", place.encode())])
    if success.status == 201:
        response = xml(xml_out.post_response(location, call.bucket, key, etag), 201)
        response.headers += headers
        return response
    return Response(success.status, headers)
