"""Verified pieces of references, shared by all workers of a host.

One folder per reference, see `engine.reference_entry`. Where the backend's objects are local files pieces are read in
place. A piece is fetched and verified once on a host, also when several processes begin at the same moment. The budget
counts verified pieces; whoever exceeds it removes the references that were used longest ago and that nobody has open.

A kept piece is as mortal as any file: `state` may outlive `data` when the host dies, and disks rot. So what goes to a
client without another check is checked each time, and what a frame was wrongly decoded with is checked again.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from deltaglider_proxy.codecs.container import Reference, digest
from deltaglider_proxy.engine import names, reference_facts
from deltaglider_proxy.engine.errors import Corrupt
from deltaglider_proxy.engine.reference_entry import Entry, remove_unless_open
from deltaglider_proxy.engine.reference_facts import PIECE, FactsBuilder, ReferenceFacts, piece_numbers
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Backend, Reader
from deltaglider_proxy.storage.host_locks import HostLocks
from deltaglider_proxy.telemetry.pool import Pool

_log = structlog.get_logger("deltaglider_proxy.cache")

_FACTS_BUDGET = 64 << 20
"""Bytes of facts that one process keeps in memory."""


_PATIENCE = 10.0
"""Seconds to wait for a piece that somebody else fetches."""


class ReferenceCache:
    def __init__(
        self, directory: Path, budget: int, backend: Backend, pool: Pool, damaged: Callable[[], None] = lambda: None
    ) -> None:
        """`damaged` is called when bytes fail a check, kept or fetched."""
        self.damaged = damaged
        self._directory = directory / "refs"
        self._directory.mkdir(parents=True, exist_ok=True)
        self.budget = budget
        self._backend = backend
        self.pool = pool
        self._facts: OrderedDict[tuple[str, str], ReferenceFacts] = OrderedDict()
        self.filling = HostLocks(directory / "filling.lock")

    async def open(self, bucket: str, reference: Reference) -> "OpenReference":
        """Raises Corrupt if the reference is gone or of another size."""
        try:
            reader = await self._backend.open(bucket, names.INTERNAL + reference.name)
        except storage.NoSuchKey as error:
            raise Corrupt(f"reference {reference.name} is missing in {bucket}") from error
        try:
            if reader.stored.size != reference.size:
                raise Corrupt(f"reference {reference.name} has {reader.stored.size} bytes, not {reference.size}")
            facts = await self.facts(bucket, reference, reader)
            entry = await self.pool.run(Entry, self._path(bucket, reference), len(facts.pieces))
        except BaseException:
            await reader.close()
            raise
        return OpenReference(self, reader, facts, entry)

    def _path(self, bucket: str, reference: Reference) -> Path:
        return self._directory / hashlib.blake2b(f"{bucket}/{reference.name}".encode(), digest_size=16).hexdigest()

    async def facts(self, bucket: str, reference: Reference, reader: Reader) -> ReferenceFacts:
        """From memory, from the object beside the reference, or from the reference itself."""
        known = self._facts.get((bucket, reference.name))
        if known is None:
            known = await self._load_facts(bucket, reference, reader)
            self._facts[bucket, reference.name] = known
            while sum(f.weight for f in self._facts.values()) > _FACTS_BUDGET and len(self._facts) > 1:
                self._facts.popitem(last=False)
        self._facts.move_to_end((bucket, reference.name))
        return known

    async def _load_facts(self, bucket: str, reference: Reference, reader: Reader) -> ReferenceFacts:
        try:
            beside = await self._backend.open(bucket, names.INTERNAL + reference.name + names.FACTS_SUFFIX)
        except storage.NoSuchKey:
            _log.warning("the facts of a reference are lost; reading it whole", bucket=bucket, reference=reference.name)
        else:
            try:
                parts = [chunk async for chunk in beside.chunks(0, beside.stored.size)]
                facts = await self.pool.run(reference_facts.decode, b"".join(parts))
                if facts.size == reference.size and facts.sha256 == names.sha256_of(reference.name):
                    return facts
            except reference_facts.BrokenFacts as error:
                self.damaged()
                _log.warning("broken facts", bucket=bucket, reference=reference.name, reason=str(error))
            finally:
                await beside.close()
        facts = await build_facts(reader, self.pool)
        if facts.sha256 != names.sha256_of(reference.name):
            self.damaged()
            raise Corrupt(f"reference {reference.name} does not have the bytes that its name says")
        return facts

    async def shrink(self) -> None:
        """Bring the directory within the budget."""
        await self.pool.run(self._shrink)

    def _shrink(self) -> None:
        used, folders = self._measure()
        for _, size, folder in sorted(folders):
            if used <= self.budget:
                return
            if remove_unless_open(folder):
                used -= size

    def usage(self) -> tuple[int, int]:
        """Bytes of verified pieces, and references that have any."""
        used, folders = self._measure()
        return used, sum(1 for _, size, _ in folders if size)

    def _measure(self) -> tuple[int, list[tuple[float, int, Path]]]:
        folders = []
        for folder in self._directory.iterdir():
            state = folder / "state"
            try:
                verified = state.read_bytes().count(1)
                folders.append((state.stat().st_mtime, verified * PIECE, folder))
            except FileNotFoundError:
                continue
        return sum(size for _, size, _ in folders), folders


class OpenReference:
    """A reference whose pieces can be used; holds it in the cache until `close`."""

    def __init__(self, cache: ReferenceCache, reader: Reader, facts: ReferenceFacts, entry: Entry) -> None:
        self._cache = cache
        self._reader = reader
        self._entry = entry
        self._pool = cache.pool
        self.facts = facts
        self.hit = True
        """False once a piece had to be read and verified for this user."""

    async def ensure(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Have all pieces of the ranges verified. Raises Corrupt."""
        for number in piece_numbers(ranges):
            if number >= len(self.facts.pieces):
                raise Corrupt("a range reaches past the end of its reference")
            if not self._entry.flags[number]:
                self.hit = False
                await self._fill(number)

    async def _fill(self, number: int) -> None:
        try:
            async with self._cache.filling.hold(f"{self._entry.identity}/{number}", _PATIENCE):
                if not self._entry.flags[number]:
                    await self._fetch(number)
        except TimeoutError:
            await self._fetch(number)  # twice is waste, not harm
        if self._cache.budget:
            await self._cache.shrink()

    async def _fetch(self, number: int) -> None:
        start = number * PIECE
        for attempt in (1, 2):
            piece = await self._reader.read(start, start + PIECE)
            if await self._pool.run(self._keep, number, piece):
                return
            self._cache.damaged()
            _log.error("a piece of a reference fails its digest", piece=number, attempt=attempt)
        raise Corrupt("a piece of a reference fails its digest")

    def _keep(self, number: int, piece: bytes) -> bool:
        if digest(piece) != self.facts.pieces[number]:
            return False
        if self._reader.fileno() is None:
            os.pwrite(self._entry.data, piece, number * PIECE)
        self._entry.flags[number] = 1
        return True

    async def piece(self, number: int) -> bytearray:
        """A whole piece, checked as it is read. Raises Corrupt."""
        for _ in (1, 2):
            await self.ensure([(number * PIECE, 1)])
            kept = await self._pool.run(self._sound, number)
            if kept is not None:
                return kept
            self._forget(number)
        raise Corrupt("a kept piece of a reference is damaged each time it is read")

    async def load(self, ranges: Sequence[tuple[int, int]]) -> bytearray:
        """The bytes of ranges, joined, each piece checked as it is read. Raises Corrupt."""
        for _ in (1, 2):
            await self.ensure(ranges)
            joined, damaged = await self._pool.run(self._read_checked, ranges)
            if not damaged:
                return joined
            for number in damaged:
                self._forget(number)
        raise Corrupt("a kept piece of a reference is damaged each time it is read")

    def _read_checked(self, ranges: Sequence[tuple[int, int]]) -> tuple[bytearray, set[int]]:
        """The ranges, and the pieces among them whose digests are wrong."""
        joined = bytearray(sum(length for _, length in ranges))
        view, at = memoryview(joined), 0
        damaged: set[int] = set()
        for start, length in ranges:
            for number in piece_numbers([(start, length)]):
                low, high = number * PIECE, min((number + 1) * PIECE, self.facts.size)
                first, last = max(start, low), min(start + length, high)
                target = view[at : at + last - first]
                at += last - first
                try:
                    if last - first == high - low:
                        self._read_into(target, low)
                        piece: memoryview | bytearray = target
                    else:
                        piece = self.read([(low, high - low)])
                        target[:] = memoryview(piece)[first - low : last - low]
                except Corrupt:
                    damaged.add(number)
                    continue
                if digest(piece) != self.facts.pieces[number]:
                    damaged.add(number)
        return joined, damaged

    async def recheck(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Fetch anew what is damaged of the kept pieces of the ranges. Raises Corrupt."""
        for number in piece_numbers(ranges):
            if self._is_kept(number) and await self._pool.run(self._sound, number) is None:
                self._forget(number)
        await self.ensure(ranges)

    def _is_kept(self, number: int) -> bool:
        return number < len(self.facts.pieces) and bool(self._entry.flags[number])

    def _sound(self, number: int) -> bytearray | None:
        start = number * PIECE
        try:
            kept = self.read([(start, min(PIECE, self.facts.size - start))])
        except Corrupt:
            return None
        return kept if digest(kept) == self.facts.pieces[number] else None

    def _forget(self, number: int) -> None:
        self._cache.damaged()
        _log.error("a kept piece of a reference is damaged", piece=number)
        self._entry.flags[number] = 0

    def read(self, ranges: Sequence[tuple[int, int]]) -> bytearray:
        """The bytes of ranges whose pieces were verified once, joined. Blocks: for the pool."""
        joined = bytearray(sum(length for _, length in ranges))
        view, at = memoryview(joined), 0
        for start, length in ranges:
            self._read_into(view[at : at + length], start)
            at += length
        return joined

    def _read_into(self, target: memoryview, start: int) -> None:
        place = self._reader.fileno()
        source = self._entry.data if place is None else place
        at = 0
        while at < len(target):
            count = os.preadv(source, [target[at:]], start + at)
            if count == 0:
                raise Corrupt("a reference is shorter than its facts say")
            at += count

    async def close(self) -> None:
        self._entry.close()
        await self._reader.close()
        if not self._cache.budget:
            await self._cache.shrink()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def build_facts(reader: Reader, pool: Pool) -> ReferenceFacts:
    """Facts of the object that `reader` has open, read once."""
    builder = FactsBuilder()
    for start in range(0, reader.stored.size, PIECE):
        piece = await reader.read(start, start + PIECE)
        await pool.run(builder.add, piece)
    return await pool.run(builder.finish)
