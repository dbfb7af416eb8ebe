"""Copies that nodes exchange, and taking them over, on real databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import func, select, text

from deltaglider_proxy.control import tables
from deltaglider_proxy.control.database import Database, Keys, SqliteTarget, open_database
from deltaglider_proxy.control.errors import DatabaseTooNew, WrongKey
from deltaglider_proxy.control.model import MatchType, SessionAuth, SessionKind
from deltaglider_proxy.control.repositories.users import NewKey
from deltaglider_proxy.control.sharing.adopt import adopt
from deltaglider_proxy.control.sharing.copies import BadCopy, beside, make_copy, read_copy
from deltaglider_proxy.control.sharing.rows import Shared, read_shared
from tests.contract.control.conftest import HASH, NOW, OTHER_HASH
from tests.unit.control.sharing.test_merge import key, shared, states, user


def opened(path: Path, hashed: str = HASH) -> Database:
    return open_database(SqliteTarget(path, Keys(hashed), shared=True))


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Database]:
    database = opened(tmp_path / "one.db")
    with database.write(NOW) as unit:
        ana = unit.users.create("ana", NewKey("AKANA", "secret of ana"))
        team = unit.groups.create("team")
        unit.groups.add_member(team.id, ana.id)
        idp = unit.providers.create("idp", "oidc", client_secret="secret of the client")
        unit.rules.create(idp.id, 1, MatchType.EMAIL_DOMAIN, "email", "example.com", team.id)
        unit.identities.record(
            ana.id, idp.id, "sub", email="a@b", display_name="A", claims={"x": 1}, email_verified=True
        )
        unit.sessions.create(b"token", SessionKind.ADMIN_GUI, SessionAuth.IAM, "AKANA", ana.id, None, 60.0)
        unit.revocations.revoke("AKOLD", NOW)
    yield database
    database.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Database]:
    database = opened(tmp_path / "two.db")
    yield database
    database.close()


def rows(database: Database) -> Shared:
    with database.read(NOW) as unit:
        return read_shared(unit.connection, unit.sealer)


def take(database: Database, wanted: Shared) -> bool:
    with database.write(NOW) as unit:
        return adopt(unit, wanted)


def test_a_copy_holds_what_is_shared_and_nothing_else(one: Database, two: Database, tmp_path: Path) -> None:
    with beside(tmp_path / "one.db") as path:
        made = make_copy(one, path, 7)
        assert made.shared == rows(one)
        assert path.stat().st_mode & 0o777 == 0o600
        copy = opened(path)
        with copy.read() as unit:
            for table in (tables.sessions, tables.api_tokens, tables.config_revisions):
                assert unit.connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
        copy.close()
        found = read_copy(two, path)
    assert (found.generation, found.shared) == (7, rows(one))
    assert not list(tmp_path.glob("*.sync-*"))


def test_what_is_taken_opens_under_the_nodes_own_key(one: Database, two: Database) -> None:
    assert take(two, rows(one))
    assert rows(two) == rows(one)
    assert not take(two, rows(one)), "nothing is left to change"
    with two.read(NOW) as unit:
        [ana], [idp] = unit.users.list(), unit.providers.list()
        assert ana.keys[0].secret.reveal() == "secret of ana"
        assert idp.client_secret is not None
        assert idp.client_secret.reveal() == "secret of the client"


def test_who_stays_keeps_sessions_and_revision(one: Database) -> None:
    before = rows(one)
    with one.read(NOW) as unit:
        [ana], revision = unit.users.list(), unit.revisions.current()
    wanted = Shared(
        {**before.rows, "users": {**before.rows["users"], (77, 5.0): user(77, "bea", born=5.0)}}, before.revocations
    )
    wanted.rows["access_keys"]["AKBEA",] = key("AKBEA", 77)  # type: ignore[index]  # a dict
    take(one, wanted)
    with one.read(NOW) as unit:
        changes = unit.changes_since(revision)
        assert [found.name for found in changes.users] == ["bea"]
        assert unit.sessions.count() == 1
    gone = Shared({name: {} for name in before.rows}, before.revocations)
    take(one, gone)
    with one.read(NOW) as unit:
        assert unit.sessions.count() == 0, "those of a user who is gone end"
        assert set(unit.changes_since(revision).removed_users) == {ana.id, 77}
        assert unit.changes_since(revision).sso


def test_names_may_go_round(two: Database) -> None:
    keys = [key("A", 1), key("B", 2)]
    take(two, shared(users=[user(1, "ana"), user(2, "bea")], access_keys=keys))
    swapped = shared(users=[user(1, "bea"), user(2, "ana")], access_keys=keys)
    take(two, swapped)
    assert rows(two) == swapped


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(states())
def test_any_state_can_be_taken_after_any_other(two: Database, wanted: Shared) -> None:
    take(two, wanted)
    assert rows(two).rows == wanted.rows


def test_copies_that_are_not_taken(one: Database, tmp_path: Path) -> None:
    stranger = opened(tmp_path / "stranger.db", OTHER_HASH)
    make_copy(stranger, tmp_path / "strange", 1)
    with pytest.raises(WrongKey):
        read_copy(one, tmp_path / "strange")
    stranger.close()

    one.copy_to(tmp_path / "plain")
    with pytest.raises(BadCopy, match="not one that nodes share"):
        read_copy(one, tmp_path / "plain")

    make_copy(one, tmp_path / "newer", 1)
    later = opened(tmp_path / "newer")
    with later.write(NOW) as unit:
        unit.connection.execute(text("update alembic_version set version_num = '9999'"))
    later.close()
    before = (tmp_path / "newer").read_bytes()
    with pytest.raises(DatabaseTooNew):
        read_copy(one, tmp_path / "newer")
    assert (tmp_path / "newer").read_bytes() == before, "it was looked at and not written to"


def test_ids_of_shared_databases_do_not_meet(one: Database, two: Database) -> None:
    made = []
    for database in (one, two):
        with database.write(NOW) as unit:
            made += [unit.users.create("x", NewKey("AKX", "s")).id, unit.groups.create("y").id]
    assert len(set(made)) == 4
    assert all(0 < number < 1 << 53 for number in made)
