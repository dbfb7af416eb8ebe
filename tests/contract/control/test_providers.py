import pytest

from deltaglider_proxy.control.database import Database
from deltaglider_proxy.control.errors import AlreadyExists, NotFound
from deltaglider_proxy.control.model import MatchType
from deltaglider_proxy.control.repositories.config_revisions import KEPT
from deltaglider_proxy.control.repositories.users import NewKey
from tests.contract.control.conftest import NOW


def test_providers_rules_and_identities(database: Database) -> None:
    with database.write(NOW) as unit:
        okta = unit.providers.create("okta", "oidc", client_secret="client secret", extra_config={"a": [1]})
        unit.providers.create("first", "oidc", priority=5)
        ops = unit.groups.create("ops")
        rule = unit.rules.create(okta.id, 1, MatchType.EMAIL_DOMAIN, "email", "example.com", ops.id)
        anywhere = unit.rules.create(None, 2, MatchType.CLAIM_VALUE, "groups", "ops", ops.id)
        user = unit.users.create("ana", NewKey("AKANA", "s"))
        unit.identities.record(
            user.id, okta.id, "sub", email="a@example.com", display_name=None, claims={"x": 1}, email_verified=True
        )
    with database.read() as unit:
        assert [provider.name for provider in unit.providers.list()] == ["first", "okta"]
        found = unit.providers.find("okta")
        assert found is not None
        assert found.client_secret is not None
        assert found.client_secret.reveal() == "client secret"
        assert found.extra_config == {"a": [1]}
        assert [r.id for r in unit.rules.list()] == [anywhere.id, rule.id]
        assert unit.changes_since(0).sso
        known = unit.identities.find(okta.id, "sub")
        assert known is not None
        assert (known.user_id, known.last_login, known.raw_claims) == (user.id, NOW, {"x": 1})
    with database.write(NOW + 1) as unit:
        kept = unit.providers.update(okta.id, {"enabled": False, "scopes": "openid"})
        assert (kept.enabled, kept.scopes, kept.updated_at) == (False, "openid", NOW + 1)
        assert kept.client_secret is not None
        assert kept.client_secret.reveal() == "client secret"
        unit.rules.update(rule.id, {"match_value": "example.org", "provider_id": None})
        assert unit.rules.get(rule.id).match_value == "example.org"
        unit.identities.record(user.id, okta.id, "sub", email=None, display_name="Ana", claims={}, email_verified=False)
        assert [identity.display_name for identity in unit.identities.of_user(user.id)] == ["Ana"]
        unit.providers.delete(okta.id)
        assert list(unit.identities.list()) == []
        unit.groups.delete(ops.id)
        assert list(unit.rules.list()) == []


def test_what_is_not_there(database: Database) -> None:
    with database.write(NOW) as unit:
        unit.providers.create("okta", "oidc")
        ops = unit.groups.create("ops")
    with pytest.raises(AlreadyExists), database.write(NOW) as unit:
        unit.providers.create("okta", "oidc")
    with pytest.raises(NotFound), database.write(NOW) as unit:
        unit.rules.create(99, 1, MatchType.EMAIL_EXACT, "email", "a", ops.id)
    with pytest.raises(NotFound), database.write(NOW) as unit:
        unit.rules.create(None, 1, MatchType.EMAIL_EXACT, "email", "a", 99)
    with pytest.raises(NotFound), database.write(NOW) as unit:
        unit.providers.delete(99)


def test_the_history_of_the_configuration_is_bounded(database: Database) -> None:
    with database.write(NOW) as unit:
        for number in range(KEPT + 5):
            unit.config_revisions.append("ana", "apply_config", f"document {number}", "")
    with database.read() as unit:
        newest = unit.config_revisions.list(limit=2)
        assert [revision.document.reveal() for revision in newest] == [f"document {KEPT + 4}", f"document {KEPT + 3}"]
        older = unit.config_revisions.list(limit=500, before=newest[-1].id)
        assert len(older) == KEPT - 2


def test_switches(database: Database) -> None:
    with database.write(NOW) as unit:
        assert unit.state.get("maintenance") is None
        unit.state.set("maintenance", {"on": True})
        unit.state.set("maintenance", {"on": False})
    with database.read() as unit:
        assert unit.state.get("maintenance") == {"on": False}
