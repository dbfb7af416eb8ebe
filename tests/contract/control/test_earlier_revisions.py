"""What earlier releases wrote is read by this one."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select, text

from deltaglider_proxy.control import tables
from deltaglider_proxy.control.database import HEAD, SqliteTarget, open_database
from deltaglider_proxy.control.errors import DatabaseTooNew
from deltaglider_proxy.control.model import MembershipSource
from tests.fixtures.control.make import FILE_NAME, FOLDER, KEYS, NOW, SECRET

FIXTURES = sorted(FOLDER.glob(f"*/{FILE_NAME}"))


def test_each_revision_has_a_fixture() -> None:
    steps = Path(tables.__file__).parent / "migrations" / "versions"
    assert [path.parent.name for path in FIXTURES] == sorted(step.name[:4] for step in steps.glob("0*.py"))
    assert FIXTURES[-1].parent.name == HEAD


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.parent.name)
def test_it_is_read(fixture: Path, tmp_path: Path) -> None:
    shutil.copy(fixture, tmp_path / FILE_NAME)
    database = open_database(SqliteTarget(tmp_path / FILE_NAME, KEYS))
    with database.read(NOW) as unit:
        for table in tables.metadata.sorted_tables:
            assert unit.connection.execute(select(func.count()).select_from(table)).scalar_one(), table.name
        [ana], [ops] = unit.users.list(), unit.groups.list()
        assert [(key.access_key_id, key.secret.reveal()) for key in ana.keys] == [("AKANA", SECRET), ("AKANA2", SECRET)]
        assert (ana.group_ids, ana.permissions) == ((ops.id,), ops.permissions)
        [okta], [rule], [identity] = unit.providers.list(), unit.rules.list(), unit.identities.list()
        assert okta.client_secret is not None
        assert okta.client_secret.reveal() == SECRET
        assert (rule.provider_id, rule.group_id, identity.user_id) == (okta.id, ops.id, ana.id)
        session = unit.sessions.with_token(b"session")
        assert session is not None
        assert session.s3 is not None
        assert session.s3.secret_access_key.reveal() == SECRET
        assert unit.tokens.with_hash(b"token") is not None
        assert unit.config_revisions.list()[0].document.reveal() == SECRET
        assert unit.state.get("switch") == {"on": True}
        changes = unit.changes_since(0)
        assert (len(changes.removed_users), changes.sso) == (1, True)
    with database.write(NOW) as unit:
        unit.users.set_groups(ana.id, [], MembershipSource.MAPPING)
        assert unit.users.get(ana.id).group_ids == ()
    database.close()


def test_the_file_of_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a revision that does not exist yet: what a step does is not the matter here."""
    shutil.copy(FIXTURES[-1], tmp_path / FILE_NAME)
    target = SqliteTarget(tmp_path / FILE_NAME, KEYS)
    monkeypatch.setattr("deltaglider_proxy.control.database.HEAD", "0009")

    def fails(_connection: Connection, _found: str) -> None:
        raise RuntimeError("power cut")

    def works(connection: Connection, found: str) -> None:
        assert found == HEAD
        connection.execute(text("delete from users"))
        connection.execute(text("update alembic_version set version_num = '0009'"))

    monkeypatch.setattr("deltaglider_proxy.control.migrations.upgrade.upgrade", fails)
    with pytest.raises(RuntimeError):
        open_database(target)
    monkeypatch.setattr("deltaglider_proxy.control.migrations.upgrade.upgrade", works)
    open_database(target).close()
    monkeypatch.undo()
    with pytest.raises(DatabaseTooNew):
        open_database(target)
    kept = tmp_path / f"{FILE_NAME}.pre-0009"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, kept.name]
    kept.replace(tmp_path / FILE_NAME)
    database = open_database(target)
    with database.read(NOW) as unit:
        assert [user.name for user in unit.users.list()] == ["ana"]
    database.close()
