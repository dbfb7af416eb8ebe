"""Nodes that share their users through an object in a bucket: what one changes the others take.

Each node has a database of its own, which requests and administrators use as ever. What is shared of it goes into one
object that is only ever replaced conditionally, so that nobody overwrites what he has not seen; whoever comes second
takes the first one's changes, merges, and tries again. What was seen last is kept in the database, in the transaction
that takes it, so a crash at any moment repeats at most what changes nothing.
"""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeVar

import structlog

from deltaglider_proxy.admin.ports import SharingFailed
from deltaglider_proxy.control.database import Database, SqliteTarget
from deltaglider_proxy.control.errors import CannotOpen, ControlError, DatabaseTooNew, DatabaseUnavailable
from deltaglider_proxy.control.sharing.adopt import adopt
from deltaglider_proxy.control.sharing.copies import Copy, beside, make_copy, read_copy
from deltaglider_proxy.control.sharing.merge import merge
from deltaglider_proxy.control.sharing.rows import digests, read_shared
from deltaglider_proxy.control.sharing.synced import Synced, attempt, begin, in_common, recall, remember
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.storage.errors import ConditionFailed, NoSuchKey, StorageError, Uncertain
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.host_lock import held

R = TypeVar("R")

_ATTEMPTS: Final = 3
_LOOK: Final = 0.1
_PATIENCE: Final = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_PROBED: Final = "config-sync.probed"
_LOCK: Final = "config-sync.lock"

_log = structlog.get_logger("deltaglider_proxy.config_sync")


class SyncFailed(SharingFailed):
    """Says why; this node goes on with what it has, and tries again."""


class CannotShare(SyncFailed):
    """The service would let two nodes overwrite each other's changes: nothing is ever stored there."""


class Replica(Protocol):
    """The database of this node."""

    @property
    def path(self) -> Path: ...

    async def read(self, work: Callable[[Unit], R]) -> R: ...

    async def write(self, work: Callable[[Unit], R], *, quiet: bool = False) -> R:
        """In one transaction, after which all workers live by it, unless it is `quiet`."""
        ...

    async def on_database(self, work: Callable[[Database], R]) -> R: ...


class SharedObject(Protocol):
    """See `SyncBucket`."""

    @property
    def place(self) -> str: ...

    async def can_be_shared(self) -> bool: ...

    async def etag(self) -> str | None: ...

    async def fetch(self, etag: str, into: Path) -> None: ...

    async def store(self, path: Path, etag: str | None) -> str: ...

    async def close(self) -> None: ...


class Watch(Protocol):
    """What operators see of it."""

    def config_sync_succeeded(self, now: float) -> None: ...

    def config_sync_conflict(self) -> None: ...


class ConfigSync:
    """One of each worker; the lock in `run_dir` keeps those of a host apart."""

    def __init__(
        self, bucket: SharedObject, replica: Replica, run_dir: Path, poll: float, clock: Clock, watch: Watch
    ) -> None:
        """`poll`: seconds between two looks."""
        self.poll = poll
        self._bucket = bucket
        self._replica = replica
        self._run_dir = run_dir
        self._clock = clock
        self._watch = watch

    async def probe(self) -> None:
        """Once for each start of the server. Raises CannotShare, SyncFailed."""
        if (self._run_dir / _PROBED).exists():
            return
        try:
            good = await self._bucket.can_be_shared()
        except StorageError as error:
            raise SyncFailed(f"{self._bucket.place} cannot be used yet: {error}") from error
        if not good:
            raise CannotShare(
                f"the service of {self._bucket.place} does not honour conditional writes, so nodes would overwrite one "
                "another's changes; use another service, PostgreSQL (advanced.database_url), or one node"
            )
        (self._run_dir / _PROBED).touch()

    async def pull(self) -> bool:
        """Take what others have changed, if they have; whether they have. Raises SyncFailed."""
        await self._replica.write(begin, quiet=True)
        await self.probe()
        async with held(self._run_dir / _LOCK, _LOOK), _explained():
            etag = await self._bucket.etag()
            taken = etag is not None and await self._take(etag)
            self._watch.config_sync_succeeded(self._clock.now())
            return taken

    async def exchange(self) -> int:
        """Take what others have changed and give what this node has; the revision that is shared now.

        Raises SyncFailed.
        """
        await self._replica.write(begin, quiet=True)
        await self.probe()
        async with held(self._run_dir / _LOCK, _LOOK), _explained():
            for attempt in range(_ATTEMPTS):
                if attempt:
                    await asyncio.sleep(0.1 + secrets.randbelow(200) / 1000)
                try:
                    revision = await self._exchange_once()
                except (ConditionFailed, Uncertain, NoSuchKey) as error:
                    self._watch.config_sync_conflict()
                    _log.info("[config-sync] another node came first: looking again", reason=str(error))
                    continue
                self._watch.config_sync_succeeded(self._clock.now())
                return revision
            raise SyncFailed(f"{self._bucket.place} is changed by others all the time")

    async def _exchange_once(self) -> int:
        etag = await self._bucket.etag()
        if etag is not None:
            await self._take(etag)
        known, revision = await self._replica.read(lambda unit: (recall(unit), unit.revisions.current()))
        if etag is not None and known.revision == revision:
            return revision
        return await self._give(etag, known)

    async def _take(self, etag: str) -> bool:
        """Whether another node had changed anything."""
        known = await self._replica.read(recall)
        if known.etag == etag:
            return False
        with beside(self._replica.path) as path:
            await self._bucket.fetch(etag, path)
            if not path.stat().st_size:
                raise SyncFailed(f"{self._bucket.place} is empty; it is neither taken nor replaced")
            copy = await self._read(path)
        if copy.generation < known.generation:
            _log.error(
                "[config-sync] the shared copy is older than what this node has taken before: it is replaced",
                generation=copy.generation,
                known=known.generation,
            )
            unshared = Synced(etag, known.generation, 0, known.lineage, known.rows)
            await self._replica.write(lambda unit: remember(unit, unshared), quiet=True)
            return False
        if not known.etag and not copy.shared.names_nobody:
            await self._replica.on_database(_set_aside)
        changed, conflicts = await self._replica.write(lambda unit: _adopt(unit, copy, etag))
        for conflict in conflicts:
            self._watch.config_sync_conflict()
            _log.warning("[config-sync] changed here and elsewhere at once: the other change holds", what=conflict)
        if changed:
            _log.info("[config-sync] took what another node has changed", generation=copy.generation)
        return changed

    async def _read(self, path: Path) -> Copy:
        try:
            return await self._replica.on_database(lambda database: read_copy(database, path))
        except DatabaseTooNew as error:
            raise SyncFailed(
                f"{self._bucket.place} was written by a later release: this node neither takes nor replaces it; "
                "finish the upgrade"
            ) from error
        except DatabaseUnavailable as error:
            raise SyncFailed(f"{self._bucket.place} is no database: {error}") from error
        except CannotOpen as error:
            raise SyncFailed(
                f"{self._bucket.place} cannot be opened ({error}); all nodes need the same bootstrap password hash "
                "and the same key file"
            ) from error

    async def _give(self, etag: str | None, known: Synced) -> int:
        generation = known.generation + 1
        with beside(self._replica.path) as path:
            copy = await self._replica.on_database(
                lambda database: make_copy(database, path, generation, known.lineage)
            )
            await self._replica.write(lambda unit: attempt(unit, copy), quiet=True)
            stored = await self._bucket.store(path, etag)
        given = Synced(stored, generation, copy.revision, copy.lineage, digests(copy.shared))
        await self._replica.write(lambda unit: remember(unit, given), quiet=True)
        _log.info("[config-sync] gave what this node has changed", generation=generation)
        return copy.revision

    async def give(self) -> bool:
        """Whether other nodes can have by now what was changed here."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.exchange()
        except (SyncFailed, TimeoutError) as error:
            _log.warning("[config-sync] failed; it is tried again", reason=str(error) or "no answer in time")
            return False
        return True

    async def close(self) -> None:
        await self._bucket.close()

    async def run(self, shared: Callable[[], int]) -> None:
        """Until cancelled. `shared` is the revision of this node's database, as it is known without a look."""
        given = -1
        due = self._clock.monotonic()
        pause = _FIRST_PAUSE
        told = ""
        while True:
            await asyncio.sleep(_LOOK)
            now = self._clock.monotonic()
            if now < due and (given == shared() or told):
                continue
            try:
                given = await self.exchange()
            except CannotShare as error:
                _log.error("[config-sync] this node shares nothing", reason=str(error))
                return
            except (SyncFailed, ControlError) as error:
                if str(error) != told:
                    _log.warning("[config-sync] failed; it is tried again", reason=str(error))
                told, due = str(error), now + pause
                pause = min(2 * pause, _LONGEST_PAUSE, max(self.poll, _FIRST_PAUSE))
                continue
            if told:
                _log.info("[config-sync] works again")
            told, pause, due = "", _FIRST_PAUSE, now + self.poll


def _adopt(unit: Unit, copy: Copy, etag: str) -> tuple[bool, tuple[str, ...]]:
    joins_nobody = not recall(unit).etag and copy.shared.names_nobody
    merged = merge(
        {} if joins_nobody else in_common(unit, copy), read_shared(unit.connection, unit.sealer), copy.shared
    )
    changed = adopt(unit, merged.shared)
    same = merged.shared == copy.shared
    revision = unit.revisions.current() if same else 0
    remember(unit, Synced(etag, copy.generation, revision, copy.lineage, digests(copy.shared)))
    return changed, merged.conflicts


def _set_aside(database: Database) -> None:
    """Whoever joins takes the users that the others have in place of its own."""
    with database.read() as unit:
        alone = read_shared(unit.connection, unit.sealer).names_nobody
    target = database.target
    if not alone and isinstance(target, SqliteTarget):
        kept = target.path.with_name(f"{target.path.name}.before-sync")
        database.copy_to(kept)
        _log.warning(
            "[config-sync] this node takes the shared users in place of its own, which are kept", file=str(kept)
        )


class _explained:  # noqa: N801 - reads as a word in `with`
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, StorageError | OSError):
            raise SyncFailed(str(error)) from error


def forget_probe(run_dir: Path) -> None:
    """Each start asks anew."""
    (run_dir / _PROBED).unlink(missing_ok=True)
