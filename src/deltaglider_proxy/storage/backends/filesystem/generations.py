"""One generation of an object: a regular file's bytes and the attribute that holds its metadata.

The storage ETag of what has metadata is a hash of the inode, the time of the last write, the size and the metadata. The
time of the last change of status is left out: it moves when only a name of the file does.
"""

import hashlib
import os
import stat
import struct
from collections.abc import Mapping
from typing import Final

import orjson
import xxhash

from deltaglider_proxy.storage.backend import Metadata, Stored
from deltaglider_proxy.storage.backends.filesystem.files import Files
from deltaglider_proxy.storage.errors import MetadataTooLarge, Unavailable

_FOREIGN: Final = struct.Struct("<QqI")
_EMPTY: Final = hashlib.md5(b"", usedforsecurity=False).hexdigest()
_STRINGS: Final[frozenset[type]] = frozenset({str})
ATTRIBUTE: Final = "user.dgp"
MAX_METADATA: Final = 3500
"""Below the 4000 bytes or so that ext4 keeps for all attributes of a file, the quotes of JSON included."""


def is_object(status: os.stat_result) -> bool:
    """FIFOs, devices, sockets and directories are none; links are never followed this far."""
    return stat.S_ISREG(status.st_mode)


def describe(files: Files, fd: int, key: str, status: os.stat_result | None = None) -> Stored:
    """Raises Unavailable if the metadata cannot be read: without it, what a caller has encoded would pass
    for plain bytes.
    """
    status = status or files.stat(fd)
    attribute = files.get_xattr(fd, ATTRIBUTE) or b""
    metadata = decode(attribute)
    if metadata is None:
        raise Unavailable(f"metadata of {key!r}: attribute {ATTRIBUTE} is no JSON object of strings; restore the file")
    return Stored(key, status.st_size, etag(status, attribute), status.st_mtime_ns / 1e9, metadata)


def etag(status: os.stat_result, attribute: bytes) -> str:
    if not attribute:
        return _foreign_etag(status)
    prefix = b"%d %d %d " % (status.st_ino, status.st_mtime_ns, status.st_size)
    return xxhash.xxh3_128_hexdigest(prefix + attribute)


def _foreign_etag(status: os.stat_result) -> str:
    """Of a file that somebody else placed: what clients of earlier proxies over the same directory have been told."""
    if not status.st_size:
        return _EMPTY
    seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
    fields = _FOREIGN.pack(status.st_size, seconds, nanoseconds)
    return hashlib.sha256(b"dg-unmanaged-etag-v1\0" + fields).digest()[:16].hex()


def encode(metadata: Metadata) -> bytes:
    """Raises MetadataTooLarge for more than the backend promises to hold."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > MAX_METADATA:
        raise MetadataTooLarge(f"metadata: {size} bytes, at most {MAX_METADATA} fit beside a file")
    return orjson.dumps(dict(metadata)) if metadata else b""


def decode(attribute: bytes) -> Mapping[str, str] | None:
    """None if it is not what `encode` makes."""
    if not attribute:
        return {}
    try:
        found: object = orjson.loads(attribute)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and {*map(type, found.values())} <= _STRINGS else None
