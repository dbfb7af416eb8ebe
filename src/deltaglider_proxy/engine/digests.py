"""Digests of a body while it passes: several at once, each in a thread of its own where the data is large."""

import hashlib
import zlib
from collections.abc import Iterable
from typing import Protocol

import awscrt.checksums
import xxhash

from deltaglider_proxy.engine.model import Digests
from deltaglider_proxy.telemetry.pool import Pool

Data = bytes | bytearray | memoryview

_INLINE = 64 << 10
"""Hashing this much takes less time than handing it to a thread."""


class _Digest(Protocol):
    def update(self, data: Data, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Data, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Crc32c:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Data, /) -> None:
        self._value = awscrt.checksums.crc32c(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Crc64Nvme:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Data, /) -> None:
        self._value = awscrt.checksums.crc64nvme(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(8, "big")


def _new(name: str) -> _Digest:
    match name:
        case "crc32":
            return _Crc32()
        case "crc32c":
            return _Crc32c()
        case "crc64nvme":
            return _Crc64Nvme()
        case "xxh3":
            return xxhash.xxh3_128()
        case "md5" | "sha1" | "sha256":
            return hashlib.new(name, usedforsecurity=False)
        case _:
            raise ValueError(f"unknown digest {name!r}")


class BodyDigests:
    """md5 always, and what else is asked for."""

    def __init__(self, names: Iterable[str]) -> None:
        self._digests = {name: _new(name) for name in sorted({"md5", *names})}

    def add(self, data: Data) -> None:
        """Take a small piece, here and now."""
        for digest in self._digests.values():
            digest.update(data)

    async def update(self, data: Data, pool: Pool) -> None:
        if len(data) <= _INLINE:
            self.add(data)
            return
        jobs = [pool.submit(digest.update, data) for digest in list(self._digests.values())[1:]]
        try:
            await pool.run(next(iter(self._digests.values())).update, data)
        finally:
            for job in jobs:
                await pool.wait(job)

    def results(self) -> Digests:
        return {name: digest.digest() for name, digest in self._digests.items()}
