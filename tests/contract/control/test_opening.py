"""Keys, new passphrases, crashes between their steps, several processes, and secrets at rest."""

import multiprocessing
import subprocess
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from deltaglider_proxy.control import database as database_module
from deltaglider_proxy.control import tables
from deltaglider_proxy.control.database import (
    HEAD,
    Database,
    Keys,
    PostgresTarget,
    SqliteTarget,
    Target,
    open_database,
    opens,
)
from deltaglider_proxy.control.errors import DatabaseTooNew, DatabaseUnavailable, Stale, WrongKey
from deltaglider_proxy.control.migrations.upgrade import config_for, upgrade
from deltaglider_proxy.control.repositories.users import NewKey
from tests.contract.control.conftest import HASH, NOW, OTHER_HASH, Place
from tests.support import postgres

SECRET = "an access key secret that must not be seen"


def with_keys(target: Target, keys: Keys) -> Target:
    if isinstance(target, SqliteTarget):
        return SqliteTarget(target.path, keys)
    return PostgresTarget(target.url, keys)


def add(database: Database, name: str) -> None:
    with database.write(NOW) as unit:
        unit.users.create(name, NewKey(f"AK{name}", SECRET))


def names(database: Database) -> list[str]:
    with database.read() as unit:
        return [user.name for user in unit.users.list()]


def test_another_hash_or_key_file_does_not_open_it(place: Place, database: Database) -> None:
    add(database, "ana")
    for keys in (Keys(OTHER_HASH), Keys(HASH, b"a key file")):
        with pytest.raises(WrongKey):
            open_database(with_keys(place.target, keys))
    assert names(database) == ["ana"]


def test_a_later_release_is_not_touched(place: Place, database: Database) -> None:
    with database.write(NOW) as unit:
        unit.connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match="later release"):
        place.open()


def test_the_migrations_make_the_tables(place: Place) -> None:
    """From nothing, step by step, to what new databases are made with."""
    opened = place.open()
    with opened.write(NOW) as unit:
        tables.metadata.drop_all(unit.connection)
        unit.connection.execute(text("drop table alembic_version"))
    with opened.write(NOW) as unit:
        upgrade(unit.connection, None)
        found = unit.connection.execute(text("select version_num from alembic_version")).scalar_one()
        assert found == HEAD
        context = MigrationContext.configure(unit.connection)
        assert compare_metadata(context, tables.metadata) == []
    opened.close()
    assert config_for is not None


def test_a_new_hash(place: Place, database: Database) -> None:
    add(database, "ana")
    kept: list[str] = []
    database.rekey(OTHER_HASH, lambda: kept.append(OTHER_HASH))
    assert kept == [OTHER_HASH]
    with pytest.raises(WrongKey):
        place.open()
    opened = open_database(with_keys(place.target, Keys(OTHER_HASH)))
    assert names(opened) == ["ana"]
    with opened.read() as unit:
        assert unit.users.list()[0].keys[0].secret.reveal() == SECRET
    if isinstance(place.target, SqliteTarget):
        with pytest.raises(Stale):
            names(database)
        with pytest.raises(Stale):
            add(database, "lost")
    opened.close()


class Crash(BaseException):
    pass


@pytest.mark.parametrize("step", range(6))
def test_a_crash_while_the_hash_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Whatever was done last, the hash that is kept opens a whole database."""
    path = tmp_path / "deltaglider_config.db"
    kept = [HASH]
    opened = open_database(SqliteTarget(path, Keys(HASH)))
    add(opened, "ana")
    done = 0

    def reached() -> None:
        nonlocal done
        if done == step:
            raise Crash
        done += 1

    export, sync, replace = Database._export, database_module._sync, Path.replace

    def exporting(self: Database, to: Path, passphrase: str) -> None:
        reached()
        export(self, to, passphrase)

    def syncing(of: Path) -> None:
        reached()
        sync(of)

    def replacing(self: Path, target: Path) -> Path:
        reached()
        return replace(self, target)

    def keep() -> None:
        reached()
        kept[0] = OTHER_HASH

    with monkeypatch.context() as patched:
        patched.setattr(Database, "_export", exporting)
        patched.setattr(database_module, "_sync", syncing)
        patched.setattr(Path, "replace", replacing)
        if step < 5:
            with pytest.raises(Crash):
                opened.rekey(OTHER_HASH, keep)
        else:
            opened.rekey(OTHER_HASH, keep)
    opened.close()
    again = open_database(SqliteTarget(path, Keys(kept[0])))
    assert names(again) == ["ana"]
    again.close()
    assert not path.with_name(path.name + ".new").exists()


def test_a_copy_is_whole_and_opens_elsewhere(tmp_path: Path) -> None:
    opened = open_database(SqliteTarget(tmp_path / "one.db", Keys(HASH)))
    add(opened, "ana")
    with opened.read():
        opened.copy_to(tmp_path / "two.db")
    add(opened, "bob")
    copy = open_database(SqliteTarget(tmp_path / "two.db", Keys(HASH)))
    assert names(copy) == ["ana"]
    assert (tmp_path / "two.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "one.db").stat().st_mode & 0o777 == 0o600
    copy.close()
    opened.close()
    assert opens(tmp_path / "two.db", HASH)
    assert not opens(tmp_path / "two.db", OTHER_HASH)


def _add_many(target: Target, which: str) -> None:
    opened = open_database(target)
    for number in range(15):
        add(opened, f"{which}{number}")
    opened.close()


def test_several_processes_lose_nothing(place: Place) -> None:
    place.open().close()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_many, args=(place.target, which)) for which in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    opened = place.open()
    assert sorted(names(opened)) == sorted(f"{which}{number}" for which in "ab" for number in range(15))
    with opened.read() as unit:
        assert unit.revisions.current() == 30
    opened.close()


def test_no_secret_is_readable_at_rest(place: Place, database: Database) -> None:
    add(database, "ana")
    with database.write(NOW) as unit:
        unit.providers.create("okta", "oidc", client_secret=SECRET)
        unit.config_revisions.append("ana", "apply_config", SECRET, "changed something")
    match place.target:
        case SqliteTarget(path=path):
            assert SECRET.encode() not in path.read_bytes()
            assert b"ana" not in path.read_bytes()
        case PostgresTarget(url=url):
            dump = subprocess.run(
                [postgres.require() / "pg_dump", url], check=True, capture_output=True, timeout=60
            ).stdout
            assert b"okta" in dump
            assert SECRET.encode() not in dump
            assert HASH.encode() not in dump
    assert HASH not in repr(place.target)


def test_what_is_sealed_does_not_open_elsewhere(database: Database) -> None:
    """Whoever may write the database must not be able to give themselves somebody's secret."""
    add(database, "ana")
    add(database, "bob")
    with database.write(NOW) as unit:
        unit.connection.execute(
            text(
                "update access_keys set sealed_secret = (select sealed_secret from access_keys where access_key_id = "
                "'AKana') where access_key_id = 'AKbob'"
            )
        )
        bob = unit.users.find("bob")
    assert bob is not None
    with pytest.raises(Exception, match="cannot be opened"):
        bob.keys[0].secret.reveal()


def test_a_url_that_is_none() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        open_database(PostgresTarget("nonsense", Keys(HASH)))
    assert "nonsense" not in str(caught.value)
    with pytest.raises(DatabaseUnavailable):
        open_database(PostgresTarget("postgresql://u:hidden@127.0.0.1:1/x", Keys(HASH)))
