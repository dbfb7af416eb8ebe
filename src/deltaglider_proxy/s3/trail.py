"""What the audit log is told of S3 requests: changes that were made, and whoever was not let in."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from deltaglider_proxy.access.auditor import Actor, Auditor
from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.identity import ANONYMOUS
from deltaglider_proxy.access.state import Mode
from deltaglider_proxy.s3.call import Call
from deltaglider_proxy.s3.observe import Seen
from deltaglider_proxy.s3.protocol.request import Request

_CHANGES: Final[Mapping[str, str]] = {
    "PutObject": "s3_put",
    "CompleteMultipartUpload": "s3_put",
    "PostObject": "s3_post",
    "CopyObject": "s3_copy",
    "DeleteObject": "s3_delete",
    "DeleteObjects": "s3_delete_many",
    "PutObjectTagging": "s3_tag",
    "DeleteObjectTagging": "s3_tag",
    "CreateBucket": "s3_create_bucket",
    "DeleteBucket": "s3_delete_bucket",
    "PutBucketTagging": "s3_tag_bucket",
    "DeleteBucketTagging": "s3_tag_bucket",
}

_ANONYMOUS: Final = "anonymous"
"""How somebody signs in who does not."""


def ended(auditor: Auditor, call: Call, seen: Seen) -> None:
    """The request has its answer."""
    name = call.operation.name
    done = 200 <= seen.status < 300
    if call.refused_keys:
        action = call.operation.action.capitalize()
        stranger = call.caller.anonymous
        auditor.refused(
            _actor(call, seen), "access_denied", action, call.bucket, call.refused_keys[0], by_stranger=stranger
        )
    if done and name in _CHANGES:
        auditor.object_changed(_actor(call, seen), _CHANGES[name], call.bucket, call.key)
    elif done and call.caller.anonymous and call.state.mode is not Mode.OPEN and call.bucket:
        auditor.read_by_stranger(
            _actor(call, seen),
            call.bucket,
            call.key or call.parameters.get("prefix", ""),
            f"public-prefix:{call.bucket}",
        )


def refused(auditor: Auditor, error: AccessError, request: Request | None, address: Address | None, seen: Seen) -> None:
    """Somebody was not let in, or may not do what was asked."""
    agent = request.headers.get(b"user-agent", b"").decode("latin-1") if request is not None else ""
    user = error.user or error.details.get("AWSAccessKeyId", "")
    nobody_looked = error.reason is Reason.BLOCKED and not error.user
    method = _ANONYMOUS if error.user == ANONYMOUS.name else "" if nobody_looked else "sigv4"
    actor = Actor(user[:128], address, agent, seen.request_id, method)
    refuse = partial(auditor.refused, actor, by_stranger=error.user in ("", ANONYMOUS.name))
    bucket, key = (request.bucket, request.key) if request is not None else ("", "")
    match error.reason:
        case Reason.DENIED:
            action, bucket, key = error.denied or ("", bucket, key)
            refuse("access_denied", action.capitalize(), bucket, key)
        case Reason.BLOCKED:
            refuse("admission_deny", error.block, bucket, key)
        case Reason.REPLAYED:
            refuse("replay_rejected", str(error.reason), bucket, key)
        case Reason.LOCKED_DATABASE | Reason.MAINTENANCE | Reason.CROWDED:
            return
        case reason:
            refuse("login_failed", str(reason), bucket, key)


def rejected(auditor: Auditor, block: str, request: Request, address: Address | None, seen: Seen) -> None:
    """The operator's own answer was given."""
    agent = request.headers.get(b"user-agent", b"").decode("latin-1")
    actor = Actor("", address, agent, seen.request_id)
    auditor.refused(actor, "admission_reject", block, request.bucket, request.key, by_stranger=True)


def _actor(call: Call, seen: Seen) -> Actor:
    agent = call.request.headers.get(b"user-agent", b"").decode("latin-1")
    identity = call.caller.identity
    method = "sigv4" if call.caller.signature else _ANONYMOUS if call.caller.anonymous else ""
    return Actor(identity.name, call.at.address, agent, seen.request_id, method)
