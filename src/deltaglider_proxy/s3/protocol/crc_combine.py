"""The CRC of a whole from the CRCs of its parts, without the bytes.

Appending `n` bytes multiplies the CRC before them by x^(8n) in GF(2)[x] modulo the polynomial, so combining two costs
one multiplication of polynomials; the powers are kept, since the parts of an upload mostly have one size. Source: Mark
Adler's method in zlib's `crc32_combine`.
"""

from collections.abc import Iterable
from functools import lru_cache

_POLYNOMIALS = {
    "crc32": (32, 0xEDB88320),
    "crc32c": (32, 0x82F63B78),
    "crc64nvme": (64, 0x9A6C9329AC4BC9B5),
}
"""Width and bit-reflected polynomial."""


def _multiply(a: int, b: int, width: int, polynomial: int) -> int:
    """The product modulo the polynomial; the highest bit is x^0."""
    product = 0
    mask = 1 << (width - 1)
    while a:
        if a & mask:
            product ^= b
            a ^= mask
        mask >>= 1
        b = (b >> 1) ^ polynomial if b & 1 else b >> 1
    return product


@lru_cache(256)
def _byte_power(name: str, length: int) -> int:
    """x^(8 * length) modulo the polynomial."""
    width, polynomial = _POLYNOMIALS[name]
    result = 1 << (width - 1)
    square = result >> 8
    while length:
        if length & 1:
            result = _multiply(square, result, width, polynomial)
        square = _multiply(square, square, width, polynomial)
        length >>= 1
    return result


def combine_crcs(name: str, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """From (CRC big-endian, length in bytes) of each part, in order; `name` is `crc32`, `crc32c` or `crc64nvme`."""
    width, polynomial = _POLYNOMIALS[name]
    total = 0
    for digest, length in parts:
        shifted = _multiply(_byte_power(name, length), total, width, polynomial)
        total = shifted ^ int.from_bytes(digest, "big")
    return total.to_bytes(width // 8, "big")
