"""Which stored keys of the older layout belong to which client key.

On a file system everything lies below a folder of its own. On a service there is no such folder, so stored keys and
client keys share one space; names that mean something in the older layout are refused to new objects there.
"""

import re

from deltaglider_proxy.engine import errors, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.legacy.metadata import Record, Role

DELTA = ".delta"
BASELINE = "reference.bin"
FOLDER = "deltaspaces/"
_LOCKS = ".dg/"
_UNFINISHED = re.compile(r"(?:.*/)?\.tmp[A-Za-z0-9]{6}")


def root(ctx: Context, bucket: str) -> str:
    """What all stored keys of the older layout begin with."""
    return FOLDER if ctx.backend.capabilities(bucket).local else ""


def folder(key: str) -> str:
    """The key up to its last `/`, inclusive."""
    return key[: key.rfind("/") + 1]


def is_hidden(root: str, key: str) -> bool:
    """Whether no client has this key, because the older layout has uses for it."""
    return not key or key.startswith(_LOCKS) or bool(root and key.startswith(root))


def is_unfinished(root: str, name: str) -> bool:
    """Whether this is what a crash left of a write, `name` without the root."""
    return bool(root and _UNFINISHED.fullmatch(name))


def refuse(ctx: Context, bucket: str, key: str) -> None:
    """Raises KeyRejected for the key of a new object that would be in the way of the older layout."""
    if not ctx.settings.policy(bucket).legacy:
        return
    at = root(ctx, bucket)
    if is_hidden(at, key) or (not at and (key.endswith(DELTA) or key.rsplit("/", 1)[-1] == BASELINE)):
        raise errors.KeyRejected(
            f"key {key[:200]!r}: it has a meaning in the older layout that this bucket holds; choose another name, "
            "or another bucket"
        )


def client_key(name: str, record: Record | None) -> str | None:
    """The client key of what is stored under `name`, which is without the root; None for what is not a client's."""
    if record is None or record.role is Role.PLAIN:
        return name
    if record.role is Role.BASELINE:
        return folder(name) + record.stands_for if record.stands_for is not None else None
    plain = name.removesuffix(DELTA)
    return plain if plain and not plain.endswith("/") else name


def may_hold_older(key: str) -> bool:
    """Whether objects of the older layout can have this client key: none lie where our own internal ones do."""
    return not key.startswith(names.HIDDEN)
