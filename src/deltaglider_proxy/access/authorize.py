"""Whether an identity may do something: denied unless a rule allows it."""

from enum import StrEnum

from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.identity import Identity, Role


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


_ACTIONS = frozenset(Action)


def allowed(identity: Identity, action: str, bucket: str, key: str = "") -> bool:
    """An action that nobody knows is denied, to administrators too: it is a mistake in a table, not a right."""
    del bucket, key  # an administrator's rights do not depend on them
    if action not in _ACTIONS:
        return False
    return action == Action.PUBLIC or identity.role is Role.ADMINISTRATOR


def authorize(identity: Identity, action: str, bucket: str, key: str = "") -> None:
    """Raises AccessError(DENIED)."""
    if not allowed(identity, action, bucket, key):
        raise AccessError(Reason.DENIED, "Access Denied")
