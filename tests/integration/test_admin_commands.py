"""Commands that call a running server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.admin import Admin
from tests.support.server import PASSWORD, SECRET_KEY, Server


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
    file.write_text("advanced: {max_object_size: many}\n")
    refused = command(tmp_path, *arguments, environment=SIGNED)
    assert refused.returncode == 6
    assert "max_object_size" in refused.stderr
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
    assert command(tmp_path, *arguments, "--source-ip", "x", environment=SIGNED).returncode == 6


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
