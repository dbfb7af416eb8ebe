"""Storage that lies: bytes flipped where they lie, or only when they are read for the first time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from typing_extensions import override

from deltaglider_proxy.storage.backend import STEP, Reader, Stored
from deltaglider_proxy.storage.backends.memory import MemoryBackend


def flip(memory: MemoryBackend, bucket: str, key: str, at: int) -> None:
    """Invert the byte at `at`; whatever names the generation stays. Flipping twice repairs it."""
    objects = memory._buckets[bucket].objects
    found = objects[key]
    data = bytearray(found.data)
    data[at] ^= 0xFF
    objects[key] = replace(found, data=bytes(data))


@dataclass(slots=True)
class Watched(MemoryBackend):
    """Keeps what is read of each object; answers wrongly where `lies` says so, once."""

    inner: MemoryBackend
    reads: list[tuple[str, int, int]] = field(default_factory=list)
    lies: dict[str, int] = field(default_factory=dict)
    """By key, the position of a byte that is wrong in the next answer that holds it."""

    def __post_init__(self) -> None:
        self.abilities = self.inner.abilities
        self.hook = self.inner.hook
        self._clock = self.inner._clock
        self._etags = self.inner._etags
        self._buckets = self.inner._buckets
        self._generations = 1000

    @override
    async def open(self, bucket: str, key: str) -> Reader:
        return _WatchedReader(self, await self.inner.open(bucket, key))


class _WatchedReader:
    def __init__(self, backend: Watched, inner: Reader) -> None:
        self._backend = backend
        self._inner = inner
        self.stored: Stored = inner.stored

    async def read(self, start: int, stop: int) -> bytes:
        data = await self._inner.read(start, stop)
        self._backend.reads.append((self.stored.key, start, start + len(data)))
        at = self._backend.lies.get(self.stored.key, -1)
        if start <= at < start + len(data):
            del self._backend.lies[self.stored.key]
            wrong = bytearray(data)
            wrong[at - start] ^= 0xFF
            return bytes(wrong)
        return data

    def read_now(self, start: int, stop: int) -> bytes | None:
        return self._inner.read_now(start, stop)

    async def chunks(self, start: int, stop: int, step: int = STEP) -> AsyncIterator[bytes]:
        for at in range(start, min(stop, self.stored.size), step):
            yield await self.read(at, min(at + step, stop))

    def fileno(self) -> int | None:
        return self._inner.fileno()

    async def close(self) -> None:
        await self._inner.close()
