"""The database of the control plane: one encrypted file, or PostgreSQL for several nodes.

The file is SQLCipher's, with the bootstrap hash as its passphrase and the salt in its header, so that the file and the
hash are all that another host needs. It keeps a rollback journal, not a write-ahead log: between transactions one file
holds everything. Writes are serialised: a transaction decides on what it sees, and has a revision of its own. A new
passphrase makes a new file beside the old one; a process that still has the old one open finds out when its next
transaction begins.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sqlcipher3.dbapi2 as sqlcipher
import structlog
from sqlalchemy import Connection, Engine, create_engine, delete, event, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from deltaglider_proxy.control import tables
from deltaglider_proxy.control.errors import DatabaseTooNew, DatabaseUnavailable, Stale, WrongKey
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.crypto.sealing import SALT_BYTES, CannotUnseal, Sealer, derive, new_sealer, unwrap

HEAD: Final = "0001"
"""The newest migration; a test holds it to the scripts."""

_log = structlog.get_logger("deltaglider_proxy.control")

_BUSY_SECONDS: Final = 5.0
_WRITE_LOCK: Final = 0x44475031
"""Any number that all nodes share and nothing else in the PostgreSQL database uses."""
_PURPOSE: Final = "deltaglider_proxy control database"


@dataclass(frozen=True, slots=True)
class Keys:
    """What opens the database."""

    bootstrap_hash: str = field(repr=False)
    key_file: bytes = field(default=b"", repr=False)
    """Content of the key file, if one is used too."""

    def wrapping(self, salt: bytes) -> bytes:
        return derive(self.bootstrap_hash.encode() + b"\0" + self.key_file, salt, _PURPOSE)


@dataclass(frozen=True, slots=True)
class SqliteTarget:
    path: Path
    keys: Keys
    shared: bool = False
    """Other nodes have files of their own, and what is in them comes together: nobody may count ids."""
    passing: bool = False
    """It is somebody's copy, and gone soon."""


@dataclass(frozen=True, slots=True)
class PostgresTarget:
    url: str = field(repr=False)
    """As in `postgresql://user:password@host/name`."""
    keys: Keys


Target = SqliteTarget | PostgresTarget


def open_database(target: Target) -> "Database":
    """Makes it where there is none, and migrates an older one.

    Raises WrongKey, DatabaseTooNew, DatabaseUnavailable.
    """
    if isinstance(target, SqliteTarget):
        _finish_rekey(target)
        _create(target.path)
        return Database(target, _open_sqlite(target.path, target.keys))
    url = target.url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        engine = create_engine(url, pool_size=4, max_overflow=4, pool_pre_ping=True, hide_parameters=True)
    except Exception as error:
        raise DatabaseUnavailable("database_url is no URL of a PostgreSQL database") from error
    return Database(target, engine)


def opens(path: Path, bootstrap_hash: str) -> bool:
    """Whether this hash opens the file. For recovery; a copy of the file is best, as no other process may have it open
    in this process.
    """
    engine = _open_sqlite(path, Keys(bootstrap_hash))
    try:
        _probe(engine)
    except WrongKey:
        return False
    finally:
        engine.dispose()
    return True


class Database:
    """Open it once per process, after any fork; calls block, so make them from a pool of threads."""

    def __init__(self, target: Target, engine: Engine) -> None:
        self._target = target
        self._engine = engine
        # Taken before the first connection, so that a file that is replaced in between counts as stale.
        self._inode = target.path.stat().st_ino if isinstance(target, SqliteTarget) else 0
        try:
            _probe(engine)
            self._migrate()
            self.sealer = self._open_sealer()
        except BaseException:
            engine.dispose()
            raise

    @property
    def target(self) -> Target:
        return self._target

    @property
    def _scatters(self) -> bool:
        return isinstance(self._target, SqliteTarget) and self._target.shared

    def close(self) -> None:
        self._engine.dispose()

    def shrink(self) -> None:
        """Leave nothing in the file of what was deleted."""
        with self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("vacuum")

    @contextmanager
    def read(self, now: float = 0.0) -> Iterator[Unit]:
        """One consistent view. Raises Stale, DatabaseUnavailable."""
        with self._translated(), self._engine.connect() as connection:
            if isinstance(self._target, PostgresTarget):
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                self._refuse_stale()
                yield Unit(connection, self.sealer, now, scattered_ids=self._scatters)

    @contextmanager
    def write(self, now: float) -> Iterator[Unit]:
        """One transaction at a time; kept when the block ends, undone when it raises. Raises Stale,
        DatabaseUnavailable.
        """
        with self._translated(), self._engine.connect() as connection:
            connection = connection.execution_options(dgp_writes=True)
            with connection.begin():
                self._serialise(connection)
                self._refuse_stale()
                yield Unit(connection, self.sealer, now, scattered_ids=self._scatters)

    def is_stale(self) -> bool:
        """Whether another process has replaced the file since it was opened."""
        if not isinstance(self._target, SqliteTarget):
            return False
        try:
            return self._target.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def _refuse_stale(self) -> None:
        if self.is_stale():
            raise Stale("the database was replaced; it must be opened anew")

    def derived_key(self, purpose: str) -> bytes:
        """32 bytes that belong to this database."""
        return self.sealer.derived_key(purpose)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # A connection that is made after the file was replaced finds one that its hash does not open.
            self._refuse_stale()
            if isinstance(error, OperationalError):
                raise DatabaseUnavailable(f"the database does not answer: {_reason(error)}") from error
            raise

    def _migrate(self) -> None:
        with self._engine.connect() as connection:
            if _revision(connection) == HEAD:
                return
        with self._engine.connect().execution_options(dgp_writes=True) as connection, connection.begin():
            self._serialise(connection)
            found = _revision(connection)
            if found is None:
                tables.metadata.create_all(connection)
                connection.execute(text("create table alembic_version (version_num varchar(32) not null primary key)"))
                connection.execute(text("insert into alembic_version values (:head)"), {"head": HEAD})
            elif found != HEAD:
                from deltaglider_proxy.control.migrations.upgrade import upgrade

                self._keep_as_it_was()
                upgrade(connection, found)

    def _keep_as_it_was(self) -> None:
        """Beside the database, for whoever has to go back; what PostgreSQL holds is its administrator's to keep."""
        if isinstance(self._target, SqliteTarget) and not self._target.passing:
            kept = self._target.path.with_name(f"{self._target.path.name}.pre-{HEAD}")
            draft = kept.with_name(f"{kept.name}.draft")
            self._export(draft, self._target.keys.bootstrap_hash)
            _sync(draft)
            draft.replace(kept)
            _sync(kept.parent)
            _log.info("the database is kept as it was before this release", file=str(kept))

    def _serialise(self, connection: Connection) -> None:
        if isinstance(self._target, PostgresTarget):
            connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _WRITE_LOCK})

    def _open_sealer(self) -> Sealer:
        with self._engine.connect().execution_options(dgp_writes=True) as connection, connection.begin():
            self._serialise(connection)
            keys = self._target.keys
            newest_first = select(tables.sealing_keys).order_by(tables.sealing_keys.c.id.desc())
            rows = connection.execute(newest_first).all()
            for row in rows:
                try:
                    sealer = unwrap(row.wrapped, keys.wrapping(row.salt))
                except CannotUnseal:
                    continue
                if row is rows[0]:
                    connection.execute(delete(tables.sealing_keys).where(tables.sealing_keys.c.id < row.id))
                return sealer
            if rows:
                raise WrongKey("the bootstrap hash or the key file is not the one of this database")
            sealer, salt = new_sealer(), os.urandom(SALT_BYTES)
            wrapped = sealer.wrapped(keys.wrapping(salt))
            connection.execute(insert(tables.sealing_keys).values(id=1, salt=salt, wrapped=wrapped))
            return sealer

    def rekey(self, new_hash: str, keep_hash: Callable[[], object]) -> None:
        """Let another bootstrap hash open it. `keep_hash` writes the new hash to where the next start finds it.

        Afterwards this object is stale, if it is of a file. A crash at any moment leaves a hash and a database that go
        together: see `_finish_rekey`.
        """
        keys = Keys(new_hash, self._target.keys.key_file)
        salt = os.urandom(SALT_BYTES)
        wrapped = self.sealer.wrapped(keys.wrapping(salt))
        if isinstance(self._target, SqliteTarget):
            self._rekey_file(self._target.path, keys, salt, wrapped, keep_hash)
            return
        # Both hashes open it until the new one is kept.
        with self.write(0.0) as unit:
            latest = unit.connection.execute(select(func.max(tables.sealing_keys.c.id))).scalar_one()
            unit.connection.execute(insert(tables.sealing_keys).values(id=latest + 1, salt=salt, wrapped=wrapped))
        keep_hash()
        with self.write(0.0) as unit:
            unit.connection.execute(delete(tables.sealing_keys).where(tables.sealing_keys.c.id <= latest))

    def _rekey_file(self, path: Path, keys: Keys, salt: bytes, wrapped: bytes, keep_hash: Callable[[], object]) -> None:
        fresh = _new_name(path)
        with self._engine.connect().execution_options(dgp_writes=True) as holder, holder.begin():
            self._refuse_stale()
            self._export(fresh, keys.bootstrap_hash)
            engine = _open_sqlite(fresh, keys)
            with engine.begin() as connection:
                connection.execute(update(tables.sealing_keys).values(salt=salt, wrapped=wrapped))
            engine.dispose()
            _sync(fresh)
            keep_hash()
            fresh.replace(path)
            _sync(path.parent)

    def copy_to(self, path: Path) -> None:
        """A consistent copy that the same hash opens, while everything goes on. Raises Stale, OSError."""
        if not isinstance(self._target, SqliteTarget):
            raise DatabaseUnavailable("only the database file can be copied; use pg_dump for PostgreSQL")
        self._refuse_stale()
        self._export(path, self._target.keys.bootstrap_hash)
        _sync(path)

    def _export(self, path: Path, passphrase: str) -> None:
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        raw = self._engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute("attach database ? as fresh key ?", (str(path), passphrase))
            cursor.execute("begin")  # else each table would be of another moment
            cursor.execute("select sqlcipher_export('fresh')")
            cursor.execute("commit")
            cursor.execute("detach database fresh")
        except BaseException:
            raw.invalidate()  # the copy is still attached
            raise
        finally:
            raw.close()


def _create(path: Path) -> None:
    # A file that is there is not opened: closing it again would drop the locks of this process's connections.
    if not path.exists():
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DatabaseUnavailable(f"{path} cannot be made: {error.strerror}") from error


def _open_sqlite(path: Path, keys: Keys) -> Engine:
    def connect() -> object:
        connection = sqlcipher.connect(str(path), timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        quoted = keys.bootstrap_hash.replace("'", "''")
        connection.execute(f"pragma key = '{quoted}'")
        connection.execute("pragma foreign_keys = on")
        connection.execute("pragma synchronous = full")
        return connection

    engine = create_engine(
        "sqlite://", module=sqlcipher, creator=connect, poolclass=QueuePool, pool_size=2, max_overflow=2,
        hide_parameters=True,
    )  # fmt: skip

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("dgp_writes", False)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine


def _probe(engine: Engine) -> None:
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("select count(*) from sqlite_master").all()
            else:
                connection.exec_driver_sql("select 1").all()
    except DBAPIError as error:
        if "not a database" in str(error.orig) or "encrypted" in str(error.orig):
            raise WrongKey("the bootstrap hash is not the one that this database was made with") from None
        raise DatabaseUnavailable(f"the database cannot be opened: {_reason(error)}") from error


def _reason(error: DBAPIError) -> str:
    """One line, without parameters."""
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__


def _revision(connection: Connection) -> str | None:
    """None: it is empty. Raises DatabaseTooNew."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found = connection.execute(text("select version_num from alembic_version")).scalar_one()
    if found > HEAD:
        raise DatabaseTooNew(
            f"the database was written by a later release (its schema is {found}, this release knows {HEAD}); "
            "run that release, or restore a backup of before the upgrade"
        )
    return str(found)


def _new_name(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _finish_rekey(target: SqliteTarget) -> None:
    """What a crash has left of a change of the hash: whichever file the hash opens is the database."""
    fresh = _new_name(target.path)
    if not fresh.exists():
        return
    if target.path.exists() and _opens_whole(target.path, target.keys):
        _discard(fresh, target)
    elif _opens_whole(fresh, target.keys):
        fresh.replace(target.path)
    _sync(target.path.parent)


def _discard(fresh: Path, target: SqliteTarget) -> None:
    """Unless another process is at it: whoever changes the hash holds the write lock until the file is in place."""
    inode = target.path.stat().st_ino
    engine = _open_sqlite(target.path, target.keys)
    try:
        with engine.connect().execution_options(dgp_writes=True) as connection, connection.begin():
            if target.path.stat().st_ino == inode:
                fresh.unlink(missing_ok=True)
    except DBAPIError as error:
        raise DatabaseUnavailable(f"the database does not answer: {_reason(error)}") from error
    finally:
        engine.dispose()


def _opens_whole(path: Path, keys: Keys) -> bool:
    engine = _open_sqlite(path, keys)
    try:
        _probe(engine)
        with engine.connect() as connection:
            row = connection.execute(select(tables.sealing_keys)).one_or_none()
            if row is None:
                return False
            unwrap(row.wrapped, keys.wrapping(row.salt))
    except (WrongKey, CannotUnseal, DBAPIError):
        return False
    finally:
        engine.dispose()
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
