"""Users that the configuration declares."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.expect import refused
from tests.support.admin import Admin, allow
from tests.support.server import ACCESS_KEY, SECRET_KEY, Server

USER = {"name": "ana", "access_key_id": "AKANA", "secret_access_key": "secret of ana"}
BOSS = {
    "name": "boss",
    "access_key_id": "AKBOSS",
    "secret_access_key": "secret of boss",
    "permissions": [allow("*", "*")],
}
READERS = {"name": "readers", "permissions": [allow("read list", "box/*")]}
DECLARED = {"iam_mode": "declarative", "iam_users": [BOSS, USER | {"groups": ["readers"]}], "iam_groups": [READERS]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, workers=2, keeps_config=True) as running:
        running.client().create_bucket(Bucket="box")
        running.client().put_object(Bucket="box", Key="k", Body=b"1")
        yield running


@pytest.fixture
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as signed_in:
        yield signed_in


def names(admin: Admin, what: str = "users") -> list[str]:
    return sorted(found["name"] for found in admin.ask("GET", f"/admin/{what}"))


def test_the_configuration_owns_the_users(server: Server, admin: Admin) -> None:
    tried = admin.ask("POST", "/admin/config/section/access/validate", DECLARED)
    assert (
        "declarative IAM preview: users(+2/~0/-0) groups(+1/~0/-0) providers(+0/~0/-0) mapping_rules=keep"
        in tried["warnings"]
    )
    assert names(admin) == []
    done = admin.ask("PUT", "/admin/config/section/access", DECLARED)
    assert any(warning.startswith("declarative IAM reconciled: users(+2") for warning in done["warnings"])
    assert names(admin) == ["ana", "boss"]
    ana = server.client("AKANA", "secret of ana")
    assert ana.get_object(Bucket="box", Key="k")["Body"].read() == b"1"
    with refused("InvalidAccessKeyId", 403):
        server.client(ACCESS_KEY, SECRET_KEY).list_buckets()
    before = {user["name"]: user["id"] for user in admin.ask("GET", "/admin/users")}
    for method, path, body in (
        ("POST", "/admin/users", {"name": "x"}),
        ("DELETE", f"/admin/users/{before['ana']}", None),
        ("POST", "/admin/groups", {"name": "x"}),
        ("POST", "/admin/config/declarative-iam-apply", {"yaml": "access: {}"}),
    ):
        assert admin.ask(method, path, body, 403)["code"] == "iam_declarative"
    changed = [
        BOSS,
        USER | {"access_key_id": "AKNEW", "secret_access_key": "a new secret of ana", "groups": ["readers"]},
    ]
    admin.ask("PUT", "/admin/config/section/access", {"iam_users": changed})
    assert {user["name"]: user["id"] for user in admin.ask("GET", "/admin/users")} == before, "a new key, the same user"
    assert server.client("AKNEW", "a new secret of ana").get_object(Bucket="box", Key="k")["Body"].read() == b"1"
    with refused("InvalidAccessKeyId", 403):
        ana.get_object(Bucket="box", Key="k")
    server.restart()
    assert server.client("AKNEW", "a new secret of ana").get_object(Bucket="box", Key="k")["Body"].read() == b"1"
    with Admin(server) as again:
        actions = [entry["action"] for entry in again.ask("GET", "/admin/audit?limit=500")["entries"]]
        assert {"iam_mode_change", "iam_reconcile_user_create", "iam_reconcile_user_update"} <= set(actions)
        again.ask("PUT", "/admin/config/section/access", {"iam_mode": "gui"})
        again.ask("POST", "/admin/users", {"name": "by-hand"}, 201)


def test_what_would_lock_everyone_out_is_refused(server: Server, admin: Admin) -> None:
    admin.user("first", allow("*", "*"))
    before = names(admin)
    for patch in (
        {"iam_mode": "declarative"},
        {"iam_mode": "declarative", "iam_groups": [READERS]},
        {"iam_mode": "declarative", "iam_users": [USER]},
        {"iam_mode": "declarative", "iam_users": [BOSS | {"secret_access_key": ""}]},
        {"iam_mode": "declarative", "iam_users": [BOSS | {"access_key_id": ACCESS_KEY}]},
        {"iam_mode": "declarative", "iam_users": [BOSS | {"permissions": [allow("read", "${nope}")]}]},
    ):
        answer = admin.ask("PUT", "/admin/config/section/access", patch, 422)
        assert answer["code"] == "iam_refused", patch
        assert names(admin) == before
        assert admin.ask("GET", "/admin/config")["iam_mode"] == "gui"


def test_an_export_applied_changes_nothing(server: Server, admin: Admin) -> None:
    admin.user("ana", allow("read", "box/*", conditions={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    group = admin.ask("POST", "/admin/groups", {"name": "ops", "permissions": [allow("*", "*")]}, 201)
    provider = {"name": "okta", "client_secret": "client secret of okta", "issuer_url": "https://okta.example.com"}
    made = admin.ask("POST", "/admin/ext-auth/providers", provider, 201)
    rule = {
        "provider_id": made["id"],
        "match_type": "email_domain",
        "match_value": "example.com",
        "group_id": group["id"],
    }
    admin.ask("POST", "/admin/ext-auth/mappings", rule, 201)
    text = admin.ask("GET", "/admin/config/declarative-iam-export")
    assert "client secret of okta" not in text
    changes = admin.ask("POST", "/admin/config/declarative-iam-validate", {"yaml": text})
    assert changes["no_changes"] is True, changes
    assert admin.ask("POST", "/admin/config/declarative-iam-apply", {"yaml": text})["no_changes"] is True
    assert "client secret of okta" in admin.ask("GET", "/admin/config/declarative-iam-export?include_secrets=true")
    less = admin.ask(
        "POST", "/admin/config/declarative-iam-apply", {"yaml": text.replace("name: ana", "name: anna")}, 400
    )
    assert less["code"] == "iam_refused"


def test_a_start_removes_nobody(server: Server, admin: Admin) -> None:
    admin.user("by-hand", allow("read", "*"))
    server.stop()
    text = server.config.read_text()
    user = "{name: boss, access_key_id: AKBOSS, secret_access_key: secret of boss}"
    server.config.write_text(text.replace("access:\n", f"access:\n  iam_mode: declarative\n  iam_users:\n  - {user}\n"))
    code, log = server.refused_start()
    assert code == 1
    assert "would remove" in log
    assert "by-hand" in log
    server.config.write_text(text)
    server.start()
