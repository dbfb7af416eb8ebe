"""What a bucket holds and what it takes, counted from one listing of everything in it.

A listing tells how much each thing takes, and which things can be containers, not how large the objects in them are.
That is asked of every container, of one in each deltaspace, or of none: then it is taken to be the size of the
reference, which a delta resembles. What is asked by far costs the most.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Final

from deltaglider_proxy.codecs.container import may_be_container
from deltaglider_proxy.engine import internal, names
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.errors import NoSuchKey
from deltaglider_proxy.engine.family import deltaspace_of
from deltaglider_proxy.engine.model import Kind, ObjectInfo
from deltaglider_proxy.storage.backend import Stored

STATS: Final = names.INTERNAL + "stats/"
"""What was counted before; it does not count."""
_SMALL: Final = 200 << 10
_PARALLEL: Final = 32


class Mode(StrEnum):
    QUICK = "quick"
    SAMPLED = "sampled"
    DETAILED = "detailed"


class Health(StrEnum):
    EXCELLENT = "excellent"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    NO_REFERENCE = "no_reference"


def grade(deltas: Sequence[int], reference: int | None) -> Health:
    """By the median of the deltas, in bytes, against the reference; None or 0: there is none."""
    if not reference:
        return Health.NO_REFERENCE
    typical = median(deltas)
    ratio = typical / reference
    if ratio >= 0.5:
        return Health.POOR
    if ratio >= 0.2:
        return Health.FAIR
    return Health.EXCELLENT if ratio <= 0.05 and typical <= _SMALL else Health.GOOD


@dataclass(slots=True)
class Found:
    """A listing, sorted by what things are."""

    objects: int = 0
    stored: int = 0
    as_they_are: int = 0
    """Bytes of objects that cannot be containers."""
    containers: dict[str, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    """Perhaps: things of the size of one, by deltaspace."""
    references: dict[str, int] = field(default_factory=dict)
    """Bytes, by the name in containers."""
    largest: dict[str, int] = field(default_factory=dict)
    """Bytes of the largest reference, by deltaspace."""

    def add(self, stored: Stored) -> None:
        if stored.key.startswith(STATS):
            return
        self.stored += stored.size
        key = names.to_client(stored.key)
        if key is None:
            self._add_internal(stored)
            return
        self.objects += 1
        if may_be_container(stored.size):
            self.containers[deltaspace_of(key, by_prefix=False)].append(stored)
        else:
            self.as_they_are += stored.size

    def _add_internal(self, stored: Stored) -> None:
        is_reference = stored.key.startswith(names.REFERENCES) and names.condemned_target(stored.key) is None
        if is_reference and not stored.key.endswith(names.FACTS_SUFFIX):
            deltaspace = stored.key.removeprefix(names.REFERENCES).partition("/")[0]
            self.references[stored.key.removeprefix(names.INTERNAL)] = stored.size
            self.largest[deltaspace] = max(stored.size, self.largest.get(deltaspace, 0))


async def listed(ctx: Context, bucket: str) -> Found:
    """Raises StorageError."""
    found = Found()
    async for stored in internal.scan(ctx, bucket, ""):
        found.add(stored)
    return found


@dataclass(frozen=True, slots=True)
class Count:
    objects: int
    original: int
    """Bytes as they were uploaded; exact in detailed mode only."""
    stored: int
    """Bytes of everything, references too."""
    health: Mapping[str, int]
    """Deltaspaces with deltas, by what the deltas save."""

    @property
    def savings(self) -> float:
        """Percent."""
        return 100 * (1 - self.stored / self.original) if self.original else 0.0


class Counter:
    def __init__(self, engine: Engine, bucket: str, mode: Mode) -> None:
        self._engine = engine
        self._bucket = bucket
        self._mode = mode
        self._limit = asyncio.Semaphore(_PARALLEL)

    async def count(self, found: Found) -> Count:
        """Raises EngineError."""
        original = found.as_they_are
        health = dict.fromkeys((each.value for each in Health), 0)
        for deltaspace, containers in found.containers.items():
            reference = found.largest.get(deltaspace) or self._by_prefix(found, containers[0])
            bytes_of, deltas, reference = await self._deltaspace(found, containers, reference)
            original += bytes_of
            if deltas:
                health[grade(deltas, reference).value] += 1
        return Count(found.objects, original, found.stored, health)

    @staticmethod
    def _by_prefix(found: Found, container: Stored) -> int | None:
        """Where the operator has made folders the deltaspaces, which only the server knows."""
        key = names.to_client(container.key) or ""
        return found.largest.get(deltaspace_of(key, by_prefix=True))

    async def _deltaspace(
        self, found: Found, containers: Sequence[Stored], reference: int | None
    ) -> tuple[int, list[int], int | None]:
        """Bytes as they were uploaded, sizes of the deltas, and the size of their reference."""
        if self._mode is Mode.QUICK and reference is not None:
            return reference * len(containers), [each.size for each in containers], reference
        asked = containers if self._mode is Mode.DETAILED else containers[:1]
        infos = [info for info in await asyncio.gather(*map(self._head, asked)) if info is not None]
        deltas = [info for info in infos if info.kind is Kind.DELTA]
        if deltas and reference is None:
            reference = await self._reference_of(found, deltas[0])
        if len(asked) == len(containers):
            return sum(info.size for info in infos), [info.stored_size for info in deltas], reference
        if not deltas:  # of the size of a container by chance
            return sum(each.size for each in containers), [], None
        return deltas[0].size * len(containers), [each.size for each in containers], reference

    async def _head(self, stored: Stored) -> ObjectInfo | None:
        async with self._limit:
            try:
                return await self._engine.head(self._bucket, names.to_client(stored.key) or "")
            except NoSuchKey:
                return None  # gone since it was listed

    async def _reference_of(self, found: Found, info: ObjectInfo) -> int | None:
        """A container that was copied to another name still needs the reference of its first one."""
        opened = await self._engine.open(self._bucket, info.key)
        try:
            sizes = [found.references.get(name, 0) for name in opened.reference_names]
        finally:
            await opened.close()
        return max(sizes, default=None)
