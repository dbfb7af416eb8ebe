"""Where in a bucket's directory a key lives. Pure.

A key is its own path wherever a directory tree can hold it, so that other programs find plain files. What no tree can
hold (`a//b`, `..`, components over 255 bytes, our own name) and what is in the way of others (`a` beside `a/b`) goes
to a second tree below a reserved name, under an encoding that keeps the order of keys: the hex digits of the key's
bytes, cut into directory names of 200 digits, the rest and `+` as the file's name. Directories there have 200 digits,
files fewer, and `+` sorts before all digits, so that walking the names in order yields the keys in byte order. A key
of 1024 bytes makes 11 levels.
"""

import re
from functools import lru_cache
from typing import Final

from deltaglider_proxy.storage import keys

RESERVED: Final = ".deltaglider.fs"
"""Our own name, at the root and in each bucket."""
ESCAPED: Final = f"{RESERVED}/escaped"

_NAME_MAX: Final = 255
_DIGITS: Final = 200
_LEAF: Final = "+"
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def plain(key: str) -> str | None:
    """The key as a path in the bucket; None if no path is spelled like it."""
    if key.startswith(RESERVED) and (len(key) == len(RESERVED) or key[len(RESERVED)] == "/"):
        return None
    padded = f"/{key}/"
    if "//" in padded or "/./" in padded or "/../" in padded:
        return None
    if len(key) * 4 > _NAME_MAX and any(len(name.encode()) > _NAME_MAX for name in key.split("/")):
        return None
    return key


def escape(key: str) -> str:
    """The key's path below ESCAPED."""
    return _cut(key) + _LEAF


def lower_bound(start: str) -> str:
    """Sorts above the escaped paths of all keys below `start`, and at or below those of all others."""
    return _cut(start)


def _cut(key: str) -> str:
    digits = key.encode().hex()
    return "/".join(digits[at : at + _DIGITS] for at in range(0, len(digits) + 1, _DIGITS))


def unescape(path: str) -> str | None:
    """The key of a path below ESCAPED; None for files that are not ours."""
    if not path.endswith(_LEAF):
        return None
    try:
        key = bytes.fromhex(path[: -len(_LEAF)].replace("/", "")).decode()
    except ValueError:
        return None
    return key if keys.is_key(key) and escape(key) == path else None


@lru_cache(1024)
def is_bucket(name: str) -> bool:
    """Whether a directory of this name at the root is a bucket; `lost+found` and hidden directories are none."""
    return _BUCKET.fullmatch(name) is not None
