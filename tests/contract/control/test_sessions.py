import pytest

from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.control.database import Database
from deltaglider_proxy.control.errors import NotFound
from deltaglider_proxy.control.model import S3Credentials, Session, SessionAuth, SessionKind
from tests.contract.control.conftest import NOW

HOUR = 3600.0


def begin(
    database: Database,
    token: bytes,
    at: float = NOW,
    kind: SessionKind = SessionKind.ADMIN_GUI,
    identity: str = "AKANA",
) -> Session:
    with database.write(at) as unit:
        return unit.sessions.create(token, kind, SessionAuth.IAM, identity, None, "192.0.2.1", HOUR)


def alive(database: Database, token: bytes, at: float) -> bool:
    with database.read(at) as unit:
        return unit.sessions.with_token(token) is not None


def test_a_session_ends_by_itself(database: Database) -> None:
    begun = begin(database, b"one")
    assert begun.id
    assert begun.token_hash == b"one"
    assert alive(database, b"one", NOW + HOUR - 1)
    assert not alive(database, b"one", NOW + HOUR)
    assert not alive(database, b"two", NOW)
    with database.write(NOW + HOUR) as unit:
        assert unit.sessions.sweep() == 1


def test_revoking(database: Database) -> None:
    one = begin(database, b"one")
    begin(database, b"other", identity="AKBOB")
    with database.write(NOW + 1) as unit:
        unit.revocations.revoke("AKANA", NOW + 1)
    assert not alive(database, b"one", NOW + 1)
    assert alive(database, b"other", NOW + 1)
    begin(database, b"later", NOW + 2)
    assert alive(database, b"later", NOW + 2)
    with database.write(NOW + 3) as unit:
        unit.revocations.revoke("AKANA", NOW)
    assert alive(database, b"later", NOW + 3), "an older revocation takes nothing back"
    with database.write(NOW + 3) as unit:
        unit.sessions.delete(one.id)
        assert unit.sessions.delete_of("AKANA") == 1
    with pytest.raises(NotFound), database.write(NOW) as unit:
        unit.sessions.delete(one.id)


def test_an_identity_has_ten_at_most_and_ends_nobody_elses(database: Database) -> None:
    begin(database, b"admin", NOW, identity="AKBOB")
    for number in range(12):
        begin(database, b"%d" % number, NOW + number)
    for number in range(12):
        begin(database, b"lift%d" % number, NOW + number, SessionKind.S3_BROWSER_LIFT)
    assert [n for n in range(12) if alive(database, b"%d" % n, NOW + 20)] == list(range(2, 12))
    assert alive(database, b"admin", NOW + 20)
    with database.read(NOW + 20) as unit:
        assert len(unit.sessions.list()) == 21


def test_what_a_browser_signs_with(database: Database) -> None:
    begun = begin(database, b"one")
    s3 = S3Credentials("http://h", "us-east-1", "b", "AKANA", Secret("very secret"))
    with database.write(NOW) as unit:
        unit.sessions.set_s3(begun.id, s3)
        unit.sessions.seen(begun.id)
    with database.read(NOW) as unit:
        found = unit.sessions.get(begun.id).s3
    assert found is not None
    assert (found.endpoint, found.access_key_id, found.secret_access_key.reveal()) == (
        "http://h",
        "AKANA",
        "very secret",
    )
    assert "very secret" not in repr(found)
    with database.write(NOW) as unit:
        unit.sessions.set_s3(begun.id, None)
        assert unit.sessions.get(begun.id).s3 is None


def test_tokens(database: Database) -> None:
    with database.write(NOW) as unit:
        made = unit.tokens.create("ci", b"hash", ("config", "audit"), "bootstrap", None, NOW + HOUR)
    assert made.scopes == ("audit", "config")
    with database.write(NOW + 1) as unit:
        found = unit.tokens.with_hash(b"hash")
        assert found is not None
        unit.tokens.used(found.id)
        assert unit.tokens.get(made.id).last_used == NOW + 1
        assert unit.tokens.with_hash(b"other") is None
    with database.read(NOW + HOUR) as unit:
        assert unit.tokens.with_hash(b"hash") is None
    with database.write(NOW) as unit:
        unit.tokens.delete(made.id)
        assert list(unit.tokens.list()) == []
