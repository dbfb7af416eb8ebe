"""Which storage key holds what. Internal keys share one prefix that no client key can have.

No internal name is used twice: each holds 128 random bits, so a delayed or repeated DELETE cannot hit a later object.
"""

import secrets

_ROOT = ".deltaglider/"
_ESCAPED = ".deltaglider/~"

HIDDEN = _ROOT
"""Everything below it is invisible to clients, except escaped client keys."""

INTERNAL = ".deltaglider/v1/"
REFERENCES = INTERNAL + "refs/"
FIRSTS = INTERNAL + "first/"
PARTS = INTERNAL + "parts/"
UPLOADS = INTERNAL + "uploads/"
SIDES = INTERNAL + "meta/"
TAGS = INTERNAL + "tags/"

FACTS_SUFFIX = ".facts"
_CONDEMNED = ".condemned."


def random_id() -> str:
    """128 random bits in hex."""
    return secrets.token_hex(16)


def to_storage(key: str) -> str:
    """The storage key of a client key; keeps the order of keys."""
    return _ESCAPED + key[len(_ROOT) :] if key.startswith(_ROOT) else key


def to_client(storage_key: str) -> str | None:
    """The client key that a storage key holds; None for what is not a client's."""
    if not storage_key.startswith(_ROOT):
        return storage_key
    return _ROOT + storage_key[len(_ESCAPED) :] if storage_key.startswith(_ESCAPED) else None


def reference(deltaspace: str, sha256: str) -> str:
    """A new name, relative to INTERNAL, as containers carry it."""
    return f"refs/{deltaspace}/{sha256}.{random_id()}"


def sha256_of(reference_name: str) -> str:
    return reference_name.rsplit("/", 1)[-1].split(".", 1)[0]


def condemned(name: str) -> str:
    """A new marker beside an internal name that garbage collection found unused."""
    return f"{name}{_CONDEMNED}{random_id()}"


def condemned_target(name: str) -> str | None:
    """The name that a marker is about; None if `name` is no marker."""
    target, mark, _ = name.partition(_CONDEMNED)
    return target if mark else None


def part(upload_id: str, number: int) -> str:
    """A new name for a staged part; names of one upload sort by number."""
    return f"{PARTS}{upload_id}/{number:05d}.{random_id()}"
