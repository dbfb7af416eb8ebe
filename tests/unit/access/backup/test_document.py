"""Documents of users: what every version of them says, and what is wrong with one."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.backup.document import Document, InvalidDocument, dump, parse
from deltaglider_proxy.access.backup.merge import numbers_of

USER = {"name": "ana", "access_key_id": "AKANA", "secret_access_key": "the secret"}
RULE = {"effect": "Allow", "actions": ["read"], "resources": ["*"]}


def problems(document: object) -> str:
    with pytest.raises(InvalidDocument) as caught:
        parse(orjson.dumps(document))
    return "\n".join(caught.value.problems)


def test_version_1_has_users_and_groups() -> None:
    found = parse(orjson.dumps({"version": 1, "users": [USER], "groups": [{"id": 1, "name": "g"}]}))
    assert [key.secret_access_key for key in found.users[0].keys] == ["the secret"]
    assert found.external_identities == []


def test_what_is_not_known_is_left_alone() -> None:
    assert parse(orjson.dumps({"version": 2, "policies": [], "users": [{**USER, "mfa": True}]})).users[0].name == "ana"


def test_what_was_written_as_text() -> None:
    identity = {"user_id": 1, "provider_id": 1, "external_sub": "s", "raw_claims": '{"a": 1}'}
    for at in ("2026-01-31 12:00:00", "2026-01-31T12:00:00Z", 1769860800, "2026-01-31T13:00:00+01:00"):
        found = parse(orjson.dumps({"external_identities": [{**identity, "created_at": at}]}))
        assert found.external_identities[0].created_at == 1769860800
        assert found.external_identities[0].raw_claims == {"a": 1}
        assert found.external_identities[0].email_verified is False


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "document"),
        ({"version": 3}, "version"),
        ({"users": [{**USER, "access_key_id": "a b"}]}, "users.0.access_key_id"),
        ({"users": [{**USER, "name": "a/b"}]}, "users[0].name"),
        ({"users": [{**USER, "permissions": [{**RULE, "actions": ["fly"]}]}]}, "users[0].permissions[0].actions"),
        ({"groups": [{"id": 1, "name": "g", "permissions": [{**RULE, "effect": "Maybe"}]}]}, "groups[0].permissions"),
        ({"mapping_rules": [{"match_type": "moon", "match_value": "x", "group_id": 1}]}, "mapping_rules.0.match_type"),
        ({"external_identities": [{"user_id": 1, "provider_id": 1, "external_sub": "s", "created_at": "soon"}]}, "0"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_shown(document: object, path: str) -> None:
    found = problems(document)
    assert path in found
    assert "the secret" not in found


def test_no_json() -> None:
    with pytest.raises(InvalidDocument, match="JSON"):
        parse(b"{")


times = st.none() | st.integers(0, 4_000_000_000_000_000).map(lambda micro: micro / 1e6)
users = st.fixed_dictionaries(
    {"name": st.just("u"), "access_key_id": st.just("AKU"), "secret_access_key": st.text(min_size=1)},
    optional={"created_at": times, "enabled": st.booleans(), "permissions": st.just([RULE])},
)


@given(st.lists(users, max_size=3))
def test_read_again_it_is_the_same(given_users: list[dict[str, object]]) -> None:
    document = Document.model_validate({"users": given_users})
    once = parse(dump(document))
    assert parse(dump(once)) == once
    assert [user.secret_access_key for user in once.users] == [user["secret_access_key"] for user in given_users]


def test_users_of_old_documents_are_numbered_by_the_groups() -> None:
    two = [USER, {**USER, "name": "bo"}]
    group = {"id": 1, "name": "g", "member_ids": [7, 5]}
    assert numbers_of(Document.model_validate({"users": two, "groups": [group]})) == [5, 7]
    assert numbers_of(Document.model_validate({"users": two, "groups": [{**group, "member_ids": [7]}]})) == [1, 2]
    assert numbers_of(Document.model_validate({"users": [{**USER, "id": 3}, two[1]]})) == [3, 2]
