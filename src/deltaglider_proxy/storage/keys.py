"""What a key is, and the arithmetic of listing: successors of prefixes and roll-up at a delimiter.

Keys are held as `str`: without lone surrogates, the order of code points is the order of UTF-8 bytes, so that no
comparison has to encode.
"""

from deltaglider_proxy.storage.errors import KeyRejected

MAX_BYTES = 1025
"""What a client key may have, and one more for the engine's escape."""

_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def is_key(key: str) -> bool:
    """A key is 1 to 1024 bytes of UTF-8 without NUL."""
    if not 0 < len(key) <= MAX_BYTES or "\0" in key:
        return False
    if key.isascii():
        return True
    try:
        return len(key.encode()) <= MAX_BYTES
    except UnicodeEncodeError:
        return False


def check(key: str) -> None:
    """Raises KeyRejected for what no backend can hold."""
    if not is_key(key):
        raise KeyRejected(f"key {key[:80]!r}: a key is 1 to {MAX_BYTES} bytes of UTF-8 without NUL")


def successor(prefix: str) -> str | None:
    """The smallest string above all that begin with `prefix`; None if there is none."""
    for index in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[index])
        if point < _LAST:
            point += 1
            return prefix[:index] + chr(_SURROGATES.stop if point in _SURROGATES else point)
    return None


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """What `key` is rolled up into: up to the first delimiter after `prefix`, inclusive; None if it stands alone."""
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def first_wanted(prefix: str, after: str, delimiter: str) -> str | None:
    """The smallest string that may be on a page after `after`, so that a walk can begin there; None for no page.

    A walk from here meets no common prefix that the page before has shown already.
    """
    if after < prefix:
        return prefix
    if not after.startswith(prefix):
        return None
    rolled = common_prefix(after, prefix, delimiter)
    return successor(rolled) if rolled is not None else after + "\0"
