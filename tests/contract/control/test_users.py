import pytest

from deltaglider_proxy.control.database import Database
from deltaglider_proxy.control.errors import AlreadyExists, NotFound, Refused
from deltaglider_proxy.control.model import AuthSource, Effect, MembershipSource, Permission, User
from deltaglider_proxy.control.repositories.users import NewKey
from tests.contract.control.conftest import NOW, Place

RULES = (
    Permission(Effect.ALLOW, ("read", "list"), ("b/*",), {"IpAddress": {"aws:SourceIp": ("10.0.0.0/8",)}}),
    Permission(Effect.DENY, ("*",), ("*",)),
)


def make(database: Database, name: str = "ana", key: str = "AKANA") -> User:
    with database.write(NOW) as unit:
        return unit.users.create(name, NewKey(key, "secret of " + key), rules=RULES)


def test_a_user_is_what_was_made(database: Database, place: Place) -> None:
    made = make(database)
    assert (made.name, made.enabled, made.auth_source, made.created_at) == ("ana", True, AuthSource.LOCAL, NOW)
    assert made.permissions == RULES
    [key] = made.keys
    assert (key.access_key_id, key.secret.reveal(), key.created_at) == ("AKANA", "secret of AKANA", NOW)
    again = place.open()
    with again.read() as unit:
        found = unit.users.get(made.id)
        assert (found.name, found.keys[0].secret.reveal()) == ("ana", "secret of AKANA")
        assert unit.users.find("ana") is not None
        assert unit.users.find("ANA") is None
        with_key = unit.users.with_key("AKANA")
        assert with_key is not None
        assert with_key.id == made.id
    again.close()


def test_names_and_keys_are_unique(database: Database) -> None:
    made = make(database)
    make(database, "bob", "AKBOB")
    for name, key in (("ana", "AKNEW"), ("new", "AKANA")):
        with pytest.raises(AlreadyExists):
            make(database, name, key)
    with pytest.raises(AlreadyExists), database.write(NOW) as unit:
        unit.users.update(made.id, name="bob")
    with pytest.raises(AlreadyExists), database.write(NOW) as unit:
        unit.users.add_key(made.id, NewKey("AKBOB", "s"))
    with database.write(NOW) as unit:
        assert unit.users.update(made.id, name="ana", enabled=False).enabled is False
        assert unit.users.count() == 2


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def twice() -> None:
        with database.write(NOW) as unit:
            unit.users.create("ana", NewKey("AKANA", "s"))
            unit.users.create("ana", NewKey("AKBOB", "s"))

    with pytest.raises(AlreadyExists):
        twice()
    with database.read() as unit:
        assert list(unit.users.list()) == []
        assert unit.revisions.current() == 0


def test_keys(database: Database) -> None:
    made = make(database)
    with database.write(NOW + 1) as unit:
        unit.users.add_key(made.id, NewKey("AKTWO", "two", expires_at=NOW + 10))
    with database.write(NOW + 1) as unit:
        user = unit.users.change_key(made.id, "AKANA", enabled=False)
    assert [(key.access_key_id, key.usable(NOW + 5), key.usable(NOW + 10)) for key in user.keys] == [
        ("AKANA", False, False),
        ("AKTWO", True, False),
    ]
    with database.write(NOW) as unit:
        assert [key.access_key_id for key in unit.users.remove_key(made.id, "AKANA").keys] == ["AKTWO"]
    with pytest.raises(Refused, match="only access key"), database.write(NOW) as unit:
        unit.users.remove_key(made.id, "AKTWO")
    with pytest.raises(NotFound), database.write(NOW) as unit:
        unit.users.remove_key(made.id, "AKNONE")
    with database.write(NOW) as unit:
        assert [key.access_key_id for key in unit.users.replace_keys(made.id, [NewKey("AKNEW", "n")]).keys] == ["AKNEW"]
        assert unit.users.with_key("AKTWO") is None


def test_groups_and_members(database: Database) -> None:
    ana, bob = make(database), make(database, "bob", "AKBOB")
    with database.write(NOW) as unit:
        ops = unit.groups.create("ops", "who operate", RULES)
        readers = unit.groups.create("readers")
        unit.groups.add_member(ops.id, ana.id)
        unit.groups.add_member(ops.id, ana.id)
        unit.users.set_groups(ana.id, [readers.id, ops.id], MembershipSource.MAPPING)
        unit.groups.set_members(readers.id, [ana.id, bob.id])
    with database.read() as unit:
        assert unit.groups.get(ops.id).member_ids == (ana.id,)
        assert unit.groups.get(readers.id).member_ids == (ana.id, bob.id)
        assert unit.users.get(ana.id).group_ids == (ops.id, readers.id)
        assert unit.groups.get(ops.id).permissions == RULES
    with database.write(NOW) as unit:
        unit.users.set_groups(ana.id, [], MembershipSource.MAPPING)
        assert unit.users.get(ana.id).group_ids == (ops.id, readers.id), "what was given by hand stays"
        unit.groups.remove_member(ops.id, ana.id)
        unit.groups.delete(readers.id)
        assert unit.users.get(ana.id).group_ids == ()
        unit.users.delete(bob.id)
    with pytest.raises(NotFound), database.write(NOW) as unit:
        unit.groups.remove_member(ops.id, ana.id)
    for missing in (9999, bob.id):
        with pytest.raises(NotFound), database.write(NOW) as unit:
            unit.groups.add_member(ops.id, missing)
    with pytest.raises(AlreadyExists), database.write(NOW) as unit:
        unit.groups.create("ops")


def test_only_what_changed_is_read_again(database: Database) -> None:
    ana, bob = make(database), make(database, "bob", "AKBOB")
    with database.write(NOW) as unit:
        ops = unit.groups.create("ops")
    with database.read() as unit:
        everything = unit.changes_since(0)
    assert [user.name for user in everything.users] == ["ana", "bob"]
    assert [group.name for group in everything.groups] == ["ops"]
    with database.write(NOW) as unit:
        unit.groups.add_member(ops.id, ana.id)
        unit.users.delete(bob.id)
    with database.read() as unit:
        changes = unit.changes_since(everything.revision)
        nothing = unit.changes_since(changes.revision)
    assert [user.group_ids for user in changes.users] == [(ops.id,)]
    assert [group.member_ids for group in changes.groups] == [(ana.id,)]
    assert list(changes.removed_users) == [bob.id]
    assert changes.revision > everything.revision
    assert not any((nothing.users, nothing.groups, nothing.removed_users, nothing.removed_groups, nothing.sso))
    with database.write(NOW) as unit:
        unit.groups.delete(ops.id)
    with database.read() as unit:
        changes = unit.changes_since(changes.revision)
    assert [user.group_ids for user in changes.users] == [()], "members of a group that is gone have other rules"
    assert list(changes.removed_groups) == [ops.id]


def test_ids_are_never_used_twice(database: Database) -> None:
    first = make(database)
    with database.write(NOW) as unit:
        unit.users.delete(first.id)
    assert make(database).id > first.id
