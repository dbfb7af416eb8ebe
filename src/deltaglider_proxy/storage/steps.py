"""The moments at which a test may step in: before and after each effect of a backend's method.

An effect is what happens at one instant, such as an object becoming visible. A hook that raises before it prevents it;
one that raises after it hides an effect that happened; one that awaits lets other tasks run in between.
"""

from enum import StrEnum
from typing import Protocol


class When(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Hook(Protocol):
    async def __call__(self, when: When, step: str, bucket: str, key: str) -> None:
        """`step` is the method's name; for readers and writers `read`, `append` and `commit`."""
        ...


async def no_hook(when: When, step: str, bucket: str, key: str) -> None:
    """Steps in nowhere."""
