"""Signing in, sessions, tokens and the bootstrap password, on a real server."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.integration.expect import refused
from tests.support.admin import Admin, allow
from tests.support.server import ACCESS_KEY, PASSWORD, SECRET_KEY, Server


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("sessions"), workers=request.param) as running:
        yield running


@pytest.fixture
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as signed_in:
        yield signed_in


@pytest.fixture
def stranger(server: Server) -> Iterator[Admin]:
    with Admin(server, sign_in=False) as somebody:
        yield somebody


def test_nothing_without_signing_in(stranger: Admin) -> None:
    for method, path in (
        ("GET", "/admin/users"),
        ("GET", "/admin/config/export"),
        ("GET", "/admin/audit"),
        ("GET", "/admin/session"),
        ("GET", "/openapi.json"),
        ("POST", "/admin/users"),
    ):
        answer = stranger.ask(method, path, status=401)
        assert answer["code"] == answer["error"] == "unauthorized"
        assert answer["request_id"]
    assert "version" not in stranger.ask("GET", "/whoami")
    assert stranger.ask("GET", "/admin/nothing", status=404)["code"] == "no_such_route"
    assert stranger.ask("DELETE", "/whoami", status=405)["code"] == "method_not_allowed"


def test_a_session(server: Server, stranger: Admin) -> None:
    assert stranger.ask("POST", "/admin/login", {"password": "wrong"}, 401)["ok"] is False
    answer = stranger.http.post("/admin/login", json={"password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("dgp_session=", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=14400"))
    assert answer.headers["cache-control"] == "no-store"
    me = stranger.ask("GET", "/whoami")
    assert (me["user"]["name"], me["user"]["is_admin"]) == ("admin", True)
    assert me["version"]
    assert stranger.ask("GET", "/admin/session") == {"valid": True, "admin_gui": True}
    if me["mode"] == "bootstrap":
        given = stranger.ask("GET", "/admin/session/s3-credentials")
        assert (given["access_key_id"], given["secret_access_key"]) == (ACCESS_KEY, SECRET_KEY)
    stranger.ask("POST", "/admin/logout")
    assert stranger.ask("GET", "/admin/session", status=401)


def test_the_cookie_of_https_is_this_hosts_alone(tmp_path: Path) -> None:
    with Server(tmp_path, environment={"DGP_SECURE_COOKIES": "true"}) as server:
        answer = httpx2.post(
            f"{server.endpoint}/_/api/admin/login", json={"password": PASSWORD}, trust_env=False, timeout=30
        )
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-dgp_session=")
        assert "Secure" in cookie
        value = cookie.partition("=")[2].partition(";")[0]
        for name, status in (("__Host-dgp_session", 200), ("dgp_session", 401)):
            got = httpx2.get(
                f"{server.endpoint}/_/api/admin/session", headers={"cookie": f"{name}={value}"}, trust_env=False
            )
            assert got.status_code == status


def test_another_page_cannot_act_with_the_cookie(admin: Admin) -> None:
    body = {"name": "planted"}
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.test"}):
        assert admin.ask("POST", "/admin/users", body, 403, headers=headers)["code"] == "cross_site_request"
    host = admin.server.endpoint
    made = admin.ask("POST", "/admin/users", body, 201, headers={"origin": host, "sec-fetch-site": "same-origin"})
    admin.ask("DELETE", f"/admin/users/{made['id']}?allow_open=true", status=204)


def test_rights_are_those_of_now(server: Server, admin: Admin) -> None:
    boss = admin.user("boss", allow("*", "*"))
    plain = admin.user("plain", allow("read", "*"))
    with Admin(server, sign_in=False) as theirs:
        pair = {name: boss[name] for name in ("access_key_id", "secret_access_key")}
        other = {name: plain[name] for name in ("access_key_id", "secret_access_key")}
        assert theirs.ask("POST", "/admin/login-as", other, 403)["code"] == "admin_required"
        assert theirs.ask("POST", "/admin/login-as", pair | {"secret_access_key": "x"}, 403)
        theirs.ask("POST", "/admin/login-as", pair)
        assert theirs.ask("GET", "/whoami")["user"]["name"] == "boss"
        theirs.ask("GET", "/admin/users")
        admin.ask("PUT", f"/admin/users/{boss['id']}", {"permissions": [allow("read", "*")]})
        assert theirs.ask("GET", "/admin/users", status=403)["code"] == "admin_required"
        admin.ask("PUT", f"/admin/users/{boss['id']}", {"permissions": [allow("*", "*")]})
        theirs.ask("GET", "/admin/users")
        admin.ask("PUT", f"/admin/users/{boss['id']}", {"enabled": False})
        theirs.ask("GET", "/admin/users", status=401)
    with Admin(server, sign_in=False) as browser:
        browser.ask("POST", "/admin/session/browser-connect", other | {"endpoint": "http://h"})
        assert browser.ask("GET", "/admin/session")["admin_gui"] is False
        assert browser.ask("GET", "/admin/users", status=403)["code"] == "admin_session_required"
        assert browser.ask("GET", "/admin/session/s3-credentials")["access_key_id"] == plain["access_key_id"]
        assert browser.ask("POST", "/iam/identity", other)["user"]["name"] == "plain"
        admin.ask("POST", f"/admin/users/{plain['id']}/rotate-keys")
        browser.ask("GET", "/admin/session", status=401)
    for user in (boss, plain):
        admin.ask("DELETE", f"/admin/users/{user['id']}?allow_open=true", status=204)


def test_sessions_are_listed_and_ended(server: Server, admin: Admin) -> None:
    with Admin(server) as other:
        listed = admin.ask("GET", "/admin/sessions")["sessions"]
        mine = [session for session in listed if session["current"]]
        assert len(mine) == 1
        assert admin.ask("DELETE", f"/admin/sessions/{mine[0]['id']}", status=400)["code"] == "own_session"
        for session in listed:
            if not session["current"]:
                admin.ask("DELETE", f"/admin/sessions/{session['id']}")
        other.ask("GET", "/admin/session", status=401)
        admin.ask("DELETE", "/admin/sessions/nothing", status=404)
    answer = admin.ask("POST", "/admin/sessions/revoke-user", {"identity": "bootstrap"})
    assert answer["revoked_local"] >= 1
    admin.ask("GET", "/admin/session", status=401)


def test_tokens(server: Server, admin: Admin) -> None:
    made = admin.ask("POST", "/admin/tokens", {"name": "ci", "scopes": ["config", "read"]}, 201)
    assert admin.ask("POST", "/admin/tokens", {"name": "ci", "scopes": ["fly"]}, 400)["field"] == "scopes"
    with Admin(server, sign_in=False, headers={"authorization": f"Bearer {made['token']}"}) as program:
        program.ask("GET", "/admin/config/export")
        program.ask("GET", "/admin/users")
        program.ask("PUT", "/admin/config/section/advanced", {})
        refusal = program.ask("PUT", "/admin/config/section/access", {"iam_mode": "declarative"}, 403)
        assert refusal["code"] == "scope_required"
        assert program.ask("POST", "/admin/users", {"name": "x"}, 403)["code"] == "scope_required"
        assert program.ask("GET", "/admin/audit", status=403)["code"] == "scope_required"
        assert program.ask("POST", "/admin/tokens", {"name": "more", "scopes": ["admin"]}, 403)
        program.ask("GET", "/admin/session/s3-credentials", status=400)
        [listed] = admin.ask("GET", "/admin/tokens")
        assert "token" not in listed
        assert listed["last_used"]
        admin.ask("DELETE", f"/admin/tokens/{made['id']}", status=204)
        program.ask("GET", "/admin/users", status=401)


def test_what_ends_the_access_of_a_user_ends_their_tokens(server: Server, admin: Admin) -> None:
    for end in ("rotate", "revoke"):
        user = admin.user(f"owner-{end}", allow("*", "*"))
        pair = {name: user[name] for name in ("access_key_id", "secret_access_key")}
        with Admin(server, sign_in=False) as signed_in:
            signed_in.ask("POST", "/admin/login-as", pair)
            token = signed_in.ask("POST", "/admin/tokens", {"name": end, "scopes": ["admin"]}, 201)["token"]
        with Admin(server, sign_in=False, headers={"authorization": f"Bearer {token}"}) as program:
            program.ask("GET", "/admin/users")
            if end == "rotate":
                admin.ask("POST", f"/admin/users/{user['id']}/rotate-keys")
            else:
                admin.ask("POST", "/admin/sessions/revoke-user", {"identity": user["access_key_id"]})
            program.ask("GET", "/admin/users", status=401)


@pytest.mark.slow
def test_guessing_ends_in_a_lockout(tmp_path: Path) -> None:
    limits = {"DGP_RATE_LIMIT_MAX_ATTEMPTS": "100", "DGP_RATE_LIMIT_ACCOUNT_MAX_ATTEMPTS": "5"}
    with Server(tmp_path, environment=limits, workers=2) as server, Admin(server, sign_in=False) as guesser:
        for _ in range(5):
            guesser.ask("POST", "/admin/login", {"password": "guess"}, 401)
        answer = guesser.http.post("/admin/login", json={"password": PASSWORD})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0


def test_an_owner_gets_in_while_strangers_guess(tmp_path: Path) -> None:
    environment = {"DGP_RATE_LIMIT_ACCOUNT_MAX_ATTEMPTS": "3", "DGP_TRUST_PROXY_HEADERS": "true"}
    owner, stranger = {"x-forwarded-for": "192.0.2.1"}, {"x-forwarded-for": "192.0.2.2"}
    with Server(tmp_path, environment=environment, workers=2) as server:
        with Admin(server, sign_in=False, headers=owner) as admin:
            admin.ask("POST", "/admin/login", {"password": PASSWORD})
        with Admin(server, sign_in=False, headers=stranger) as guesser:
            for _ in range(3):
                guesser.ask("POST", "/admin/login", {"password": "guess"}, 401)
            guesser.ask("POST", "/admin/login", {"password": PASSWORD}, 429)
        with Admin(server, sign_in=False, headers=owner) as admin:
            admin.ask("POST", "/admin/login", {"password": PASSWORD})


def test_failures_of_addresses_are_counted_with_those_of_s3(tmp_path: Path) -> None:
    limits = {"DGP_RATE_LIMIT_MAX_ATTEMPTS": "4", "DGP_RATE_LIMIT_ACCOUNT_MAX_ATTEMPTS": "0"}
    with Server(tmp_path, environment=limits) as server, Admin(server, sign_in=False) as guesser:
        for _ in range(2):
            guesser.ask("POST", "/admin/login", {"password": "guess"}, 401)
            with refused("InvalidAccessKeyId", 403):
                server.client("AKNOBODY").list_buckets()
        guesser.ask("POST", "/admin/login", {"password": PASSWORD}, 429)
        with refused("SlowDown", 503):
            server.client().list_buckets()


def test_the_bootstrap_password_is_changed(tmp_path: Path) -> None:
    """Where it lies in a file; the database is re-keyed, all its sessions end, and a restart finds it."""
    with Server(tmp_path, workers=2, environment={"DGP_BOOTSTRAP_PASSWORD_HASH": ""}) as server:
        server.stop()
        from tests.support.server import PASSWORD_HASH

        (tmp_path / ".deltaglider_bootstrap_hash").write_text(PASSWORD_HASH)
        (tmp_path / "deltaglider_config.db").unlink()
        server.start()
        new = "another password of the tests"
        with Admin(server) as admin, Admin(server) as other:
            user = admin.user("stays", allow("*", "*"))
            token = admin.ask("POST", "/admin/tokens", {"name": "automation", "scopes": ["admin"]}, 201)["token"]
            bearer = {"authorization": f"Bearer {token}"}
            body = {"current_password": "wrong", "new_password": new}
            admin.ask("PUT", "/admin/password", body, 403)
            body["current_password"] = PASSWORD
            assert admin.ask("PUT", "/admin/password", body | {"new_password": "short"}, 400)["code"] == "weak_password"
            admin.ask("PUT", "/admin/password", body)
            for ended in (admin, other):
                ended.ask("GET", "/admin/session", status=401)
            assert httpx2.get(f"{server.endpoint}/_/api/admin/users", headers=bearer).status_code == 401
            admin.ask("POST", "/admin/login", {"password": PASSWORD}, 401)
            for _ in range(4):
                admin.ask("POST", "/admin/login", {"password": new})
                admin.ask("GET", "/admin/users")
            again = admin.user("after", allow("read", "*"))
            former = server.worker_ids()
            os.kill(min(former), signal.SIGKILL)
            server.wait_for(lambda: len(server.worker_ids() - former) == 1, 30)
            for _ in range(8):
                server.client(user["access_key_id"], user["secret_access_key"]).list_buckets()
        server.restart()
        with Admin(server, sign_in=False) as admin:
            admin.ask("POST", "/admin/login", {"password": new})
            assert {u["name"] for u in admin.ask("GET", "/admin/users")} == {"legacy-admin", "stays", "after"}
        server.client(user["access_key_id"], user["secret_access_key"]).list_buckets()
        server.client(again["access_key_id"], again["secret_access_key"]).list_buckets()


def test_a_configured_hash_is_not_changed_behind_its_back(admin: Admin) -> None:
    body = {"current_password": PASSWORD, "new_password": "another password of the tests"}
    assert admin.ask("PUT", "/admin/password", body, 409)["code"] == "hash_is_configured"


def test_another_hash_locks_everything(tmp_path: Path) -> None:
    other = "$2b$04$abcdefghijklmnopqrstuuTnQHg9s5mCzBbFQWFmo4Gm0EGSyQ6Vi"
    with Server(tmp_path) as server:
        server.stop()
        right = server.environment
        server.environment = {"DGP_BOOTSTRAP_PASSWORD_HASH": other}
        server.start()
        with refused("ServiceUnavailable", 503):
            server.client().list_buckets()
        with Admin(server, sign_in=False) as admin:
            me = admin.ask("GET", "/whoami")
            assert (me["lock_state"], me["config_db_mismatch"]) == ("locked", True)
            assert admin.ask("POST", "/admin/login", {"password": PASSWORD}, 503)["code"] == "locked"
            assert admin.http.get(f"{server.endpoint}/_/ready").status_code == 503
            from tests.support.server import PASSWORD_HASH

            assert admin.ask("POST", "/admin/recover-db", {"candidate_password": other}, 401)["success"] is False
            assert admin.ask("POST", "/admin/recover-db", {"candidate_password": PASSWORD}, 400)
            found = admin.ask("POST", "/admin/recover-db", {"candidate_password": PASSWORD_HASH})
            assert found["correct_hash"] == PASSWORD_HASH
        server.stop()
        server.environment = right
        server.start()
        server.client().list_buckets()


def test_a_body_that_is_too_large_is_refused_as_that(stranger: Admin) -> None:
    assert stranger.ask("POST", "/admin/login", {"password": "x" * (8 << 20)}, 413)["code"] == "too_large"


@pytest.mark.slow
def test_a_body_that_does_not_come_is_not_waited_for(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        lines = ("POST /_/api/admin/login HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 50")
        connection.sendall("\r\n".join((*lines, "", "{")).encode())
        assert connection.recv(4096).split(b" ")[1] == b"408"
