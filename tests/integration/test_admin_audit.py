"""What the audit log holds of a real server, and how it is searched."""

import csv
import io
from collections.abc import Iterator
from typing import Any

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
    [change] = entries(admin, action="apply_config_section:advanced")
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
