"""Several servers on one PostgreSQL are one control plane."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.support import postgres
from tests.support.admin import Admin, allow
from tests.support.server import Server

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
def test_what_one_server_is_told_the_other_knows(tmp_path: Path) -> None:
    with postgres.running() as url:
        environment = {"DGP_DATABASE_URL": url}
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        with (
            Server(tmp_path / "one", workers=2, environment=environment) as one,
            Server(tmp_path / "two", environment=environment) as two,
            Admin(one) as admin,
            Admin(two) as there,
        ):
            two.client().create_bucket(Bucket="box")
            user = admin.user("ana", allow("list", "box"))
            theirs = two.client(user["access_key_id"], user["secret_access_key"])

            def may_list() -> bool:
                try:
                    theirs.list_objects_v2(Bucket="box")
                except ClientError:
                    return False
                return True

            two.wait_for(may_list, 5)
            assert {found["name"] for found in there.ask("GET", "/admin/users")} == {"ana", "legacy-admin"}
            there.ask("PUT", f"/admin/users/{user['id']}", {"enabled": False})
            assert not may_list()
            with Admin(two, sign_in=False) as shared:
                shared.http.cookies.update(dict(admin.http.cookies))
                shared.ask("GET", "/admin/users")
            there.ask("PUT", "/admin/maintenance", {"enabled": True})
            one.wait_for(lambda: admin.ask("GET", "/admin/maintenance")["enabled"], 5)

            def refuses() -> bool:
                try:
                    one.client().create_bucket(Bucket="new")
                except ClientError as error:
                    return error.response["Error"]["Code"] == "SlowDown"
                return False

            one.wait_for(refuses, 5)
            there.ask("PUT", "/admin/maintenance", {"enabled": False})
        assert not (tmp_path / "one" / "deltaglider_config.db").exists()


def test_a_database_that_is_away_at_the_start(tmp_path: Path) -> None:
    server = Server(tmp_path, environment={"DGP_DATABASE_URL": "postgresql://dgp:hidden-word@127.0.0.1:1/dgp"})
    code, log = server.refused_start()
    assert code == 1
    assert "database" in log
    assert "hidden-word" not in log


_ACCESS = ("test_iam", "test_admin_sessions", "test_admin_audit", "test_declarative_iam")
_OF_A_FILE = (
    "test_iam.py::test_users_that_another_database_lacks_are_gone_at_once",
    "test_admin_sessions.py::test_the_bootstrap_password_is_changed",
)
"""They are about the file of the database."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_users_and_sessions_are_the_same_there(tmp_path: Path) -> None:
    postgres.require()
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}"]
    command += [str(here / f"{name}.py") for name in _ACCESS]
    command += [f"--deselect={here.relative_to(ROOT) / test}" for test in _OF_A_FILE]
    environment = {**os.environ, "DGP_TEST_DATABASE": "postgres"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=880, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
