"""The control plane of one worker: its database, and the users of now as every request sees them.

Requests never wait for the database: they read a state that is replaced when something has changed. Another worker of
the host announces that at once; another node, or a tool, is noticed within a second. While the database cannot be
reached, what was known last goes on to hold.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

import structlog

from deltaglider_proxy.access.accounts import Accounts
from deltaglider_proxy.access.state import AccessState, Mode, decide_mode
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.control.bootstrap_hash import BootstrapHash, Source
from deltaglider_proxy.control.database import Database, Keys, PostgresTarget, SqliteTarget, open_database
from deltaglider_proxy.control.errors import ControlError, DatabaseUnavailable, Stale, WrongKey
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.server.announcements import LOOK_SECONDS, Announcements, Topic
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

R = TypeVar("R")

_POLL: Final = 1.0
"""Seconds between two looks for what other nodes have changed."""
MAINTENANCE: Final = "maintenance"

_log = structlog.get_logger("deltaglider_proxy.control")


@dataclass(frozen=True, slots=True)
class ControlSettings:
    path: Path
    configured_hash: str | None = field(default=None, repr=False)
    bootstrap: BootstrapHash | None = None
    """Found out when the server starts; tools need none."""
    url: str | None = field(default=None, repr=False)
    key_file: bytes = field(default=b"", repr=False)
    directory: Path = Path()
    """Where the bootstrap hash is kept."""
    shared: bool = False
    """Nodes with a database each exchange what is in them."""

    def keys(self, hashed: str) -> Keys:
        return Keys(hashed, self.key_file)

    def open(self, hashed: str) -> Database:
        """Raises CannotOpen."""
        if self.url is not None:
            return open_database(PostgresTarget(self.url, self.keys(hashed)))
        return open_database(SqliteTarget(self.path, self.keys(hashed), self.shared))


class Locked(ControlError):
    """The database is there and cannot be opened with the hash that is configured."""


class ControlPlane:
    """`publish` is told the state that requests are to be judged by, each time it changes."""

    def __init__(
        self,
        settings: ControlSettings,
        base: AccessState,
        announcements: Announcements,
        clock: Clock,
        publish: Callable[[AccessState], None],
    ) -> None:
        self._settings = settings
        self._base = base
        self._announcements = announcements
        self._clock = clock
        self._publish = publish
        # One at a time: the database serialises writes anyway, and reads are rare.
        self._pool = Pool(1, "control")
        self._database: Database | None = None
        assert settings.bootstrap is not None, "the server process has found it out"
        self.bootstrap_hash = settings.bootstrap.value
        self.bootstrap_configured = settings.bootstrap.source is Source.CONFIGURED
        self.accounts = Accounts.of((), ())
        self.flags: frozenset[str] = frozenset()
        self.revision = 0
        """Of the accounts. -1: of another database than the one that is open now."""
        """Grows with every change that this worker lives by."""

    @property
    def iam_version(self) -> int:
        """Grows with every change of users, the same in every worker."""
        return max(self.revision, 0)

    @property
    def directory(self) -> Path:
        """Where the bootstrap hash is kept, and a restore that is going on."""
        return self._settings.directory

    @property
    def path(self) -> Path:
        """Of the database, if it is a file."""
        return self._settings.path

    @property
    def locked(self) -> bool:
        return self._database is None

    @property
    def base(self) -> AccessState:
        """As the configuration alone says."""
        return self._base

    @property
    def state(self) -> AccessState:
        base = self._base
        mode = decide_mode(
            locked=self.locked,
            users=len(self.accounts),
            has_pair=base.mode is Mode.BOOTSTRAP,
            is_open=base.mode is Mode.OPEN,
        )
        assert mode is not None, "the configuration says who may sign, or the server would not have started"
        credentials = self.accounts if mode is Mode.IAM else base.credentials if mode is Mode.BOOTSTRAP else None
        return replace(base, mode=mode, credentials=credentials, flags=self.flags)

    @property
    def database(self) -> Database:
        """Raises Locked."""
        if self._database is None:
            raise Locked("the database cannot be opened with the configured bootstrap password hash")
        return self._database

    async def start(self) -> None:
        """Raises CannotOpen, unless it is a matter of the key: then the state is locked."""
        try:
            self._database, self.bootstrap_hash = await self._pool.run(self._open)
        except WrongKey:
            _log.error(
                "the database cannot be opened with this bootstrap password hash: everything is refused",
                remedy="restore the former hash; POST /_/api/admin/recover-db tells whether a hash opens it",
            )
        await self._refresh(self._announcements.current(Topic.ACCESS))

    def rebase(self, base: AccessState) -> None:
        """Another configuration holds."""
        self._base = base
        self._publish(self.state)

    async def follow(self) -> None:
        """Until cancelled: live by what others change."""
        looked = self._clock.monotonic()
        seen = self._announcements.current(Topic.ACCESS)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            announced = self._announcements.current(Topic.ACCESS)
            due = self._clock.monotonic() - looked >= _POLL
            if announced == seen and not due:
                continue
            looked = self._clock.monotonic()
            try:
                await self._refresh(announced)
            except DatabaseUnavailable as error:
                if announced != seen:
                    _log.error("users cannot be read: those that are known stay", reason=str(error))
                continue
            seen = announced

    async def _refresh(self, announced: int) -> None:
        if self._database is not None:
            accounts, revision, flags = await self._pool.run(self._load)
            if revision != self.revision or flags != self.flags:
                self.accounts, self.revision, self.flags = accounts, revision, flags
                self._publish(self.state)
        else:
            self._publish(self.state)
        self._announcements.acted(Topic.ACCESS, announced)

    def _load(self) -> tuple[Accounts, int, frozenset[str]]:
        def read(unit: Unit) -> tuple[Accounts, int, frozenset[str]]:
            switch = unit.state.get(MAINTENANCE)
            flags = frozenset({"maintenance_mode"} if switch is not None and switch.get("enabled") is True else ())
            if unit.revisions.current() == self.revision:
                return self.accounts, self.revision, flags
            if not 0 <= self.revision <= unit.revisions.current():
                # Another database took the place of the one before: nothing of it is known.
                changes = unit.changes_since(0)
                return Accounts.of(changes.users, changes.groups), changes.revision, flags
            changes = unit.changes_since(self.revision)
            accounts = self.accounts.after(changes.users, changes.groups, changes.removed_users, changes.removed_groups)
            return accounts, changes.revision, flags

        return self._with_database(lambda database: self._reading(database, read))

    def _reading(self, database: Database, work: Callable[[Unit], R]) -> R:
        with database.read(self._clock.now()) as unit:
            return work(unit)

    def _writing(self, database: Database, work: Callable[[Unit], R]) -> R:
        with database.write(self._clock.now()) as unit:
            return work(unit)

    def _with_database(self, work: Callable[[Database], R]) -> R:
        """Opens it anew where another process has replaced it."""
        try:
            return work(self.database)
        except Stale:
            self._reopen()
            return work(self.database)

    def _reopen(self) -> None:
        try:
            opened, hashed = self._open()
        except WrongKey as error:
            self.database.close()
            self._database = None
            raise Locked("the database was replaced by one that the known hashes do not open") from error
        self.database.close()
        self._database, self.bootstrap_hash, self.revision = opened, hashed, -1

    def _open(self) -> tuple[Database, str]:
        """With the hash that is known, or the one that whoever gave the database another key has left since; also for a
        worker that takes the place of one that knew. Raises WrongKey, CannotOpen.
        """
        kept = bootstrap_hash.kept_in(self._settings.directory)
        try:
            return self._settings.open(self.bootstrap_hash), self.bootstrap_hash
        except WrongKey:
            if kept in (None, self.bootstrap_hash):
                raise
        assert kept is not None
        return self._settings.open(kept), kept

    async def read(self, work: Callable[[Unit], R]) -> R:
        """Raises ControlError."""
        return await self._pool.run(lambda: self._with_database(lambda database: self._reading(database, work)))

    async def write(self, work: Callable[[Unit], R], *, quiet: bool = False) -> R:
        """One transaction. When it returns, every worker of this host lives by it, unless it is `quiet`: of no concern
        to requests. Raises ControlError.
        """
        result = await self._pool.run(lambda: self._with_database(lambda database: self._writing(database, work)))
        if not quiet:
            await self.announce()
        return result

    async def on_database(self, work: Callable[[Database], R]) -> R:
        """Raises ControlError."""
        return await self._pool.run(lambda: self._with_database(work))

    async def opens_with(self, hashed: str) -> bool:
        """Whether this bootstrap hash opens the database; changes nothing."""

        def try_it() -> bool:
            try:
                self._settings.open(hashed).close()
            except WrongKey:
                return False
            return True

        return await self._pool.run(try_it)

    async def announce(self) -> None:
        number = self._announcements.announce(Topic.ACCESS)
        behind = await self._announcements.everyone(Topic.ACCESS, number, self._clock)
        if behind:
            _log.warning("workers do not live by a change of users yet", workers=", ".join(map(str, behind)))

    async def change_bootstrap_hash(self, new_hash: str) -> None:
        """Everything goes on with it, but what the former one has opened. Raises ControlError, OSError."""
        settings = self._settings

        def change() -> None:
            self.database.rekey(new_hash, lambda: bootstrap_hash.replace_file(new_hash, settings.directory))
            old = self.database
            self._database, self.bootstrap_hash = settings.open(new_hash), new_hash
            old.close()

        await self._pool.run(change)

        def settle(unit: Unit) -> None:
            unit.revisions.take()  # nodes that share it need it under the new hash
            unit.end_bootstrap_access()

        await self.write(settle)

    async def close(self) -> None:
        if self._database is not None:
            await self._pool.run(self._database.close)
        self._pool.close()
