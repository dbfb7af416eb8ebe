"""Whether an identity may do something: denied unless a rule allows it."""

from enum import StrEnum

from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.identity import Identity
from deltaglider_proxy.access.policy.context import Context


class Action(StrEnum):
    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    LIST = "list"
    ADMIN = "admin"
    IDENTIFIED = "identified"
    """Open to every identity; the operation filters what it shows."""
    PUBLIC = "public"
    """Needs no identity."""


_BY_RULE = frozenset({"read", "write", "delete", "list", "admin"})


def allowed(identity: Identity, action: str, bucket: str, key: str, context: Context) -> bool:
    """An action that nobody knows is denied, to administrators too: it is a mistake in a table, not a right."""
    if action in _BY_RULE:
        return identity.rules.allows(action, bucket, key, context)
    return action == Action.PUBLIC or (action == Action.IDENTIFIED and not identity.anonymous)


def authorize(identity: Identity, action: str, bucket: str, key: str, context: Context) -> None:
    """Raises AccessError(DENIED)."""
    if not allowed(identity, action, bucket, key, context):
        raise denied(action, bucket, key)


def denied(action: str, bucket: str, key: str = "") -> AccessError:
    """Says nothing to the client of what was asked; the audit log is told."""
    error = AccessError(Reason.DENIED, "Access Denied")
    error.denied = (action, bucket, key)
    return error
