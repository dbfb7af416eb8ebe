"""Logging of a real server: which filter holds, how it changes while it runs, and its last lines over the admin API."""

import itertools
import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deltaglider_proxy.config import load as loading
from deltaglider_proxy.server.from_config import settings_of
from deltaglider_proxy.telemetry.log_filter import DEFAULT_FILTER, VERBOSE_FILTER
from tests.integration.wire import Wire
from tests.support.admin import Admin, allow
from tests.support.server import PASSWORD, SECRET_KEY, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"DGP_LOG_RING_SIZE": "500", "DGP_LOG_RING_LEVEL": "debug"}
    root = tmp_path_factory.mktemp("logging")
    with Server(root, workers=2, environment=environment, keeps_config=True) as running:
        running.client().create_bucket(Bucket="box")
        yield running


@pytest.fixture(scope="module")
def admin(server: Server) -> Iterator[Admin]:
    with Admin(server) as made:
        yield made


COMBINATIONS = list(itertools.product([False, True], repeat=4))


@pytest.mark.parametrize("given", COMBINATIONS, ids=lambda given: "".join("01"[there] for there in given))
def test_precedence_of_all_sources(tmp_path: Path, given: tuple[bool, bool, bool, bool]) -> None:
    rust_log, dgp_log_level, file, verbose = given
    config = tmp_path / "config.yaml"
    level = "advanced: {log_level: 'deltaglider_proxy=info'}\n" if file else ""
    config.write_text(f"access: {{authentication: none}}\nstorage: {{filesystem: {tmp_path}/data}}\n{level}")
    environ = {"RUST_LOG": "deltaglider_proxy=error"} if rust_log else {}
    environ |= {"DGP_LOG_LEVEL": "deltaglider_proxy=warn"} if dgp_log_level else {}
    settings = settings_of(loading.load(str(config), None, environ, tmp_path), verbose=verbose)
    texts = [
        (rust_log, "deltaglider_proxy=error"),
        (dgp_log_level, "deltaglider_proxy=warn"),
        (file, "deltaglider_proxy=info"),
        (verbose, VERBOSE_FILTER),
        (True, DEFAULT_FILTER),
    ]
    assert settings.log_filter.text == next(text for there, text in texts if there)
    assert settings.log_warnings == ()


@contextmanager
def filtered(server: Server, admin: Admin, text: str | None) -> Iterator[None]:
    admin.ask("PUT", "/admin/config/section/advanced", {"log_level": text})
    try:
        yield
    finally:
        admin.ask("PUT", "/admin/config/section/advanced", {"log_level": None})


def entries(admin: Admin, **query: str | int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.ask("GET", "/admin/logs", params=query)["entries"]
    return found


def access_lines(server: Server, name: str) -> int:
    return server.log.read_text(errors="replace").count(f"/box/{name}")


def ask_often(server: Server, name: str) -> None:
    """By new connections, so that both workers are asked."""
    for _ in range(12):
        Wire(server).plain("GET", f"/box/{name}")


def test_a_new_filter_holds_from_the_next_line_on_in_all_workers(server: Server, admin: Admin) -> None:
    ask_often(server, "before-it")
    server.wait_for(lambda: access_lines(server, "before-it") == 12)
    with filtered(server, admin, "deltaglider_proxy=debug,tower_http=off"):
        ask_often(server, "while-off")
        changed = entries(admin, q="log filter changed")[0]
        assert changed["fields"]["filter"] == "deltaglider_proxy=debug,tower_http=off"
        assert changed["level"] == "INFO"
    ask_often(server, "on-again")
    server.wait_for(lambda: access_lines(server, "on-again") == 12)
    assert access_lines(server, "while-off") == 0
    assert admin.ask("GET", "/admin/config")["log_level"] == DEFAULT_FILTER


@pytest.mark.parametrize("text", ["deltaglider_proxy=loud", "a b", "deltaglider_proxy[span]=info", "=info"])
def test_a_bad_filter_is_refused_and_nothing_changes(server: Server, admin: Admin, text: str) -> None:
    before, shown = server.config.read_bytes(), admin.ask("GET", "/admin/config")["log_level"]
    answer = admin.ask("PUT", "/admin/config/section/advanced", {"log_level": text}, 400)
    assert "log_level" in str(answer)
    assert server.config.read_bytes() == before
    assert admin.ask("GET", "/admin/config")["log_level"] == shown


def test_an_edit_of_the_file_to_a_bad_filter_leaves_the_old_one(server: Server, admin: Admin) -> None:
    text = server.config.read_text()
    with filtered(server, admin, "deltaglider_proxy=info,tower_http=debug"):
        good = server.config.read_text()
        assert "deltaglider_proxy=info,tower_http=debug" in good
        server.config.write_text(good.replace("deltaglider_proxy=info", "deltaglider_proxy=loud"))
        server.wait_for(lambda: bool(entries(admin, q="log filter") and entries(admin, q="is no log filter")))
        server.config.write_text(good)
        # An edit that the server has not read yet is not overwritten.
        path = "/admin/config/section/advanced"
        server.wait_for(lambda: admin.http.put(path, json={}).status_code == 200)
    assert "log_level" not in text


def test_lines_of_both_workers_and_of_the_start_are_in_one_order(server: Server, admin: Admin) -> None:
    ask_often(server, "from-all")
    server.wait_for(lambda: len(entries(admin, q="/box/from-all", limit=500)) == 12)
    found = entries(admin, q="/box/from-all", limit=500)
    assert {(e["level"], e["target"], e["message"]) for e in found} == {("INFO", "deltaglider_proxy.access", "request")}
    assert {e["fields"]["status"] for e in found} == {403}
    assert len({e["fields"]["request_id"][:12] for e in found}) == 2, "ids begin with what is one worker's own"
    assert all(e["ts"].endswith("Z") for e in found)


def test_filters_and_pages(server: Server, admin: Admin) -> None:
    ask_often(server, "paged")
    server.wait_for(lambda: len(entries(admin, q="/box/paged")) == 12)
    seen: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"q": "/BOX/paged", "limit": 5}
    while True:
        page = admin.ask("GET", "/admin/logs", params=query)
        assert page["limit"] == 5
        seen += page["entries"]
        if "next_cursor" not in page:
            break
        query["cursor"] = page["next_cursor"]
    assert len(seen) == 12
    assert len({e["fields"]["request_id"] for e in seen}) == 12
    for worker in {e["fields"]["request_id"][:12] for e in seen}:
        times = [e["ts"] for e in seen if e["fields"]["request_id"].startswith(worker)]
        assert times == sorted(times, reverse=True)
    assert all(e["level"] in ("WARN", "ERROR", "CRITICAL") for e in entries(admin, level="warn", limit=500))
    assert {e["target"] for e in entries(admin, target="proxy.access")} == {"deltaglider_proxy.access"}
    assert entries(admin, target="Proxy.Access") == [], "a target is compared in its case"
    assert len(entries(admin, level="nonsense", limit=40)) == len(entries(admin, limit=40)) == 40
    for bad in ("limit=0", "limit=2001", "cursor=0", "limit=x"):
        admin.ask("GET", f"/admin/logs?{bad}", status=400)


def test_old_lines_fall_out(server: Server, admin: Admin) -> None:
    for number in range(600):
        Wire(server).plain("GET", f"/box/flood-{number}")
    server.wait_for(lambda: bool(entries(admin, q="/box/flood-599")))
    assert len(entries(admin, limit=2000)) == 500


def test_who_may_read_it(server: Server, admin: Admin) -> None:
    with Admin(server, sign_in=False) as stranger:
        for path in ("/admin/logs", "/admin/logs/stream"):
            stranger.ask("GET", path, status=401)
    guest = admin.user("guest", allow("read", "box/*"))
    with Admin(server, sign_in=False) as browser:
        pair = {"access_key_id": guest["access_key_id"], "secret_access_key": guest["secret_access_key"]}
        browser.ask("POST", "/admin/session/browser-connect", {"endpoint": server.endpoint, **pair})
        for path in ("/admin/logs", "/admin/logs/stream"):
            browser.ask("GET", path, status=403)
    admin.ask("DELETE", f"/admin/users/{guest['id']}", status=204)


class Tail:
    """The live tail, event by event."""

    def __init__(self, answer: httpx2.Response) -> None:
        assert answer.headers["content-type"].startswith("text/event-stream")
        self._lines = answer.iter_lines()
        assert next(self._lines).startswith(": ")

    def next(self) -> tuple[str, int, str]:
        """Kind, number and data."""
        event = {"id": "0"}
        for line in self._lines:
            if not line and "event" in event:
                return event["event"], int(event["id"]), event["data"]
            name, _, value = line.partition(": ")
            event[name] = value
        raise EOFError


def test_the_live_tail_shows_all_workers_and_goes_on_where_it_was(server: Server, admin: Admin) -> None:
    with admin.http.stream("GET", "/admin/logs/stream", params={"q": "/box/live", "level": "info"}) as answer:
        tail = Tail(answer)
        ask_often(server, "live")
        found = [tail.next() for _ in range(12)]
    lines = [json.loads(data) for kind, _, data in found if kind == "log"]
    assert len({line["fields"]["request_id"][:12] for line in lines}) == 2
    assert len({line["fields"]["request_id"] for line in lines}) == 12
    numbers = [number for _, number, _ in found]
    assert numbers == sorted(set(numbers))
    resumed = {"last-event-id": str(numbers[5])}
    with admin.http.stream("GET", "/admin/logs/stream", params={"q": "/box/live"}, headers=resumed) as answer:
        tail = Tail(answer)
        assert [tail.next()[1] for _ in range(6)] == numbers[6:]


def test_a_reader_that_is_too_slow_is_told_how_much_it_missed(server: Server, admin: Admin) -> None:
    for number in range(520):
        Wire(server).plain("GET", f"/box/fast-{number}")
    server.wait_for(lambda: bool(entries(admin, q="/box/fast-519")))
    with admin.http.stream("GET", "/admin/logs/stream", headers={"last-event-id": "1"}) as answer:
        kind, _, lost = Tail(answer).next()
    assert kind == "lagged"
    assert int(lost) > 100


def test_no_secret_is_in_any_line(server: Server, admin: Admin) -> None:
    made = admin.user("keeper", allow("*", "*"))
    client = admin.client_of(made)
    client.put_object(Bucket="box", Key="k", Body=b"x")
    url = client.generate_presigned_url("get_object", {"Bucket": "box", "Key": "k"})
    signature = url.partition("Signature=")[2]
    with Admin(server, sign_in=False) as guesser:
        guesser.ask("POST", "/admin/login", {"password": "my-mistyped-password"}, 401)
        guesser.http.get("/whoami", headers={"authorization": "Bearer dgp_secret-token-0123456789"})
    httpx2.get(url, trust_env=False)
    httpx2.get(url[:-1], trust_env=False)
    with filtered(server, admin, "trace"):
        client.list_objects_v2(Bucket="box")
        httpx2.get(url, trust_env=False)
        shown = json.dumps([entries(admin, limit=2000), entries(admin, q="box")])
    text = shown + server.log.read_text(errors="replace")
    kept = (server.root / "cache" / "run" / "log-ring").read_bytes().decode(errors="replace")
    secrets = [SECRET_KEY, PASSWORD, made["secret_access_key"], "my-mistyped-password", "secret-token-0123456789"]
    for secret in [*secrets, signature[:40], *(cookie.value or "-" * 9 for cookie in admin.http.cookies.jar)]:
        assert len(secret) > 8
        assert secret not in text
        assert secret not in kept
    assert (server.root / "cache" / "run" / "log-ring").stat().st_mode & 0o777 == 0o600
    admin.ask("DELETE", f"/admin/users/{made['id']}", status=204)


def test_nothing_that_a_client_sends_begins_a_line(server: Server) -> None:
    evil = "x%0d%0a2026-01-01T00:00:00.000000Z%20INFO%20deltaglider_proxy.forged%20%1b[31m"
    Wire(server).plain("GET", f"/box/{evil}", {"user-agent": "a | action=login | user=admin"})
    server.wait_for(lambda: "forged" in server.log.read_text(errors="replace"))
    lines = server.log.read_text(errors="replace").split("\n")
    assert not any(line.startswith("2026-01-01") or "\x1b" in line for line in lines)


def test_json_lines_and_a_filter_that_is_none(tmp_path: Path) -> None:
    filters = {"RUST_LOG": "deltaglider_proxy=loud", "DGP_LOG_LEVEL": "deltaglider_proxy=info"}
    with Server(tmp_path, environment={"DGP_LOG_FORMAT": "json", **filters}) as server, Admin(server) as admin:
        Wire(server).plain("GET", f"/box/{random.Random(1).randrange(10**6)}")
        server.wait_for(lambda: '"request"' in server.log.read_text())
        answer = admin.ask("PUT", "/admin/config/section/advanced", {"log_level": "error"})
        assert admin.ask("GET", "/admin/config")["log_level"] == "deltaglider_proxy=info"
        assert "DGP_LOG_LEVEL decides it" in str(answer["warnings"])
        shown = [entry["message"] for entry in entries(admin, limit=2000)]
        assert "starting" in shown, "what the server process said is there as well"
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {"ts", "level", "target", "message"} <= set(lines[0])
    assert {line["level"] for line in lines} <= {"INFO", "WARN", "ERROR"}
    assert any("RUST_LOG is ignored: log filter 'deltaglider_proxy=loud'" in line["message"] for line in lines)


@pytest.mark.slow
def test_verbose_is_trace(tmp_path: Path) -> None:
    program = [str(Path(sys.executable).with_name("deltaglider_proxy")), "--verbose"]
    with Server(tmp_path, program=program) as server, Admin(server) as admin:
        assert admin.ask("GET", "/admin/config")["log_level"] == VERBOSE_FILTER
