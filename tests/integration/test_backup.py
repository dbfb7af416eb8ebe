"""Full backups of a real server, and what bringing them back does."""

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML

from deltaglider_proxy.control.bootstrap_hash import replace_file
from deltaglider_proxy.crypto.passwords import hash_password
from tests.support import dying_server
from tests.support.admin import Admin, allow, deny
from tests.support.dying_server import STEPS
from tests.support.server import ACCESS_KEY, PASSWORD, PASSWORD_HASH, SECRET_KEY, Server

yaml = YAML(typ="safe", pure=True)

_NOTHING_YET = ("before the journal", "after the journal", "in the transaction")
_ALWAYS = ("in the transaction", "after the transaction", "after the hash")
"""Steps where a power cut is tried in every run of the tests; the others are slow."""
_ZIP = {"content-type": "application/zip"}
_STORAGE = """\
  backends:
    - name: disk
      type: filesystem
      path: {root}/data
    - name: cloud
      type: s3
      endpoint: http://127.0.0.1:9
      allow_local: true
      access_key_id: AKCLOUD
      secret_access_key: the secret of the cloud
  default_backend: disk"""
_SECRETS = (SECRET_KEY, "the secret of the cloud", PASSWORD_HASH, "xoxb-the-token", "the client secret")


def _server(root: Path, **options: Any) -> Server:
    environment = {"DGP_BOOT_BACKEND_PROBE": "off", **options.pop("environment", {})}
    return Server(root, storage=_STORAGE, environment=environment, **options)


def _populate(admin: Admin) -> None:
    group = admin.ask("POST", "/admin/groups", {"name": "readers", "permissions": [allow("read list", "*")]}, 201)
    user = admin.user("ana", allow("*", "*"), deny("delete", "releases/*"))
    admin.ask("POST", f"/admin/users/{user['id']}/access-keys", {}, 201)
    admin.user("ci", allow("write", "releases/*"), enabled=False)
    admin.ask("POST", f"/admin/groups/{group['id']}/members", {"user_id": user["id"]})
    provider = admin.ask(
        "POST",
        "/admin/ext-auth/providers",
        {
            "name": "okta",
            "issuer_url": "https://id.example.com",
            "client_id": "c",
            "client_secret": "the client secret",
        },
        201,
    )
    admin.ask(
        "POST",
        "/admin/ext-auth/mappings",
        {
            "provider_id": provider["id"],
            "match_type": "email_domain",
            "match_field": "email",
            "match_value": "example.com",
            "group_id": group["id"],
        },
        201,
    )
    events = {"webhook_headers": {"authorization": "xoxb-the-token"}, "webhook_url": "https://hooks.example.com/x"}
    admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": 0.5, "event_delivery": events})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _server(tmp_path_factory.mktemp("backup")) as running:
        running.secrets.clear()
        with Admin(running) as admin:
            _populate(admin)
        yield running


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as signed_in:
        yield signed_in


def take(admin: Admin) -> bytes:
    answer = admin.http.get("/admin/backup")
    assert answer.status_code == 200, answer.text
    return answer.content


def bring_back(admin: Admin, body: bytes, mode: str = "full", **query: str) -> httpx2.Response:
    return admin.http.post("/admin/backup", content=body, headers=_ZIP, params={"mode": mode, **query})


def parts(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def without_numbers(document: bytes) -> Any:
    """Users by name, with memberships by name: numbers mean something in one database only."""
    found = json.loads(document)
    users = {user["id"]: user["name"] for user in found["users"]}
    groups = {group["id"]: group["name"] for group in found["groups"]}
    providers = {provider["id"]: provider["name"] for provider in found["auth_providers"]}
    for user in found["users"]:
        user["group_ids"] = sorted(groups[number] for number in user["group_ids"])
    for group in found["groups"]:
        for field in ("member_ids", "mapped_member_ids"):
            group[field] = sorted(users[number] for number in group[field])
    for rule in found["mapping_rules"]:
        rule["group_id"], rule["provider_id"] = groups[rule["group_id"]], providers.get(rule["provider_id"])
    for entries in found.values():
        for entry in entries if isinstance(entries, list) else ():
            entry.pop("id")
    return found


def test_an_archive_holds_four_parts_and_secrets_in_one_of_them(admin: Admin) -> None:
    answer = admin.http.get("/admin/backup")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    name = answer.headers["content-disposition"]
    assert name.startswith('attachment; filename="dgp-backup-v')
    assert name.endswith('Z.zip"')
    found = parts(answer.content)
    assert set(found) == {"manifest.json", "config.yaml", "iam.json", "secrets.json"}
    for secret in _SECRETS:
        assert secret.encode() not in found["config.yaml"], secret
        assert secret.encode() in found["secrets.json"], secret
    kept = json.loads(found["secrets.json"])
    assert kept["bootstrap_password_hash"] == PASSWORD_HASH
    assert kept["access"] == {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}
    assert kept["storage_backends"]["cloud"]["access_key_id"] == "AKCLOUD"
    assert kept["oauth_client_secrets"] == {"okta": "the client secret"}
    assert [entry["name"] for entry in json.loads(found["iam.json"])["users"]] == ["legacy-admin", "ana", "ci"]


def test_another_server_becomes_the_same(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with _server(tmp_path / "one") as first:
        first.secrets.clear()
        with Admin(first) as admin:
            _populate(admin)
            archive = take(admin)
            s3 = first.client()
            s3.create_bucket(Bucket="box")
            s3.put_object(Bucket="box", Key="k", Body=b"what was stored before")
    with _server(tmp_path / "two", keeps_config=True, workers=2) as other, Admin(other) as theirs:
        other.secrets.clear()
        tried = bring_back(theirs, archive, dry_run="true").json()
        assert tried["dry_run"] is True
        assert "create user ana" in tried["items"]
        assert theirs.ask("GET", "/admin/users") == []
        report = bring_back(theirs, archive).json()
        assert (report["users_created"], report["groups_created"], report["memberships_created"]) == (3, 1, 1)
        assert report["config_restored"] is True
        assert other.client().get_object(Bucket="box", Key="k")["Body"].read() == b"what was stored before"
        before, after = parts(archive), parts(take(theirs))
        assert without_numbers(after["iam.json"]) == without_numbers(before["iam.json"])
        assert json.loads(after["secrets.json"]) == json.loads(before["secrets.json"])
        assert after["config.yaml"] == before["config.yaml"]
        other.port = first.port
        other.restart()
        assert parts(_signed_in_again(other))["config.yaml"] == after["config.yaml"]
        assert not (tmp_path / "two" / ".deltaglider_restore.journal").exists()


def _signed_in_again(server: Server) -> bytes:
    with Admin(server) as admin:
        return take(admin)


def test_what_is_there_stays(admin: Admin) -> None:
    before = take(admin)
    report = bring_back(admin, before).json()
    assert (report["users_created"], report["users_skipped"], report["mapping_rules_skipped"]) == (0, 3, 1)
    after = take(admin)
    assert parts(after)["iam.json"] == parts(before)["iam.json"]
    assert parts(after)["config.yaml"] == parts(before)["config.yaml"]


def _repacked(body: bytes, changes: Mapping[str, bytes | None]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in (parts(body) | dict(changes)).items():
            if data is not None:
                archive.writestr(name, data)
    return packed.getvalue()


def _with_own_storage(body: bytes) -> bytes:
    """As if it were taken where `./data` and any port were configured, with a manifest that knows of it."""
    found = parts(body)
    config = yaml.load(found["config.yaml"].decode())
    config["storage"]["backends"][0]["path"] = "data"
    del config["advanced"]["listen_addr"], config["advanced"]["cache_dir"]
    found["config.yaml"] = json.dumps(config).encode()
    manifest = json.loads(found["manifest.json"])
    for entry in manifest["files"]:
        data = found[entry["name"]]
        entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return _repacked(body, {**found, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({"manifest.json": None}, "parse_manifest"),
        ({"manifest.json": b'{"version": 2, "files": []}'}, "parse_manifest"),
        ({"manifest.json": b'{"version": 1, "files": []}'}, "verify_manifest"),
        ({"secrets.json": None}, "verify_manifest"),
        ({"config.yaml": b"{}\n"}, "verify_manifest"),
        ({"iam.json": b'{"version": 2}'}, "verify_manifest"),
    ],
)
def test_an_archive_that_was_changed_changes_nothing(admin: Admin, changes: Mapping[str, bytes], stage: str) -> None:
    body = take(admin)
    answer = bring_back(admin, _repacked(body, changes))
    assert (answer.status_code, answer.json()["stage"]) == (400, stage)
    assert parts(take(admin))["config.yaml"] == parts(body)["config.yaml"]


def test_every_byte_counts(admin: Admin) -> None:
    body = take(admin)
    for position in range(0, len(body), max(1, len(body) // 40)):
        damaged = bytearray(body)
        damaged[position] ^= 0x20
        answer = bring_back(admin, bytes(damaged), dry_run="true")
        # Some bytes of a zip say nothing: times, attributes, flags.
        assert answer.status_code == 400 or answer.json()["users_skipped"] == 3, position


def test_another_bootstrap_password_is_not_taken_over_silently(admin: Admin, tmp_path: Path) -> None:
    archive = take(admin)
    hashed = hash_password("another password")
    with _server(tmp_path, environment={"DGP_BOOTSTRAP_PASSWORD_HASH": hashed}) as other:
        other.secrets.clear()
        with Admin(other, sign_in=False) as theirs:
            theirs.ask("POST", "/admin/login", {"password": "another password"})
            refused = bring_back(theirs, archive)
            assert (refused.status_code, refused.json()["stage"]) == (409, "validate_secrets")
            assert PASSWORD_HASH not in refused.text
            assert bring_back(theirs, archive, "iam-only").status_code == 200


def test_a_fresh_server_takes_the_password_of_the_archive(admin: Admin, tmp_path: Path) -> None:
    hashed = hash_password("the password of the first start")
    replace_file(hashed, tmp_path)
    archive = _with_own_storage(take(admin))
    with _server(tmp_path, environment={"DGP_BOOTSTRAP_PASSWORD_HASH": ""}) as other:
        other.secrets.clear()
        with Admin(other, sign_in=False) as theirs:
            theirs.ask("POST", "/admin/login", {"password": "the password of the first start"})
            report = bring_back(theirs, archive)
            assert report.status_code == 200, report.text
            assert report.json()["bootstrap_hash_restored"] is True
        with Admin(other) as theirs:
            assert [user["name"] for user in theirs.ask("GET", "/admin/users")] == ["legacy-admin", "ana", "ci"]
        other.restart()
        with Admin(other) as theirs:
            assert len(theirs.ask("GET", "/admin/users")) == 3


def test_a_legacy_document_of_users_is_merged(admin: Admin) -> None:
    document = {
        "users": [
            {
                "name": "old",
                "access_key_id": "AKOLDUSER",
                "secret_access_key": "the secret of old",
                "permissions": [{"effect": "Allow", "actions": ["read"], "resources": ["*"]}],
            },
            {"name": "$anonymous", "access_key_id": "AKNOBODY", "secret_access_key": "nothing"},
        ],
        "groups": [{"id": 9, "name": "elders", "permissions": [], "member_ids": [1]}],
        "version": 1,
    }
    report = admin.ask("POST", "/admin/backup", document)
    assert (report["users_created"], report["users_skipped"], report["memberships_created"]) == (1, 1, 1)
    assert "reserved" in report["warnings"][0]
    admin.ask("POST", "/admin/backup", {"version": 3}, 400)
    admin.ask("POST", "/admin/backup?mode=config-only", document, 400)
    refused = admin.ask("POST", "/admin/backup", {"users": [{"name": "x"}]}, 400)
    assert refused["stage"] == "parse_iam"
    assert "users.0.access_key_id" in refused["detail"]
    [number] = [user["id"] for user in admin.ask("GET", "/admin/users") if user["name"] == "old"]
    admin.ask("DELETE", f"/admin/users/{number}", status=204)
    [group] = [group["id"] for group in admin.ask("GET", "/admin/groups") if group["name"] == "elders"]
    admin.ask("DELETE", f"/admin/groups/{group}", status=204)


def test_declared_users_are_not_imported(admin: Admin, tmp_path: Path) -> None:
    archive = take(admin)
    with _server(tmp_path) as other, Admin(other) as theirs:
        other.secrets.clear()
        declared = {
            "iam_mode": "declarative",
            "iam_users": [
                {
                    "name": "root",
                    "access_key_id": "AKDECLARED",
                    "secret_access_key": "the declared secret",
                    "permissions": [allow("*", "*")],
                }
            ],
        }
        theirs.ask("PUT", "/admin/config/section/access", declared)
        refused = bring_back(theirs, archive)
        assert (refused.status_code, refused.json()["code"]) == (403, "iam_declarative")
        mine = take(theirs)
        assert b"the declared secret" not in parts(mine)["config.yaml"]
        report = bring_back(theirs, mine, "config-only")
        assert report.status_code == 200, report.text
        assert b"the declared secret" in other.config.read_bytes()


def test_only_whoever_may_do_everything(server: Server, admin: Admin) -> None:
    with Admin(server, sign_in=False) as nobody:
        nobody.ask("GET", "/admin/backup", status=401)
        nobody.ask("POST", "/admin/backup", {}, 401)
        token = admin.ask("POST", "/admin/tokens", {"name": "reader", "scopes": ["read", "iam", "config"]}, 201)
        bearer = {"authorization": f"Bearer {token['token']}"}
        nobody.ask("GET", "/admin/backup", status=403, headers=bearer)
        nobody.ask("POST", "/admin/backup", {}, 403, headers=bearer)


@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=() if step in _ALWAYS else pytest.mark.slow) for step in STEPS]
)
def test_a_power_cut_leaves_the_old_or_the_new(admin: Admin, tmp_path: Path, step: str) -> None:
    replace_file(hash_password("the first password"), tmp_path)
    archive = _with_own_storage(take(admin))
    program = [sys.executable, dying_server.__file__]
    environment = {"DGP_BOOTSTRAP_PASSWORD_HASH": "", "DIES_AT": step}
    server = _server(tmp_path, environment=environment, keeps_config=True, program=program)
    server.secrets.clear()
    server.start()
    with Admin(server, sign_in=False) as theirs:
        theirs.ask("POST", "/admin/login", {"password": "the first password"})
        with pytest.raises(httpx2.TransportError):
            bring_back(theirs, archive)
    assert server.process is not None
    server.process.wait()
    server.program, server.environment = (), {**environment, "DGP_LISTEN_ADDR": f"127.0.0.1:{server.port}"}
    with server, Admin(server, sign_in=False) as theirs:
        old = theirs.http.post("/admin/login", json={"password": "the first password"}).status_code == 200
        new = theirs.http.post("/admin/login", json={"password": PASSWORD}).status_code == 200
        users = [user["name"] for user in theirs.ask("GET", "/admin/users")]
        ratio = theirs.ask("GET", "/admin/config")["max_delta_ratio"]
        happened = (False, True, ["legacy-admin", "ana", "ci"], 0.5)
        assert (old, new, users, ratio) in [happened, (True, False, [], 0.75)]
        assert ((old, new, users, ratio) == happened) is (step not in _NOTHING_YET)
        assert not (tmp_path / ".deltaglider_restore.journal").exists()
