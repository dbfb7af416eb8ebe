"""Commands that call a running server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from deltaglider_proxy.access.admission.chain import Verdict
from deltaglider_proxy.cli.main import Decision
from deltaglider_proxy.crypto.passwords import hash_password
from tests.support.admin import Admin
from tests.support.server import PASSWORD, PASSWORD_HASH, SECRET_KEY, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # The cookie is Secure, as it is by default, and the default server is http://127.0.0.1.
    environment = {"DGP_SECURE_COOKIES": "true"}
    with Server(tmp_path_factory.mktemp("commands"), environment=environment) as running:
        yield running


def command(
    cwd: Path, *arguments: str, environment: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DGP_")}
    return subprocess.run(
        [str(Path(sys.executable).parent / "deltaglider_proxy"), *arguments],
        cwd=cwd,
        env={**clean, **(environment or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SIGNED = {"DGP_BOOTSTRAP_PASSWORD": PASSWORD}


def session_cookie(admin: Admin) -> str:
    """To be sent by hand: it is Secure, and the server speaks HTTP."""
    answer = admin.http.post("/admin/login", json={"password": PASSWORD})
    return answer.headers["set-cookie"].partition(";")[0]


def test_apply(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "new.yaml"
    file.write_text(
        f"storage: {{filesystem: {server.root}/data}}\n"
        f"advanced: {{max_object_size: ${{env:SIZE}}, cache_dir: {server.root}/cache}}\n"
    )
    arguments = ("config", "apply", str(file), "--server", server.endpoint)
    done = command(tmp_path, *arguments, environment={**SIGNED, "SIZE": "12345"})
    assert done.returncode == 0, done.stderr
    assert "applied: yes" in done.stderr
    assert "max_object_size: 12345" in server.config.read_text()
    assert SECRET_KEY in server.config.read_text(), "secrets that a file leaves out stay"
    for environment, code in (({}, 7), ({"DGP_BOOTSTRAP_PASSWORD": "wrong"}, 7)):
        refused = command(tmp_path, *arguments, environment={**environment, "SIZE": "1"})
        assert refused.returncode == code
        assert "wrong" not in refused.stdout + refused.stderr
    assert command(tmp_path, *arguments, environment=SIGNED).returncode == 4
    before = server.config.read_text()
    for wrong, said in (("advanced: {max_object_size: many}", "max_object_size"), ("a: [", "line"), ("b: 1", "b")):
        file.write_text(wrong + "\n")
        unread = command(tmp_path, *arguments[:3], "--server", "http://127.0.0.1:1", environment=SIGNED)
        assert (unread.returncode, said in unread.stderr) == (4, True), "it is not even sent"
    file.write_text("storage: {buckets: {abc: {backend: eu}}}\n")
    refused = command(tmp_path, *arguments, "--json", environment=SIGNED)
    report = json.loads(refused.stdout)
    assert refused.returncode == report["exit"] == 6
    assert (report["ok"], report["applied"], "eu" in report["errors"][0]) == (False, False, True)
    assert server.config.read_text() == before
    file.write_text("  \n")
    assert command(tmp_path, *arguments, environment=SIGNED).returncode == 6
    assert command(tmp_path, "config", "apply", "missing.yaml", environment=SIGNED).returncode == 3
    away = command(tmp_path, *arguments[:3], "--server", "http://127.0.0.1:1", environment=SIGNED)
    assert away.returncode in (5, 6)


def test_trace(server: Server, tmp_path: Path) -> None:
    arguments = ("admission", "trace", "--path", "/box/key", "--source-ip", "10.0.0.1", "--server", server.endpoint)
    done = command(tmp_path, *arguments, environment=SIGNED)
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["resolved"]["bucket"] == "box"
    assert found["admission"] == {"decision": "continue"}
    assert command(tmp_path, *arguments, "--expect", "continue", environment=SIGNED).returncode == 0
    assert command(tmp_path, *arguments, "--expect", "deny", environment=SIGNED).returncode == 6
    assert command(tmp_path, *arguments, "--expect", "maybe", environment=SIGNED).returncode == 2
    assert command(tmp_path, *arguments, "--source-ip", "x", environment=SIGNED).returncode == 6


def test_the_decisions_that_can_be_expected_are_those_of_the_chain() -> None:
    assert {str(decision) for decision in Decision} == {str(verdict) for verdict in Verdict}


def test_a_token_in_place_of_the_password(server: Server, tmp_path: Path) -> None:
    with Admin(server, sign_in=False) as admin:
        admin.http.headers["cookie"] = session_cookie(admin)

        def sessions() -> int:
            return len(admin.ask("GET", "/admin/sessions")["sessions"])

        tokens = {
            scope: admin.ask("POST", "/admin/tokens", {"name": f"cli-{scope}", "scopes": [scope]}, 201)["token"]
            for scope in ("config", "admin")
        }
        before = sessions()
        where = ("--server", server.endpoint)
        trace = ("admission", "trace", *where)
        config = {"DGP_TOKEN": tokens["config"], "DGP_BOOTSTRAP_PASSWORD": "is not looked at"}
        assert command(tmp_path, *trace, environment=config).returncode == 0
        file = tmp_path / "new.yaml"
        file.write_text(
            f"storage: {{filesystem: {server.root}/data}}\n"
            f"advanced: {{max_object_size: 54321, cache_dir: {server.root}/cache}}\n"
        )
        done = command(tmp_path, "config", "apply", str(file), *where, "--json", environment=config)
        assert (done.returncode, json.loads(done.stdout)["applied"]) == (0, True), done.stderr
        assert "max_object_size: 54321" in server.config.read_text()
        lacks = command(tmp_path, "backup", "create", *where, environment=config)
        assert (lacks.returncode, "scope" in lacks.stderr) == (6, True)
        everything = {"DGP_TOKEN": tokens["admin"]}
        assert command(tmp_path, "backup", "create", *where, "--out", "all.zip", environment=everything).returncode == 0
        tried = command(tmp_path, "backup", "restore", "all.zip", *where, "--dry-run", environment=everything)
        assert tried.returncode == 0, tried.stderr
        assert sessions() == before, "nobody signs in or out"
    for wrong in ("dgp_wrong", "dgp_wröng"):
        refused = command(tmp_path, *trace, environment={"DGP_TOKEN": wrong})
        assert (refused.returncode, "DGP_TOKEN" in refused.stderr) == (7, True)
        assert wrong not in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("password", "code"), [("a" * 11, 1), ("ab" * 6, 0), ("é" * 37, 1), ("passwordpassword", 1), ("", 1)]
)
def test_set_bootstrap_password(tmp_path: Path, password: str, code: int) -> None:
    kept = tmp_path / ".deltaglider_bootstrap_hash"
    kept.write_text("old")
    kept.chmod(0o644)
    done = command(tmp_path, "--set-bootstrap-password", stdin=password + "\n")
    assert done.returncode == code, done.stderr
    if code == 0:
        assert kept.read_text().startswith("$2b$12$")
        assert kept.stat().st_mode & 0o777 == 0o600
        assert "DGP_BOOTSTRAP_PASSWORD_HASH=" in done.stderr
    else:
        assert kept.read_text() == "old"
    if password:
        assert password not in done.stdout + done.stderr


def test_a_password_that_was_set_signs_in(tmp_path: Path) -> None:
    assert command(tmp_path, "--set-bootstrap-password", stdin=PASSWORD + "\n").returncode == 0
    with Server(tmp_path, environment={"DGP_BOOTSTRAP_PASSWORD_HASH": ""}) as server, Admin(server) as admin:
        assert admin.ask("GET", "/admin/session")["valid"]


OTHER = "another-password-of-ours"


@pytest.mark.parametrize("running", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_forgotten_password_is_replaced_and_users_stay(tmp_path: Path, running: bool) -> None:
    assert command(tmp_path, "--set-bootstrap-password", stdin=PASSWORD + "\n").returncode == 0
    server = Server(tmp_path, environment={"DGP_BOOTSTRAP_PASSWORD_HASH": ""})
    with server, Admin(server) as admin:
        admin.ask("POST", "/admin/users", {"name": "alice"}, status=201)
        if not running:
            server.stop()
        done = command(tmp_path, "--set-bootstrap-password", stdin=OTHER + "\n")
        assert (done.returncode, "warning" in done.stderr) == (0, False), done.stderr
        if running:
            server.stop()
        server.start()
        with httpx2.Client(base_url=server.endpoint) as http:
            assert http.post("/_/api/admin/login", json={"password": PASSWORD}).status_code == 401
            assert http.post("/_/api/admin/login", json={"password": OTHER}).status_code == 200
            assert "alice" in [user["name"] for user in http.get("/_/api/admin/users").json()]


def test_a_password_is_not_set_where_the_hash_does_not_open_the_database(tmp_path: Path) -> None:
    with Server(tmp_path):
        pass
    database = (tmp_path / "deltaglider_config.db").read_bytes()
    for environment in ({}, {"DGP_BOOTSTRAP_PASSWORD_HASH": hash_password(OTHER)}):
        done = command(tmp_path, "--set-bootstrap-password", stdin=OTHER + "\n", environment=environment)
        assert (done.returncode, "nothing was changed" in done.stderr) == (1, True), done.stderr
    assert (tmp_path / "deltaglider_config.db").read_bytes() == database
    assert not (tmp_path / ".deltaglider_bootstrap_hash").exists()


def test_backups(server: Server, tmp_path: Path) -> None:
    where = ("--server", server.endpoint)
    secret = {**SIGNED, "DGP_BACKUP_PASSPHRASE": "several words of a phrase"}
    made = command(tmp_path, "backup", "create", *where, environment=SIGNED)
    assert made.returncode == 0, made.stderr
    [archive] = tmp_path.glob("dgp-backup-v*.zip")
    assert archive.stat().st_mode & 0o777 == 0o600
    made = command(tmp_path, "backup", "create", *where, "--encrypt", "--out", "sealed", environment=secret)
    assert made.returncode == 0, made.stderr
    sealed = (tmp_path / "sealed").read_bytes()
    assert sealed.startswith(b"age-encryption.org/v1")
    assert SECRET_KEY.encode() not in sealed
    assert command(tmp_path, "backup", "create", *where, "--out", "sealed", environment=SIGNED).returncode == 3
    short = command(tmp_path, "backup", "create", *where, "--encrypt", environment=SIGNED)
    assert (short.returncode, "DGP_BACKUP_PASSPHRASE" in short.stderr) == (2, True)
    assert command(tmp_path, "backup", "create", *where).returncode == 7

    for file in (archive.name, "sealed"):
        tried = command(tmp_path, "backup", "restore", file, *where, "--dry-run", "--json", environment=secret)
        assert tried.returncode == 0, tried.stderr
        assert json.loads(tried.stdout)["dry_run"] is True
    done = command(tmp_path, "backup", "restore", "sealed", *where, environment=secret)
    assert (done.returncode, "restored:" in done.stderr) == (0, True), done.stderr
    wrong = {**secret, "DGP_BACKUP_PASSPHRASE": "another phrase of words"}
    assert command(tmp_path, "backup", "restore", "sealed", *where, environment=wrong).returncode == 4
    assert command(tmp_path, "backup", "restore", "no-file", *where, environment=SIGNED).returncode == 3
    assert command(tmp_path, "backup", "restore", archive.name, "--mode", "half", environment=SIGNED).returncode == 2
    archive.write_bytes(archive.read_bytes()[:-30])
    refused = command(tmp_path, "backup", "restore", archive.name, *where, environment=SIGNED)
    assert (refused.returncode, "nothing was restored" in refused.stderr) == (6, True)


def test_a_snapshot_while_the_server_works_opens_elsewhere(server: Server, tmp_path: Path) -> None:
    with Admin(server, sign_in=False) as admin:
        admin.http.headers["cookie"] = session_cookie(admin)
        name = f"snapshot-{os.urandom(4).hex()}"
        admin.ask("POST", "/admin/groups", {"name": name}, 201)
    arguments = ("backup", "snapshot", str(tmp_path / "copy.db"), "--config", str(server.config))
    environment = {"DGP_BOOTSTRAP_PASSWORD_HASH": PASSWORD_HASH}
    done = command(server.root, *arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    assert command(server.root, *arguments, environment=environment).returncode == 3
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "copy.db").rename(elsewhere / "deltaglider_config.db")
    with Server(elsewhere) as other, Admin(other) as theirs:
        assert name in [group["name"] for group in theirs.ask("GET", "/admin/groups")]
