"""Whatever the API's own description allows and forbids is sent to it: nothing may break, and nothing may be open."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.core.result import Ok

from tests.support.admin import Admin
from tests.support.server import Server

PUBLIC = {
    ("GET", "/_/api/whoami"),
    ("POST", "/_/api/iam/identity"),
    ("POST", "/_/api/admin/login"),
    ("POST", "/_/api/admin/login-as"),
    ("POST", "/_/api/admin/session/browser-connect"),
    ("POST", "/_/api/admin/session/open-browser-connect"),
    ("GET", "/_/api/admin/policies"),
    ("GET", "/_/api/admin/iam/version"),
    ("GET", "/_/api/admin/ext-auth/version"),
    ("POST", "/_/api/admin/recover-db"),
}
_NO_LIMITS = {"DGP_RATE_LIMIT_MAX_ATTEMPTS": "0", "DGP_RATE_LIMIT_ACCOUNT_MAX_ATTEMPTS": "0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("openapi"), environment=_NO_LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    with Admin(server) as admin:
        found: dict[str, Any] = admin.ask("GET", "/openapi.json")
        return found


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, found in document["paths"].items() for method in found]


def test_nothing_is_open_but_what_is_said_to_be(server: Server, document: dict[str, Any]) -> None:
    listed = operations(document)
    assert set(listed) >= PUBLIC
    assert len(listed) > 60
    for method, path in listed:
        concrete = re.sub(r"\{[a-z_]+\}", "1", path)
        answer = httpx2.request(method, server.endpoint + concrete, json={}, trust_env=False, timeout=30)
        if (method, path) in PUBLIC:
            assert answer.status_code != 401, (method, path)
        else:
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), (method, path)


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for path, found in document["paths"].items():
        for method, operation in found.items():
            assert operation["tags"], (method, path)
            assert "4" in "".join(status[0] for status in operation["responses"]), (method, path)


def test_nothing_breaks(server: Server, document: dict[str, Any]) -> None:
    with Admin(server) as admin:
        token = admin.ask("POST", "/admin/tokens", {"name": "fuzz", "scopes": ["admin"]}, 201)["token"]
    headers = {"authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_dict(document)
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        tried += 1
        if operation.path.endswith("/logs/stream"):
            continue  # it does not end

        @given(case=operation.as_strategy())
        @settings(
            max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
        )
        def sent(case: "Case[Any]") -> None:
            answer = case.call(base_url=server.endpoint, headers=headers)
            assert answer.status_code < 500, (case.method, case.path, answer.status_code, answer.text)
            if answer.status_code >= 400:
                problem = answer.json()
                assert problem["code"]
                assert problem["detail"]
                assert "Traceback" not in answer.text

        sent()
    assert tried > 60
