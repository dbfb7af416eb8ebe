"""What the audit log holds of a real server, and how it is searched."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from botocore.exceptions import ClientError

from tests.support.admin import Admin, allow
from tests.support.server import PASSWORD, SECRET_KEY, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("audit"), workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as signed_in:
        yield signed_in


def entries(admin: Admin, **query: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.ask("GET", "/admin/audit", params={"limit": 500, **query})["entries"]
    return found


def test_everything_that_happens_is_there(server: Server, admin: Admin) -> None:
    s3 = server.client()
    s3.create_bucket(Bucket="box")
    s3.put_object(Bucket="box", Key="k", Body=b"1")
    s3.copy_object(Bucket="box", Key="copy", CopySource="box/k")
    s3.delete_object(Bucket="box", Key="k")
    s3.delete_objects(Bucket="box", Delete={"Objects": [{"Key": "copy"}]})
    user = admin.user("reader", allow("read", "box/*"))
    theirs = admin.client_of(user)
    for attempt in (
        lambda: theirs.put_object(Bucket="box", Key="n", Body=b""),
        lambda: theirs.delete_objects(Bucket="box", Delete={"Objects": [{"Key": "n"}]}),
        lambda: server.client("AKNOBODY").list_buckets(),
        lambda: server.client(user["access_key_id"], "wrong").list_buckets(),
    ):
        with pytest.raises(ClientError):
            attempt()
    with Admin(server, sign_in=False) as guesser:
        guesser.ask("POST", "/admin/login", {"password": "guess"}, 401)
    admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": 0.5})
    wanted = {
        ("login", "ok"),
        ("login_failed", "failed"),
        ("login_failed", "denied"),
        ("create_user", "ok"),
        ("apply_config_section:advanced", "ok"),
        ("s3_create_bucket", "ok"),
        ("s3_put", "ok"),
        ("s3_copy", "ok"),
        ("s3_delete", "ok"),
        ("s3_delete_many", "ok"),
        ("access_denied", "denied"),
    }
    server.wait_for(lambda: wanted <= {(e["action"], e["outcome"]) for e in entries(admin)})
    [denied] = [e for e in entries(admin, action="access_denied") if e["path"] == "n" and e["target"] == "Write"]
    assert (denied["user"], denied["bucket"], denied["ip"]) == ("reader", "box", "127.0.0.1")
    assert "Boto3" in denied["ua"]
    assert denied["request_id"] in server.log.read_text()
    [change] = entries(admin, action="apply_config_section:advanced", outcome="ok")
    assert change["user"] == "admin"
    assert change["session_id"]
    assert change["details"]["diff"] == {"advanced": {"max_delta_ratio": {"before": None, "after": 0.5}}}
    assert "AUDIT | action=create_user | user=admin | target=reader | ip=127.0.0.1" in server.log.read_text()


def test_pages_and_filters(server: Server, admin: Admin) -> None:
    for _ in range(12):
        admin.ask("PUT", "/admin/maintenance", {"enabled": False})
    first = admin.ask("GET", "/admin/audit", params={"action": "maintenance_off", "limit": 5})
    second = admin.ask(
        "GET", "/admin/audit", params={"action": "maintenance_off", "limit": 5, "cursor": first["next_cursor"]}
    )
    numbers = [entry["seq"] for entry in (*first["entries"], *second["entries"])]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 10
    assert entries(admin, user="nobody") == []
    assert entries(admin, since="2100-01-01T00:00:00Z") == []
    assert all(entry["action"] == "maintenance_off" for entry in entries(admin, q="maintenance_off"))
    admin.ask("GET", "/admin/audit?limit=501", status=400)


def outcomes(admin: Admin, action: str, target: str) -> list[tuple[str, object]]:
    """Oldest first, with the code of what failed."""
    found = [each for each in entries(admin, action=action) if each["target"] == target]
    return [(each["outcome"], each.get("details", {}).get("code")) for each in reversed(found)]


def test_a_change_that_did_not_happen_is_not_ok(admin: Admin) -> None:
    admin.user("twice")
    admin.ask("POST", "/admin/users", {"name": "twice", "permissions": []}, 409)
    done, refused = [("begun", None), ("ok", None)], [("begun", None), ("failed", "already_exists")]
    assert outcomes(admin, "create_user", "twice") == done + refused
    group = {"name": "twice", "permissions": []}
    admin.ask("POST", "/admin/groups", group, 201)
    admin.ask("POST", "/admin/groups", group, 409)
    assert outcomes(admin, "create_group", "twice") == done + refused


@pytest.mark.parametrize(
    ("method", "path", "body", "action", "target"),
    [
        ("PUT", "/admin/users/999", {"name": "x"}, "update_user", "999"),
        ("DELETE", "/admin/users/999", None, "delete_user", "999"),
        ("POST", "/admin/users/999/rotate-keys", {}, "rotate_keys", "999"),
        ("POST", "/admin/users/999/access-keys", {}, "add_access_key", "999"),
        ("PUT", "/admin/users/999/access-keys/AKX", {"enabled": False}, "change_access_key", "999"),
        ("DELETE", "/admin/users/999/access-keys/AKX", None, "remove_access_key", "999"),
        ("POST", "/admin/users/999/clone", {"name": "x"}, "clone_user", "999 -> x"),
        ("PUT", "/admin/groups/999", {"name": "x"}, "update_group", "999"),
        ("DELETE", "/admin/groups/999", None, "delete_group", "999"),
        ("POST", "/admin/groups/999/clone", {"name": "x"}, "clone_group", "999 -> x"),
        ("POST", "/admin/groups/999/members", {"user_id": 998}, "add_member", "group:999+user:998"),
        ("DELETE", "/admin/groups/999/members/998", None, "remove_member", "group:999+user:998"),
        ("PUT", "/admin/ext-auth/providers/999", {"priority": 1}, "update_auth_provider", "999"),
        ("DELETE", "/admin/ext-auth/providers/999", None, "delete_auth_provider", "999"),
        ("PUT", "/admin/ext-auth/mappings/999", {"priority": 1}, "update_mapping_rule", "999"),
        ("DELETE", "/admin/ext-auth/mappings/999", None, "delete_mapping_rule", "999"),
        ("DELETE", "/admin/sessions/nobodys", None, "session_revoke", "nobodys"),
        ("DELETE", "/admin/tokens/nobodys", None, "revoke_token", "nobodys"),
        ("POST", "/admin/backends/nowhere/probe", None, "backend_probe", "nowhere"),
    ],
)
def test_what_is_not_there_was_not_changed(
    admin: Admin, method: str, path: str, body: object, action: str, target: str
) -> None:
    admin.ask(method, path, body, 404)
    assert outcomes(admin, action, target) == [("begun", None), ("failed", "not_found")]


def test_an_answer_that_says_no_is_a_failure(admin: Admin) -> None:
    nobody = "http://127.0.0.1:9"
    body = {"endpoint": nobody, "access_key_id": "AK", "secret_access_key": "secret", "allow_local": True}
    assert admin.ask("POST", "/admin/test-s3", body)["success"] is False
    [(first, _), (second, code)] = outcomes(admin, "test_s3", nobody)
    assert (first, second) == ("begun", "failed")
    assert code


def test_names_stand_beside_numbers(admin: Admin) -> None:
    user = admin.user("named")
    group = admin.ask("POST", "/admin/groups", {"name": "named-too", "permissions": []}, 201)
    admin.ask("POST", f"/admin/groups/{group['id']}/members", {"user_id": user["id"]})
    admin.ask("PUT", f"/admin/users/{user['id']}", {"name": "renamed"})
    admin.ask("DELETE", f"/admin/users/{user['id']}", status=204)
    admin.ask("DELETE", f"/admin/groups/{group['id']}", status=204)
    member = f"group:{group['id']}+user:{user['id']}"
    wanted = {
        ("add_member", member): {"user": "named", "group": "named-too"},
        ("update_user", str(user["id"])): {"user": "renamed", "changed": ["name"]},
        ("delete_user", str(user["id"])): {"user": "renamed"},
        ("delete_group", str(group["id"])): {"group": "named-too"},
    }
    found = {(each["action"], each["target"]): each.get("details") for each in entries(admin, outcome="ok")}
    assert {name: found[name] for name in wanted} == wanted


def denials(admin: Admin, code: str, path: str) -> list[dict[str, Any]]:
    return [e for e in entries(admin, action="admin_denied") if e["target"] == code and e["path"] == path]


def test_refusals_of_the_admin_api_are_there(server: Server, admin: Admin) -> None:
    made = admin.ask("POST", "/admin/tokens", {"name": "looker", "scopes": ["read"]}, 201)
    with Admin(server, sign_in=False, headers={"authorization": "Bearer dgp_nobodys"}) as stranger:
        stranger.ask("GET", "/admin/users", status=401)
    with Admin(server, sign_in=False, headers={"authorization": f"Bearer {made['token']}"}) as looker:
        looker.ask("PUT", "/admin/maintenance", {"enabled": True}, 403)
    admin.ask("PUT", "/admin/maintenance", {"enabled": True}, 403, headers={"sec-fetch-site": "cross-site"})
    user = admin.user("browsing", allow("read", "*"))
    with Admin(server, sign_in=False) as browser:
        pair = {name: user[name] for name in ("access_key_id", "secret_access_key")}
        browser.ask("POST", "/admin/session/browser-connect", {"endpoint": server.endpoint, **pair})
        browser.ask("GET", "/admin/sessions", status=403)
    path = "/admin/config/section/advanced"
    admin.ask("PUT", path, {"max_delta_ratio": 0.7}, 412, headers={"if-match": '"another"'})
    yaml = {"yaml": "storage: {filesystem: /proc/nothing/here}"}
    admin.ask("POST", "/admin/config/apply", yaml, 422)
    with Admin(server, sign_in=False) as nobody:
        nobody.ask("GET", "/admin/groups", status=401)
    everywhere = "/_/api/admin"
    wanted = [
        ("unauthorized", f"GET {everywhere}/users", ""),
        ("scope_required", f"PUT {everywhere}/maintenance", "token:looker"),
        ("cross_site_request", f"PUT {everywhere}/maintenance", "admin"),
        ("admin_session_required", f"GET {everywhere}/sessions", "browsing"),
        ("changed_meanwhile", f"PUT {everywhere}/config/section/advanced", "admin"),
        ("cannot_take_effect", f"POST {everywhere}/config/apply", "admin"),
    ]
    server.wait_for(lambda: all(denials(admin, code, path) for code, path, _ in wanted))
    for code, path, name in wanted:
        [denied] = denials(admin, code, path)
        assert (denied["user"], denied["outcome"], denied["ip"]) == (name, "denied", "127.0.0.1")
        assert bool(denied["session_id"]) is bool(name)
    assert denials(admin, "unauthorized", f"GET {everywhere}/groups") == [], "nobody has tried to be anyone"


def test_a_refused_sign_in_is_there_once(server: Server, admin: Admin) -> None:
    before = len(entries(admin, action="admin_denied")), len(entries(admin, action="login_failed", outcome="failed"))
    with Admin(server) as signed_in:
        signed_in.ask("POST", "/admin/login", {"password": "not this"}, 401)
    after = len(entries(admin, action="admin_denied")), len(entries(admin, action="login_failed", outcome="failed"))
    assert after == (before[0], before[1] + 1)


def test_signing_in_names_the_session(server: Server) -> None:
    with Admin(server) as admin:
        mine = next(each["id"] for each in admin.ask("GET", "/admin/sessions")["sessions"] if each["current"])
        assert entries(admin, action="login", outcome="ok")[0]["session_id"] == mine


def test_who_did_not_sign_has_no_signature(server: Server, admin: Admin) -> None:
    admin.user("somebody")
    assert httpx2.get(f"{server.endpoint}/box/unsigned", trust_env=False).status_code == 403
    server.wait_for(lambda: any(each["path"] == "unsigned" for each in entries(admin, action="access_denied")))
    [denied] = [each for each in entries(admin, action="access_denied") if each["path"] == "unsigned"]
    assert (denied["user"], denied["auth_method"]) == ("$anonymous", "anonymous")


def test_a_token_that_nobody_has_keeps_no_good_one_out(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Admin(server) as admin:
        good = admin.ask("POST", "/admin/tokens", {"name": "ci", "scopes": ["read"]}, 201)["token"]
        with (
            Admin(server, sign_in=False, headers={"authorization": "Bearer dgp_stale"}) as stale,
            Admin(server, sign_in=False, headers={"authorization": f"Bearer {good}"}) as ci,
        ):
            server.wait_for(lambda: stale.http.get("/admin/users").status_code == 429)
            ci.ask("GET", "/admin/users")
            stale.ask("GET", "/admin/users", status=429)


@pytest.mark.parametrize("late", ["2100-01-01T00:00:00Z", "2100-01-01T00:00:00+10:00", "2100-01-01t00:00:00.5-01:30"])
def test_moments_have_offsets(admin: Admin, late: str) -> None:
    admin.ask("PUT", "/admin/maintenance", {"enabled": False})
    early = late.replace("2100", "2000")
    for since, until in (("since", "until"), ("from", "to")):
        assert entries(admin, **{since: early, until: late})
        assert entries(admin, **{since: late}) == []
        assert entries(admin, **{until: early}) == []
        rows = admin.http.get("/admin/audit/export", params={since: late, "format": "jsonl"}).text
        assert rows == ""
    unescaped = admin.http.get(f"/admin/audit?since={early}&until={late}").json()
    assert unescaped["entries"], "a plus that nobody escaped arrives as a space"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-01-01"}, "until"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"to": "2026-02-30T00:00:00Z"}, "to"),
        ({"since": "2026-01-01T00:00:00Z", "from": "2026-01-01T00:00:00Z"}, "from"),
        ({"outcome": "okay"}, "outcome"),
    ],
)
def test_what_is_no_filter_is_refused(admin: Admin, query: dict[str, str], field: str) -> None:
    for path in ("/admin/audit", "/admin/audit/export"):
        assert admin.ask("GET", path, status=400, params=query)["field"] == field


def test_exports(admin: Admin) -> None:
    for _ in range(5):
        admin.ask("PUT", "/admin/maintenance", {"enabled": False})
    text = admin.http.get("/admin/audit/export").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {"login", "maintenance_off"} <= {row["action"] for row in rows}
    lines = admin.http.get("/admin/audit/export", params={"format": "jsonl"}).text.splitlines()
    assert len(lines) > 5


def test_tampering_is_found(server: Server, admin: Admin) -> None:
    assert admin.ask("POST", "/admin/audit/verify") == {"intact": True}
    with pytest.raises(ClientError):
        server.client("AKNOBODY").list_buckets()
    server.wait_for(lambda: any(entry["outcome"] == "denied" for entry in entries(admin)))
    denied = b'"outcome":"denied"'
    path = next(p for p in sorted((server.root / "audit").glob("*/*.jsonl")) if denied in p.read_bytes())
    before = path.read_bytes()
    path.write_bytes(before.replace(denied, b'"outcome":"ok"    ', 1))
    found = admin.ask("POST", "/admin/audit/verify")
    assert found["intact"] is False
    path.write_bytes(before)
    assert admin.ask("POST", "/admin/audit/verify") == {"intact": True}


def test_the_last_lines_of_the_log(server: Server, admin: Admin) -> None:
    server.client().list_buckets()
    found = [admin.ask("GET", "/admin/logs", params={"q": "whoami" if n % 2 else "", "limit": 50}) for n in range(4)]
    assert any(page["entries"] for page in found)
    everything = str(found) + server.log.read_text()
    assert SECRET_KEY not in everything
    assert PASSWORD not in everything


def test_the_log_as_it_comes(tmp_path_factory: pytest.TempPathFactory) -> None:
    wanted = "list_me_in_the_log"
    with (
        Server(tmp_path_factory.mktemp("tail")) as server,
        Admin(server) as admin,
        Admin(server, sign_in=False) as other,
        admin.http.stream("GET", "/admin/logs/stream", params={"q": wanted}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith(": ")
        other.ask("GET", f"/{wanted}", status=404)
        events = []
        for line in lines:
            events.append(line)
            if line.startswith("data: "):
                break
        assert "event: log" in events
        assert wanted in events[-1]
        assert server.stop() == 0, "a stream that is read does not hold up the end"
