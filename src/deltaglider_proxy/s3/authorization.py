"""What a caller may do in this request: decided once, from the table of operations, before any handler runs."""

from deltaglider_proxy.access.authenticator import Caller, Moment
from deltaglider_proxy.access.authorize import authorize, denied
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.rules import Listing
from deltaglider_proxy.s3.protocol.copy_source import parse_copy_source
from deltaglider_proxy.s3.protocol.operations import BodyKind, Lists, Operation
from deltaglider_proxy.s3.protocol.request import Request


def context_of(request: Request, caller: Caller, at: Moment, scheme: str) -> Context:
    """The facts that conditions of rules look at."""
    signature, parameters = caller.signature, request.parameters
    auth_type = "" if signature is None else "REST-QUERY-STRING" if signature.presigned else "REST-HEADER"
    return Context(
        now=at.now,
        source_ip=at.address,
        secure=scheme == "https",
        user_agent=request.headers.get(b"user-agent", b"").decode("latin-1"),
        username=caller.identity.name,
        signature_version="" if signature is None else "AWS4-HMAC-SHA256",
        auth_type=auth_type,
        prefix=parameters.get("prefix", "") if not request.key else None,
        delimiter=parameters.get("delimiter"),
        max_keys=parameters.get("max-keys"),
    )


def authorize_call(operation: Operation, request: Request, caller: Caller, context: Context) -> bool:
    """Whether the listing that is asked for must be filtered. Raises AccessError, also where only each key could tell
    and none can be allowed. Forms are signed inside their body: their handler decides.
    """
    identity, bucket, key = caller.identity, request.bucket, request.key
    if operation.body is BodyKind.FORM:
        return False
    if identity.anonymous and operation.shows is None and operation.action != "public":
        raise denied(operation.action, bucket, key)
    if operation.lists is not None:
        listing = identity.rules.listing(bucket, request.parameters.get("prefix", ""), context)
        if listing is Listing.DENIED or (listing is Listing.FILTERED and operation.lists is Lists.WHOLE):
            raise denied(operation.action, bucket, key)
        return listing is Listing.FILTERED
    if operation.by_key:
        if not identity.rules.may_delete_some(bucket, context):
            raise denied(operation.action, bucket, key)
        return False
    alternative = operation.or_action
    if alternative is None or not identity.rules.allows(alternative, bucket, key, context):
        authorize(identity, operation.action, bucket, key, context)
    if operation.source_action is not None:
        source = parse_copy_source(request.headers)
        authorize(identity, operation.source_action, source.bucket, source.key, context)
    return False
