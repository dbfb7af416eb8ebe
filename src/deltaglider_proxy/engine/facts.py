"""What listings say about containers, where the backend's own listing does not say it.

A listing of an S3 service shows stored sizes and ETags. Only objects whose size is that of a container can be
containers, and only those with an ETag of parts can have been given another by us; so only those are looked at, several
at a time, and what is learned is kept by storage ETag: in memory, and on disk so that a restart begins warm. Where
listings carry metadata there is nothing to look up.

The file is not waited for when it is written, so a crash of the host may damage it. It is then made anew; where there
can be none, everything is looked up.
"""

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import structlog

from deltaglider_proxy.codecs.container import may_be_container
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.storage import errors as storage
from deltaglider_proxy.storage.backend import Metadata, Stored

_log = structlog.get_logger("deltaglider_proxy.cache")

_PARALLEL = 32
_SCHEMA = """
create table if not exists facts (
    bucket text, key text, etag text, modified real, metadata blob not null, primary key (bucket, key)
) without rowid
"""


def _may_say_more(entry: Stored) -> bool:
    return may_be_container(entry.size) or "-" in entry.etag


class Facts:
    """Metadata by (bucket, key, storage ETag, modification time)."""

    def __init__(self, ctx: Context, path: Path, memory_bytes: int, disk_bytes: int) -> None:
        self._ctx = ctx
        self._memory: OrderedDict[tuple[str, str], tuple[str, float, Metadata]] = OrderedDict()
        self._room = max(memory_bytes // 600, 1)
        self._rows = max(disk_bytes // 400, 1)
        self._limit = asyncio.Semaphore(_PARALLEL)
        self._using = asyncio.Lock()
        self._path = path
        self._database: sqlite3.Connection | None = None

    async def complete(self, bucket: str, entries: Sequence[Stored], *, every: bool = False) -> list[Stored]:
        """The entries with the metadata that a client's view of them needs; those gone meanwhile are left out.

        `every`: all may need it, whatever they look like.
        """
        wanted = [e for e in entries if e.metadata is None and (every or _may_say_more(e))]
        if wanted:
            async with self._using:
                known = await self._ctx.pool.run(self._recall, bucket, wanted)
            missing = [e for e in wanted if e.key not in known]
            looked = await asyncio.gather(*(self._look(bucket, e) for e in missing))
            fresh = [s for s in looked if s is not None]
            async with self._using:
                await self._ctx.pool.run(self._keep, bucket, fresh)
            gone = {e.key for e in missing} - {s.key for s in fresh}
            by_key = known | {s.key: s for s in fresh}
            entries = [by_key.get(e.key, e) for e in entries if e.key not in gone]
        return [e if e.metadata is not None else replace(e, metadata={}) for e in entries]

    async def _look(self, bucket: str, entry: Stored) -> Stored | None:
        async with self._limit:
            try:
                return await self._ctx.backend.head(bucket, entry.key)
            except storage.NoSuchKey:
                return None

    def _recall(self, bucket: str, entries: Sequence[Stored]) -> dict[str, Stored]:
        try:
            return self._found(self._open(), bucket, entries)
        except (sqlite3.Error, orjson.JSONDecodeError) as error:
            self._do_without(error)
            return {}

    def _found(self, database: sqlite3.Connection, bucket: str, entries: Sequence[Stored]) -> dict[str, Stored]:
        found: dict[str, Stored] = {}
        for entry in entries:
            row = self._memory.get((bucket, entry.key))
            if row is None:
                select = "select etag, modified, metadata from facts where bucket = ? and key = ?"
                stored = database.execute(select, (bucket, entry.key)).fetchone()
                row = (stored[0], stored[1], orjson.loads(stored[2])) if stored else None
            if row is not None and row[0] == entry.etag and row[1] == entry.modified:
                found[entry.key] = replace(entry, metadata=row[2])
                self._remember(bucket, found[entry.key])
        return found

    def _keep(self, bucket: str, entries: Sequence[Stored]) -> None:
        for entry in entries:
            self._remember(bucket, entry)
        try:
            self._write(self._open(), bucket, entries)
        except sqlite3.Error as error:
            self._do_without(error)

    def _write(self, database: sqlite3.Connection, bucket: str, entries: Sequence[Stored]) -> None:
        with database:
            for entry in entries:
                row = (bucket, entry.key, entry.etag, entry.modified, orjson.dumps(dict(entry.metadata or {})))
                database.execute("insert or replace into facts values (?, ?, ?, ?, ?)", row)
            count = database.execute("select count(*) from facts").fetchone()[0]
            if count > self._rows:
                surplus = (count - self._rows + self._rows // 10,)
                database.execute(
                    "delete from facts where (bucket, key) in (select bucket, key from facts limit ?)", surplus
                )

    def _remember(self, bucket: str, entry: Stored) -> None:
        self._memory[bucket, entry.key] = (entry.etag, entry.modified, entry.metadata or {})
        self._memory.move_to_end((bucket, entry.key))
        while len(self._memory) > self._room:
            self._memory.popitem(last=False)

    def _open(self) -> sqlite3.Connection:
        """One connection; the pool's threads use it in turn, one at a time under `_using`."""
        if self._database is None:
            database = sqlite3.connect(self._path, check_same_thread=False, timeout=30)
            try:
                database.execute("pragma journal_mode = wal")
                database.execute("pragma synchronous = off")
                database.execute(_SCHEMA)
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database

    def _do_without(self, error: Exception) -> None:
        """Until the next use. What is damaged goes: other processes that have it open keep it until they find out."""
        _log.warning("what listings remember cannot be used", path=str(self._path), reason=str(error))
        self.close()
        if not isinstance(error, sqlite3.OperationalError):
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
