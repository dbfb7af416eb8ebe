"""The configuration of a running server is looked at, tried, changed and taken back, on every worker, under load."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import httpx2
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client

from tests.integration.expect import refused
from tests.support.admin import Admin, allow
from tests.support.server import PASSWORD_HASH, SECRET_KEY, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("config"), workers=2) as running:
        running.client().create_bucket(Bucket="box")
        yield running


@pytest.fixture
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as signed_in:
        yield signed_in


def stranger(server: Server) -> S3Client:
    config = Config(signature_version=UNSIGNED, retries={"max_attempts": 0})
    client: S3Client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", config=config)
    return client


def everywhere(check: Callable[[], None]) -> None:
    """On all workers, as far as several new connections reach them."""
    for _ in range(6):
        check()


def test_nothing_secret_is_shown(admin: Admin) -> None:
    for path in ("/admin/config/export", "/admin/config", "/admin/config/section/access", "/admin/backends"):
        text = admin.http.get(path).text
        assert SECRET_KEY not in text
        assert PASSWORD_HASH not in text
    exported = admin.http.get("/admin/config/export")
    assert exported.headers["content-type"].startswith("application/yaml")
    assert "access:" not in exported.text


def test_an_export_applied_changes_nothing(server: Server, admin: Admin) -> None:
    before = admin.http.get("/admin/config/export")
    answer = admin.ask("POST", "/admin/config/apply", {"yaml": before.text})
    assert "diff" not in answer
    after = admin.http.get("/admin/config/export")
    assert (after.text, after.headers["etag"]) == (before.text, before.headers["etag"])
    server.client().list_buckets()


def test_a_patch_holds_at_once_on_every_worker(server: Server, admin: Admin) -> None:
    s3 = server.client()
    answer = admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": 10})
    assert answer["diff"] == {"advanced": {"max_object_size": {"before": 1 << 30, "after": 10}}}
    assert answer["persisted"] is True

    def too_large() -> None:
        with refused("EntityTooLarge", 400):
            server.client().put_object(Bucket="box", Key="k", Body=os.urandom(11))

    everywhere(too_large)
    admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": 1 << 30})
    s3.put_object(Bucket="box", Key="k", Body=os.urandom(11))
    text = server.config.read_text()
    assert SECRET_KEY in text
    assert "max_object_size: 1073741824" in text
    assert server.config.stat().st_mode & 0o777 == 0o600


def test_public_prefixes_come_and_go(server: Server, admin: Admin) -> None:
    server.client().put_object(Bucket="box", Key="www/a", Body=b"page")
    anyone = stranger(server)
    with refused("AccessDenied", 403):
        anyone.get_object(Bucket="box", Key="www/a")
    admin.ask("PUT", "/admin/config/section/storage", {"buckets": {"BOX": {"public_prefixes": ["www/"]}}})
    everywhere(lambda: assert_body(stranger(server), "www/a", b"page"))
    admin.ask("PUT", "/admin/config/section/storage", {"buckets": {"box": None}})

    def closed() -> None:
        with refused("AccessDenied", 403):
            stranger(server).get_object(Bucket="box", Key="www/a")

    everywhere(closed)


def assert_body(s3: S3Client, key: str, body: bytes) -> None:
    assert s3.get_object(Bucket="box", Key=key)["Body"].read() == body


def test_admission(server: Server, admin: Admin) -> None:
    s3 = server.client()
    s3.put_object(Bucket="box", Key="shut/a", Body=b"1")
    blocks = [
        {"name": "no-shut", "match": {"path_glob": "shut/**"}, "action": "deny"},
        {
            "name": "teapot",
            "match": {"method": ["DELETE"], "bucket": "box"},
            "action": {"type": "reject", "status": 418, "message": "short and stout"},
        },
    ]
    admin.ask("PUT", "/admin/config/section/admission", {"blocks": blocks})
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket="box", Key="shut/a")
    assert "no-shut" in caught.value.response["Error"]["Message"]
    with pytest.raises(ClientError) as caught:
        s3.delete_object(Bucket="box", Key="k")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 418
    admin.ask("POST", "/admin/config/trace", {"method": "get", "path": "/BOX/shut/x"}, 400)
    trace = admin.ask("POST", "/admin/config/trace", {"method": "get", "path": "/box/shut/%78", "query": "?x=1"})
    assert trace["resolved"]["key"] == "shut/x"
    assert trace["admission"] == {"decision": "deny", "matched": "no-shut"}
    assert admin.ask("GET", "/admin/config/trace")["admission"] == {"decision": "continue"}
    attempts: list[Callable[[], object]] = [
        lambda: s3.copy_object(Bucket="box", Key="out", CopySource="box/shut/a"),
        lambda: s3.copy_object(Bucket="box", Key="shut/in", CopySource="box/k"),
    ]
    for attempt in attempts:
        with refused("AccessDenied", 403):
            attempt()
    kept = s3.delete_objects(Bucket="box", Delete={"Objects": [{"Key": "shut/a"}]})
    assert [error["Code"] for error in kept["Errors"]] == ["AccessDenied"]
    form = s3.generate_presigned_post("box", "shut/${filename}")
    answer = admin.http.post(form["url"], data=form["fields"], files={"file": ("x", b"1")})
    assert answer.status_code == 403
    assert "no-shut" in answer.text
    bad = [{"name": "x", "match": {"path_glob": "[a"}, "action": "deny"}]
    assert admin.ask("PUT", "/admin/config/section/admission", {"blocks": bad}, 400)
    with pytest.raises(ClientError):
        s3.get_object(Bucket="box", Key="shut/a")
    admin.ask("PUT", "/admin/config/section/admission", {"blocks": None})
    assert_body(s3, "shut/a", b"1")


_OPEN_DOOR = """\
  filesystem: {root}/data
  buckets:
    house: {{public_prefixes: [open/]}}
"""


def test_a_worker_that_is_replaced_begins_with_what_holds(tmp_path: Path) -> None:
    with Server(tmp_path, storage=_OPEN_DOOR) as server, Admin(server) as admin:
        s3 = server.client()
        s3.put_object(Bucket="house", Key="open/a", Body=b"x")
        assert admin.http.get(f"{server.endpoint}/house/open/a").status_code == 200
        admin.ask("PUT", "/admin/config/section/storage", {"buckets": {"house": {"public_prefixes": []}}})
        for worker in server.worker_ids():
            os.kill(worker, signal.SIGKILL)
        seen: list[int] = []

        def is_back() -> bool:
            with suppress(httpx2.TransportError), httpx2.Client(timeout=2, trust_env=False) as fresh:
                seen.append(fresh.get(f"{server.endpoint}/house/open/a").status_code)
            return len(seen) >= 50

        server.wait_for(is_back, 60)
        assert set(seen) == {403}


def test_a_backend_that_refuses_connections_is_not_taken(admin: Admin) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        body = {"name": "away", "type": "s3", "endpoint": endpoint, "allow_local": True, "region": "us-east-1"}
        keys = {"access_key_id": "a" * 20, "secret_access_key": "s" * 40}
        answer = admin.ask("POST", "/admin/backends", body | keys, 422)
    assert "unreachable" in str(answer)
    assert "away" not in {found["name"] for found in admin.ask("GET", "/admin/backends")["backends"]}


def test_another_backend_and_an_alias(server: Server, admin: Admin) -> None:
    s3 = server.client()
    body = {"name": "second", "type": "filesystem", "path": str(server.root / "second")}
    admin.ask("POST", "/admin/backends", body, 201)
    assert admin.ask("POST", "/admin/backends", body, 409)
    assert {found["name"] for found in admin.ask("GET", "/admin/backends")["backends"]} == {"default", "second"}
    assert admin.ask("POST", "/admin/backends/second/probe")["status"] == "healthy"
    admin.ask("POST", "/admin/backends/none/probe", status=404)
    buckets = {"elsewhere": {"backend": "second"}, "alias": {"alias": "box"}}
    admin.ask("PUT", "/admin/config/section/storage", {"buckets": buckets})

    def put() -> None:
        s3.put_object(Bucket="elsewhere", Key=os.urandom(4).hex(), Body=b"x")

    everywhere(put)
    assert (server.root / "second" / "elsewhere").is_dir()
    assert s3.list_objects_v2(Bucket="alias")["KeyCount"] == s3.list_objects_v2(Bucket="box")["KeyCount"]
    assert admin.ask("DELETE", "/admin/backends/second", status=409)["code"] == "in_use"
    assert admin.ask("DELETE", "/admin/backends/default", status=409)["code"] == "in_use"
    admin.ask("PUT", "/admin/config/section/storage", {"buckets": {"elsewhere": None, "alias": None}})
    admin.ask("DELETE", "/admin/backends/second")
    s3.list_objects_v2(Bucket="box")


def test_what_cannot_hold_changes_nothing(server: Server, admin: Admin) -> None:
    before = admin.http.get("/admin/config/export").headers["etag"]
    for text, status, code in (
        ("", 400, "empty_document"),
        ("a: [", 400, "invalid_configuration"),
        ("advanced: {max_objct_size: 1}", 400, "invalid_configuration"),
        ("advanced: {max_object_size: many}", 400, "invalid_configuration"),
        ("storage: {filesystem: ${env:DGP_NOT_SET_AT_ALL}}", 400, "invalid_configuration"),
        (f"advanced: {{bootstrap_password_hash: '{PASSWORD_HASH[:-1]}x'}}", 403, "bootstrap_hash"),
        ("storage: {filesystem: /proc/nothing/here}", 422, "cannot_take_effect"),
        (f"storage: {{filesystem: {server.root}}}", 422, "cannot_take_effect"),
        (f"storage: {{filesystem: {server.root}/audit}}", 422, "cannot_take_effect"),
        (f"storage: {{filesystem: {server.root}/audit/local/below}}", 422, "cannot_take_effect"),
    ):
        answer = admin.ask("POST", "/admin/config/apply", {"yaml": text}, status)
        assert answer["code"] == code, (text, answer)
        assert SECRET_KEY not in str(answer)
    assert (
        "max_object_size"
        in admin.ask("POST", "/admin/config/apply", {"yaml": "advanced: {max_objct_size: 1}"}, 400)["detail"]
    )
    admin.ask("PUT", "/admin/config/section/nothing", {}, 404)
    admin.ask("PUT", "/admin/config/section/advanced", [], 400)
    admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": "ten"}, 400)
    assert admin.http.get("/admin/config/export").headers["etag"] == before
    server.client().list_buckets()


def test_trying_changes_nothing(server: Server, admin: Admin) -> None:
    before = admin.http.get("/admin/config/export").headers["etag"]
    answer = admin.ask(
        "POST", "/admin/config/section/advanced/validate", {"cache_size_mb": 7, "listen_addr": "127.0.0.1:1"}
    )
    assert answer["requires_restart"] is True
    assert answer["applied"] is False
    assert {warning.partition(":")[0] for warning in answer["warnings"]} >= {
        "advanced.cache_size_mb",
        "advanced.listen_addr",
    }
    assert admin.ask("POST", "/admin/config/validate", {"yaml": "{}"})["ok"] is True
    assert admin.ask("POST", "/admin/config/validate", {"yaml": "x: 1"}, 400)["code"] == "invalid_configuration"
    assert admin.http.get("/admin/config/export").headers["etag"] == before


def test_who_reads_an_old_state_does_not_overwrite_a_new_one(admin: Admin) -> None:
    etag = admin.http.get("/admin/config/section/advanced").headers["etag"]
    admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": 0.5}, headers={"if-match": etag})
    answer = admin.ask(
        "PUT", "/admin/config/section/advanced", {"max_delta_ratio": 0.6}, 412, headers={"if-match": etag}
    )
    assert answer["code"] == "changed_meanwhile"
    assert admin.ask("GET", "/admin/config/section/advanced")["max_delta_ratio"] == 0.5
    history = admin.ask("GET", "/admin/config/history")["revisions"]
    assert history[0]["summary"] == "advanced.max_delta_ratio"
    assert history[0]["applied_by"] == "admin"
    admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": 0.9})
    admin.ask("POST", f"/admin/config/rollback/{history[0]['id']}")
    assert admin.ask("GET", "/admin/config/section/advanced")["max_delta_ratio"] == 0.5
    admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": None})
    admin.ask("POST", "/admin/config/rollback/999999", status=404)


def test_the_log_filter_is_hot(server: Server, admin: Admin) -> None:
    admin.ask("PUT", "/admin/config/section/advanced", {"log_level": "deltaglider_proxy=error"})
    server.client().list_buckets()
    mark = server.log.stat().st_size
    server.client().list_buckets()
    assert b"deltaglider_proxy.access" not in server.log.read_bytes()[mark:]
    admin.ask("PUT", "/admin/config/section/advanced", {"log_level": None})
    server.client().list_buckets()
    server.wait_for(lambda: b"deltaglider_proxy.access" in server.log.read_bytes()[mark:])


def test_schema_and_references(admin: Admin) -> None:
    answer = admin.http.get("/admin/config/defaults", params={"section": "storage"})
    assert answer.headers["content-type"].startswith("application/schema+json")
    assert "buckets" in answer.text
    admin.ask("PUT", "/admin/config/section/advanced", {"public_url": "${env:DGP_NOT_SET:-https://s3.example.com}"})
    text = admin.http.get("/admin/config/export").text
    assert "public_url: ${env:DGP_NOT_SET:-https://s3.example.com}" in text
    admin.ask("PUT", "/admin/config/section/advanced", {"public_url": None})


def test_the_file_is_read_again(tmp_path: Path) -> None:
    with Server(tmp_path, workers=2) as server, Admin(server) as admin:
        text = server.config.read_text()
        commented = "# a comment of the operator\n" + text.replace("max_object_size: 1073741824", "max_object_size: 77")
        server.config.write_text(commented)
        server.wait_for(lambda: admin.ask("GET", "/admin/config")["max_object_size"] == 77)
        assert server.config.read_text() == commented
        server.config.write_text("nonsense: [")
        server.wait_for(lambda: b"the former one still holds" in server.log.read_bytes())
        assert admin.ask("GET", "/admin/config")["max_object_size"] == 77
        server.config.write_text(text)
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(lambda: admin.ask("GET", "/admin/config")["max_object_size"] == 1073741824)
        history = admin.ask("GET", "/admin/config/history")["revisions"]
        assert [revision["action"] for revision in history] == ["reload_config", "reload_config", "start"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_edit_of_the_file_is_never_overwritten(tmp_path: Path, workers: int) -> None:
    with Server(tmp_path, workers=workers) as server, Admin(server) as admin:

        def change(**fields: object) -> int:
            with httpx2.Client(cookies=admin.http.cookies, timeout=30, trust_env=False) as fresh:  # whichever worker
                return fresh.put(f"{server.endpoint}/_/api/admin/config/section/advanced", json=fields).status_code

        assert [change(max_delta_ratio=ratio / 10) for ratio in range(1, 7)] == [200] * 6
        text = server.config.read_text()
        etag = admin.http.get("/admin/config/export").headers["etag"]
        edited = text.replace("max_object_size: 1073741824", "max_object_size: 77")
        server.config.write_text(edited)
        as_read = {"if-match": etag}
        admin.ask("PUT", "/admin/config/section/advanced", {"cache_size_mb": 9}, 412, headers=as_read)
        assert server.config.read_text() == edited
        server.wait_for(lambda: admin.ask("GET", "/admin/config")["max_object_size"] == 77)
        server.wait_for(lambda: change(max_delta_ratio=0.7) == 200)
        assert "max_object_size: 77" in server.config.read_text()
        broken = server.config.read_text() + "nonsense: [\n"
        server.config.write_text(broken)
        server.wait_for(lambda: b"the former one still holds" in server.log.read_bytes())
        answer = admin.ask("PUT", "/admin/config/section/advanced", {"max_delta_ratio": 0.8}, 412)
        assert answer["code"] == "file_edited"
        assert "SIGHUP" in answer["detail"]
        assert [change(max_delta_ratio=0.8) for _ in range(4)] == [412] * 4
        assert server.config.read_text() == broken
        server.config.write_text(text)
        server.wait_for(lambda: change(max_delta_ratio=0.8) == 200)
        assert admin.ask("GET", "/admin/config")["max_object_size"] == 1073741824
        server.config.unlink()
        assert change(max_delta_ratio=0.85) == 200
        assert "max_delta_ratio: 0.85" in server.config.read_text()


def test_the_first_change_can_be_taken_back(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Admin(server) as admin:
        admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": 5})
        admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": 6})
        revisions = admin.ask("GET", "/admin/config/history")["revisions"]
        assert [revision["action"] for revision in revisions] == [
            "apply_config_section:advanced",
            "apply_config_section:advanced",
            "start",
        ]
        start = admin.ask("GET", f"/admin/config/history/{revisions[-1]['id']}")
        assert start["diff"] == {"advanced": {"max_object_size": {"before": 6, "after": 1 << 30}}}
        assert "max_object_size: 1073741824" in start["yaml"]
        assert SECRET_KEY not in str(start)
        assert admin.ask("GET", f"/admin/config/history/{revisions[0]['id']}")["diff"] == {}
        admin.ask("GET", "/admin/config/history/999999", status=404)
        admin.ask("POST", f"/admin/config/rollback/{start['id']}")
        assert admin.ask("GET", "/admin/config")["max_object_size"] == 1 << 30
        server.client().list_buckets()


def test_what_changes_nothing_is_not_recorded(server: Server, admin: Admin) -> None:
    admin.ask("PUT", "/admin/config/section/advanced", {"codec_timeout_secs": 59})

    def records() -> tuple[object, object]:
        history = admin.ask("GET", "/admin/config/history")["revisions"]
        audit = admin.ask("GET", "/admin/audit", params={"limit": 500})["entries"]
        return history, [entry for entry in audit if "config" in entry["action"]]

    before = records()
    assert before[1]
    answer = admin.ask("PUT", "/admin/config/section/advanced", {"codec_timeout_secs": 59})
    assert (answer["applied"], answer["persisted"], "diff" in answer) == (True, True, False)
    admin.ask("POST", "/admin/config/apply", {"yaml": admin.http.get("/admin/config/export").text})
    assert records() == before
    admin.ask("PUT", "/admin/config/section/advanced", {"codec_timeout_secs": None})


@pytest.mark.parametrize("value", [1.5, True, "ana", {"name": "ana"}, [7], [{"name": ["ana"]}]])
@pytest.mark.parametrize("name", ["iam_users", "auth_providers"])
def test_wrong_types_are_refused(admin: Admin, name: str, value: object) -> None:
    for method, path in (("PUT", "section/access"), ("POST", "section/access/validate")):
        assert name in str(admin.ask(method, f"/admin/config/{path}", {name: value}, 400))
    text = f"access: {{{name}: {json.dumps(value)}}}"
    for path in ("apply", "validate", "declarative-iam-validate", "declarative-iam-apply"):
        assert name in str(admin.ask("POST", f"/admin/config/{path}", {"yaml": text}, 400))


def test_a_key_pair_that_nobody_may_use_is_told(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Admin(server) as admin:
        pair = {"access_key_id": "another-key-of-the-file", "secret_access_key": "another-secret-of-the-file-0001"}
        server.secrets.add(pair["secret_access_key"])
        path = "/admin/config/section/access"
        assert "no effect" not in str(admin.ask("POST", f"{path}/validate", pair).get("warnings"))
        admin.user("ana", allow("admin", "*"))
        for method, where in (("POST", f"{path}/validate"), ("PUT", path)):
            assert "access.access_key_id: the key pair has no effect" in str(admin.ask(method, where, pair)["warnings"])


def test_the_flat_view_shows_what_is_in_use(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Admin(server) as admin:
        view = admin.ask("GET", "/admin/config")
        assert view["backends"] == [{"name": "default", "backend_type": "filesystem"}]
        assert (view["backend_type"], view["backend_path"]) == ("filesystem", str(tmp_path / "data"))
        assert view["backend_has_credentials"] is False
        assert view["codec_concurrency"] >= 1
        assert "advanced.cache_size_mb" not in view["tainted_fields"]
        assert "advanced.bootstrap_password_hash" in view["tainted_fields"]
        admin.ask("PUT", "/admin/config/section/advanced", {"cache_size_mb": 7, "codec_concurrency": 3})
        view = admin.ask("GET", "/admin/config")
        assert (view["cache_size_mb"], view["codec_concurrency"]) == (100, 3)
        assert "advanced.cache_size_mb" in view["tainted_fields"]
        assert "advanced.codec_concurrency" not in view["tainted_fields"]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with Server(tmp_path) as server, Admin(server) as admin:
        draft = tmp_path / ".deltaglider_proxy.yaml.draft"
        draft.mkdir()
        answer = admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": 5}, 500)
        assert (answer["applied"], answer["persisted"]) == (True, False)
        assert admin.ask("GET", "/admin/config")["max_object_size"] == 5
        draft.rmdir()
        assert admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": 5})["persisted"] is True
        assert "max_object_size: 5\n" in server.config.read_text()


@pytest.mark.slow
def test_a_worker_that_comes_later_lives_by_it_too(tmp_path: Path) -> None:
    with Server(tmp_path, workers=2) as server, Admin(server) as admin:
        admin.ask("PUT", "/admin/config/section/advanced", {"max_object_size": 10})
        assert server.process is not None
        children = (Path("/proc") / str(server.process.pid) / "task" / str(server.process.pid) / "children").read_text()
        os.kill(int(children.split()[-1]), signal.SIGKILL)

        def made() -> bool:
            try:  # what the killed worker had accepted is lost
                server.client().create_bucket(Bucket="box")
            except BotoCoreError:
                return False
            return True

        server.wait_for(made)

        def all_refuse() -> bool:
            codes = set()
            for _ in range(8):
                try:
                    server.client().put_object(Bucket="box", Key="k", Body=os.urandom(20))
                    codes.add("")
                except ClientError as error:
                    codes.add(error.response["Error"]["Code"])
                except BotoCoreError:
                    codes.add("lost")
            return codes == {"EntityTooLarge"}

        server.wait_for(all_refuse)
        for size in range(11, 17):
            with Admin(server) as fresh:
                fresh.ask("PUT", "/admin/config/section/advanced", {"max_object_size": size})


def test_no_request_is_lost_while_it_changes(server: Server, admin: Admin) -> None:
    s3 = server.client()
    body = os.urandom(3 << 20)
    s3.put_object(Bucket="box", Key="large", Body=body)
    failures: list[Exception] = []
    done = threading.Event()
    counts = [0]

    def load() -> None:
        mine = server.client()
        number = 0
        while not done.is_set():
            try:
                number += 1
                mine.put_object(Bucket="box", Key=f"load/{threading.get_ident()}/{number}", Body=os.urandom(2000))
                assert mine.get_object(Bucket="box", Key="large")["Body"].read() == body
                counts[0] += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
                failures.append(error)
                return

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 6
    changes = 0
    while time.monotonic() < deadline and not failures:
        policy = {"buckets": {"box": {"quota_bytes": (1 << 30) + changes, "max_delta_ratio": 0.5}}}
        admin.ask("PUT", "/admin/config/section/storage", policy)
        changes += 1
    done.set()
    for thread in threads:
        thread.join()
    admin.ask("PUT", "/admin/config/section/storage", {"buckets": {"box": None}})
    assert failures == []
    assert changes > 3
    assert counts[0] > 10
