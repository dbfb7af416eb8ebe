"""A hash that changes while other processes start, read and write."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import event, func, insert, select

from deltaglider_proxy.control import tables
from deltaglider_proxy.control.database import Database, Keys, PostgresTarget, SqliteTarget, open_database
from deltaglider_proxy.control.errors import DatabaseUnavailable, NotFound, Stale, WrongKey
from deltaglider_proxy.control.model import MembershipSource
from deltaglider_proxy.control.repositories.users import NewKey
from tests.contract.control.conftest import HASH, NOW, OTHER_HASH, Place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deltaglider_config.db"


@pytest.fixture
def file(path: Path) -> Iterator[Database]:
    opened = open_database(SqliteTarget(path, Keys(HASH)))
    with opened.write(NOW) as unit:
        unit.users.create("ana", NewKey("AKANA", "secret"))
    yield opened
    opened.close()


def names(database: Database) -> list[str]:
    with database.read() as unit:
        return [user.name for user in unit.users.list()]


def test_a_process_that_starts_meanwhile_spoils_nothing(path: Path, file: Database) -> None:
    """It sees the new file beside the old one, which its hash still opens, and must not take it for a crash's."""
    kept: list[str] = []
    with ThreadPoolExecutor(1) as other:

        def keep() -> None:
            started = other.submit(open_database, SqliteTarget(path, Keys(HASH)))
            starting.append(started)
            with pytest.raises(TimeoutError):
                started.result(0.3)
            kept.append(OTHER_HASH)

        starting: list[object] = []
        file.rekey(OTHER_HASH, keep)
    assert kept == [OTHER_HASH]
    again = open_database(SqliteTarget(path, Keys(OTHER_HASH)))
    assert names(again) == ["ana"]
    again.close()


def test_what_a_crash_left_is_removed_by_a_hash_that_opens_the_old_one(path: Path, file: Database) -> None:
    file.copy_to(path.with_name(path.name + ".new"))
    again = open_database(SqliteTarget(path, Keys(HASH)))
    assert names(again) == ["ana"]
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    again.close()


def test_connections_made_after_it_say_stale_too(path: Path, file: Database) -> None:
    other = open_database(SqliteTarget(path, Keys(HASH)))
    with ExitStack() as busy:
        busy.enter_context(other.read())
        file.rekey(OTHER_HASH, lambda: None)
        with pytest.raises(Stale), other.read():
            pass
        with pytest.raises(Stale), other.write(NOW):
            pass
    assert other.is_stale()
    other.close()


def test_a_copy_that_fails_does_not_prevent_the_next(path: Path, file: Database) -> None:
    full = path.with_name("copy.db")

    def fails(*_: object) -> None:
        raise OSError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deltaglider_proxy.control.database._sync", fails)
        with pytest.raises(OSError):
            file.copy_to(full)
    file.copy_to(full)
    copy = open_database(SqliteTarget(full, Keys(HASH)))
    assert names(copy) == ["ana"]
    copy.close()


def test_ids_stay_used_in_a_file_with_a_new_hash(path: Path, file: Database) -> None:
    with file.write(NOW) as unit:
        gone = unit.users.create("gone", NewKey("AKGONE", "s")).id
        unit.users.delete(gone)
    file.rekey(OTHER_HASH, lambda: None)
    again = open_database(SqliteTarget(path, Keys(OTHER_HASH)))
    with again.write(NOW) as unit:
        assert unit.users.create("next", NewKey("AKNEXT", "s")).id > gone
    again.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be made"):
        open_database(SqliteTarget(tmp_path / "none" / "x.db", Keys(HASH)))


class Crash(BaseException):
    pass


@pytest.mark.parametrize("kept_first", [False, True])
def test_a_crash_where_the_new_hash_is_kept(place: Place, database: Database, *, kept_first: bool) -> None:
    kept = [HASH]

    def keep() -> None:
        if kept_first:
            kept.append(OTHER_HASH)
        raise Crash

    with pytest.raises(Crash):
        database.rekey(OTHER_HASH, keep)
    target = place.target
    again = open_database(
        SqliteTarget(target.path, Keys(kept[-1]))
        if isinstance(target, SqliteTarget)
        else PostgresTarget(target.url, Keys(kept[-1]))
    )
    assert names(again) == []
    again.close()
    if kept_first:
        with pytest.raises(WrongKey):
            place.open()


def test_a_group_that_is_not_there(database: Database) -> None:
    with database.write(NOW) as unit:
        ana = unit.users.create("ana", NewKey("AKANA", "s"))
    with pytest.raises(NotFound, match="group 99"), database.write(NOW) as unit:
        unit.users.set_groups(ana.id, [99], MembershipSource.MAPPING)


def test_many_users_cost_no_more_statements_than_one(database: Database) -> None:
    with database.write(NOW) as unit:
        unit.users.create("first", NewKey("AKFIRST", "s"))

    statements: list[str] = []

    def loaded() -> int:
        with database.read() as unit:
            event.listen(unit.connection, "before_cursor_execute", lambda *args: statements.append(args[2]))
            statements.clear()
            return len(unit.changes_since(0).users)

    assert loaded() == 1
    once = len(statements)
    with database.write(NOW) as unit:
        first = unit.connection.execute(select(tables.users)).mappings().one()
        unit.connection.execute(
            insert(tables.users), [{**first, "id": n, "name": f"user {n}"} for n in range(1000, 2000)]
        )
        unit.connection.execute(
            insert(tables.access_keys),
            [
                {
                    "access_key_id": f"AK{n}", "user_id": 1000 + n // 10, "sealed_secret": b"never opened",
                    "created_at": NOW, "enabled": True,
                }
                for n in range(10_000)
            ],
        )  # fmt: skip
        assert unit.connection.execute(select(func.count()).select_from(tables.access_keys)).scalar_one() == 10_001
    assert loaded() == 1001
    assert len(statements) == once
