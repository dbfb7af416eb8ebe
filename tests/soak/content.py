"""Bodies that say what they are: families of similar objects, each made again from its tag alone.

So nothing but tags needs to be remembered, and bytes that come back wrong can be told apart: those of another object,
or of none.
"""

import hashlib
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

SIZES = (700, 6_000, 40_000, 150_000, 400_000, 1_200_000)
"""Of the families, in bytes, in turn: too small for deltas, tried without a sketch, promoted, more than one piece."""
PART = 5 << 20
"""The least that S3 allows for a part that is not the last."""
_STAMPS = 3


@dataclass(frozen=True, slots=True, order=True)
class Content:
    """The `variant`-th edit of a family's noise. `parts` > 1: uploaded in so many."""

    family: int
    variant: int
    parts: int = 0

    @property
    def tag(self) -> str:
        return f"{self.family}.{self.variant}.{self.parts}"

    @classmethod
    def of(cls, tag: str) -> Self:
        family, variant, parts = tag.split(".")
        return cls(int(family), int(variant), int(parts))

    @property
    def size(self) -> int:
        return SIZES[self.family % len(SIZES)] + PART * max(self.parts - 1, 0) + self.variant % 13

    def data(self) -> bytes:
        """Family noise with a few bytes changed, some inserted, and the tag at several places."""
        data = bytearray(_noise(self.family, self.size))
        choice = random.Random(f"{self.family}/{self.variant}")
        stamp = f"<{self.tag}>".encode()
        for number in range(_STAMPS):
            at = choice.randrange(max(1, self.size - len(stamp)))
            data[at : at + len(stamp)] = stamp
            if number == 0 and self.size > 2000:
                start = choice.randrange(self.size - 1000)
                data[start : start + 200] = choice.randbytes(200)
        data[: len(stamp)] = stamp
        return bytes(data[: self.size])

    def pieces(self) -> list[bytes]:
        """The parts of an upload in parts."""
        data = self.data()
        cuts = [PART * number for number in range(max(self.parts, 1))]
        return [data[start : start + PART] if start != cuts[-1] else data[start:] for start in cuts]


@lru_cache(maxsize=32)
def _noise(family: int, size: int) -> bytes:
    """Every second family compresses, as text does."""
    choice = random.Random(family)
    if family % 2:
        words = [choice.randbytes(6).hex().encode() for _ in range(300)]
        lines = b" ".join(choice.choice(words) for _ in range(size // 13 + 1))
        return lines[:size].ljust(size, b".")
    return choice.randbytes(size)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=20_000)
def digest_of(tag: str) -> str:
    return digest(Content.of(tag).data())
