"""Storage in memory and the processes over it: where most tests of the engine begin."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from deltaglider_proxy.engine import names
from deltaglider_proxy.storage.backend import Stored
from deltaglider_proxy.telemetry.clock import ManualClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.engine.damage import Watched
from tests.support.engine.explore import Storage
from tests.support.engine.nodes import BUCKET, Node, node, settings


class Place:
    """Storage, and as many processes over it as are asked for. Close it."""

    def __init__(self, directory: Path, storage: Storage | None = None, *, local: bool = False) -> None:
        self.clock = ManualClock()
        self.memory = (storage or Storage()).make(self.clock)
        self.memory.abilities = replace(self.memory.abilities, local=local)
        self.backend = Watched(self.memory)
        self._directory = directory
        self._count = 0
        self._nodes: list[Node] = []

    async def begin(self) -> None:
        await self.memory.create_bucket(BUCKET)

    async def close(self) -> None:
        for each in self._nodes:
            await each.engine.close()

    def process(self, *, cold: bool = True, codecs: Pool | None = None, **changes: object) -> Node:
        """A process; `cold`: with empty caches, else with those of the one before."""
        self._count += cold
        made = node(self.backend, self.clock, settings(self.directory, **changes), codecs)
        self._nodes.append(made)
        return made

    @property
    def directory(self) -> Path:
        """Of the caches and the spool of the latest cold process."""
        return self._directory / str(self._count)

    async def keys(self, prefix: str = "") -> list[str]:
        """Storage keys."""
        return [stored.key async for stored in self._stored(prefix)]

    async def references(self) -> list[str]:
        """Storage keys of references, without facts and markers."""
        found = await self.keys(names.REFERENCES)
        return [k for k in found if not k.endswith(names.FACTS_SUFFIX) and names.condemned_target(k) is None]

    async def size(self) -> int:
        """Bytes that the bucket takes."""
        return sum([stored.size async for stored in self._stored("")])

    async def _stored(self, prefix: str) -> AsyncIterator[Stored]:
        page = await self.memory.list(BUCKET, prefix)
        assert not page.truncated
        for entry in page.entries:
            assert isinstance(entry, Stored)
            yield entry
