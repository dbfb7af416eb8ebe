"""The checksums that S3 knows, computed apart from the server."""

import hashlib
from base64 import b64encode
from collections.abc import Callable

from awscrt import checksums


def _big_endian(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda data: _big_endian(checksums.crc32(data), 4),
    "crc32c": lambda data: _big_endian(checksums.crc32c(data), 4),
    "crc64nvme": lambda data: _big_endian(checksums.crc64nvme(data), 8),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def checksum(algorithm: str, data: bytes) -> str:
    return b64encode(ALGORITHMS[algorithm](data)).decode()
