"""Conditions of a request as the preconditions that the engine checks at the moment of the change."""

from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.engine.model import ObjectInfo, Precondition
from deltaglider_proxy.s3.call import Call
from deltaglider_proxy.s3.protocol.conditions import Outcome, parse_conditions, parse_copy_source_conditions
from deltaglider_proxy.s3.protocol.etags import unquote


def for_write(call: Call) -> Precondition | None:
    """Of the object that is about to be replaced or deleted."""
    conditions = parse_conditions(call.request.headers)
    if conditions is None:
        return None

    def check(current: ObjectInfo | None) -> None:
        outcome = conditions.for_write(current.etag if current is not None else None)
        if outcome is Outcome.MISSING:
            raise engine.NoSuchKey(call.key)
        if outcome is not Outcome.PROCEED:
            raise engine.PreconditionFailed

    return check


def for_delete_item(etag: str | None) -> Precondition | None:
    """Of one object of many: it must have this tag, if the client gave one."""
    if etag is None:
        return None
    wanted = unquote(etag)

    def check(current: ObjectInfo | None) -> None:
        if current is None or wanted not in (current.etag, "*"):
            raise engine.PreconditionFailed

    return check


def for_copy_source(call: Call) -> Precondition | None:
    conditions = parse_copy_source_conditions(call.request.headers)
    if conditions is None:
        return None

    def check(current: ObjectInfo | None) -> None:
        if current is not None and conditions.for_copy_source(current.etag, current.modified) is not Outcome.PROCEED:
            raise engine.PreconditionFailed

    return check
