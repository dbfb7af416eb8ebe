"""A document that meets a database with things of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deltaglider_proxy.access.backup.document import Document, export
from deltaglider_proxy.access.backup.merge import Merged, merge
from deltaglider_proxy.control.database import Database, Keys, SqliteTarget, open_database
from deltaglider_proxy.control.model import AuthSource, MembershipSource
from deltaglider_proxy.control.repositories.users import NewKey

NOW = 1_800_000_000.0
USER = {"id": 1, "name": "ana", "access_key_id": "AKANA", "secret_access_key": "the secret"}
GROUP = {"id": 4, "name": "readers", "member_ids": [1]}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(SqliteTarget(tmp_path / "db", Keys("a hash")))
    yield opened
    opened.close()


def merged(database: Database, **parts: object) -> Merged:
    with database.write(NOW) as unit:
        return merge(unit, Document.model_validate(parts), {"okta": "given beside"})


def test_everything_comes_back(database: Database, tmp_path: Path) -> None:
    with database.write(NOW) as unit:
        group = unit.groups.create("readers", "who read")
        first = unit.users.create("ana", NewKey("AKANA", "one"))
        unit.users.add_key(first.id, NewKey("AKANA2", "two", NOW + 60, enabled=False))
        second = unit.users.create("bo", NewKey("AKBO", "three"), auth_source=AuthSource.EXTERNAL)
        unit.groups.add_member(group.id, first.id)
        unit.groups.add_member(group.id, second.id, MembershipSource.MAPPING)
        provider = unit.providers.create("okta", "oidc", client_secret="shh", extra_config={"a": [1]})
        unit.identities.record(
            second.id, provider.id, "sub", email="b@x", display_name=None, claims={"groups": ["g"]}, email_verified=True
        )
        taken = export(unit)
    other = open_database(SqliteTarget(tmp_path / "other", Keys("another hash")))
    with other.write(NOW + 1000) as unit:
        unit.groups.create("first", "so that numbers differ")
        merge(unit, taken)
        again = export(unit)
    other.close()
    strip = {"id", "group_ids", "member_ids", "mapped_member_ids", "user_id", "provider_id"}

    def told(document: Document) -> list[dict[str, object]]:
        entries = (*document.users, *document.groups, *document.auth_providers, *document.external_identities)
        return [entry.model_dump(exclude=strip) for entry in entries if getattr(entry, "name", "") != "first"]

    assert told(again) == told(taken)
    [readers] = [entry for entry in again.groups if entry.name == "readers"]
    assert len(readers.member_ids) == 2
    assert len(readers.mapped_member_ids) == 1


def test_what_is_there_stays_and_is_referred_to(database: Database) -> None:
    with database.write(NOW) as unit:
        unit.users.create("renamed", NewKey("AKANA", "newer"))
        unit.groups.create("readers", "as it is")
    done = merged(database, users=[USER], groups=[{**GROUP, "description": "other"}])
    assert (done.users_skipped, done.groups_skipped, done.memberships_created) == (1, 1, 1)
    with database.read() as unit:
        [user] = unit.users.list()
        assert (user.name, user.keys[0].secret.reveal()) == ("renamed", "newer")
        assert unit.groups.list()[0].description == "as it is"
        assert unit.groups.list()[0].member_ids == (user.id,)


def test_somebody_else_of_the_same_name_is_given_nothing(database: Database) -> None:
    with database.write(NOW) as unit:
        unit.users.create("ana", NewKey("AKOTHER", "secret"))
    done = merged(database, users=[USER], groups=[GROUP])
    assert (done.users_created, done.users_skipped, done.memberships_created) == (0, 1, 0)
    assert len(done.warnings) == 2
    with database.read() as unit:
        assert unit.groups.list()[0].member_ids == ()


def test_reserved_names_and_dangling_numbers_are_left_out_and_said(database: Database) -> None:
    rule = {"match_type": "email_exact", "match_value": "a@x", "group_id": 9}
    identity = {"user_id": 9, "provider_id": 9, "external_sub": "s"}
    done = merged(
        database,
        users=[{**USER, "name": "$bootstrap"}],
        groups=[{**GROUP, "name": "$all"}],
        mapping_rules=[rule],
        external_identities=[identity],
    )
    assert (done.users_skipped, done.groups_skipped) == (1, 1)
    assert (done.mapping_rules_skipped, done.external_identities_skipped) == (1, 1)
    assert len(done.warnings) == 5
    with database.read() as unit:
        assert not unit.users.list()
        assert not unit.groups.list()


def test_a_second_time_it_makes_nothing(database: Database) -> None:
    provider = {"id": 2, "name": "okta"}
    rule = {"match_type": "email_exact", "match_value": "a@x", "group_id": 4, "provider_id": 2}
    identity = {"user_id": 1, "provider_id": 2, "external_sub": "s"}
    parts = {
        "users": [USER],
        "groups": [GROUP],
        "auth_providers": [provider],
        "mapping_rules": [rule],
        "external_identities": [identity],
    }
    first, second = merged(database, **parts), merged(database, **parts)
    assert (first.mapping_rules_created, first.external_identities_created, first.memberships_created) == (1, 1, 1)
    made = ("users", "groups", "providers", "mapping_rules", "memberships", "external_identities")
    assert [getattr(second, f"{kind}_created") for kind in made] == [0] * 6
    with database.read() as unit:
        [found] = unit.providers.list()
        assert found.client_secret is not None
        assert found.client_secret.reveal() == "given beside"
