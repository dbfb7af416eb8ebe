"""Whatever the API's own description allows and forbids is sent to it: nothing may break, and nothing may be open."""

import re
import secrets
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

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
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SignIn = Callable[[], dict[str, str]]
"""The headers of somebody who has signed in."""
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
            assert operation["description"], (method, path)
            public = (method.upper(), path) in PUBLIC
            assert (operation["security"] == []) is public, (method, path)
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    assert content["schema"], (method, path, status, kind)
                if int(status) >= 400 and status != "414":
                    assert "application/problem+json" in answer["content"], (method, path, status)
                elif status not in ("204", "414"):
                    assert answer["content"], (method, path, status)
            assert {"400", "401", "403", "408", "500", "503"} <= set(operation["responses"]), (method, path)


def test_whoever_sends_something_is_shown_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for path, found in document["paths"].items():
        for method, operation in found.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            for name in re.findall(r"#/components/schemas/(\w+)", str(content.get("schema"))):
                fields = schemas[name].get("properties", {})
                for field in schemas[name].get("required", ()):
                    about = fields[field]
                    plain = about.get("type") in ("boolean", "array") or {"$ref", "enum", "pattern"} & set(about)
                    assert plain or about["examples"], (method, path, name, field)


def signed_by_token(server: Server) -> SignIn:
    with Admin(server) as admin:
        name = f"fuzz-{secrets.token_hex(4)}"
        token = admin.ask("POST", "/admin/tokens", {"name": name, "scopes": ["admin"]}, 201)["token"]
    return lambda: {"authorization": f"Bearer {token}"}


def signed_by_cookie(server: Server) -> SignIn:
    """Anew for each operation: one of them ends the session."""

    def sign_in() -> dict[str, str]:
        with Admin(server) as admin:
            return {"cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in admin.http.cookies.jar)}

    return sign_in


def sent_to_everything(
    server: Server, document: dict[str, Any], mode: GenerationMode, sign_in: SignIn, examples: int
) -> None:
    """What the document describes, or forbids, to every operation; the answers must be those that it describes."""
    broken: dict[str, str] = {}
    tried = 0
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        tried += 1
        if operation.path.endswith("/logs/stream"):
            continue  # it does not end
        try:
            sent_to(server, operation, mode, sign_in(), examples)
        except (AssertionError, FailureGroup) as error:
            broken[operation.label] = str(error)
    assert broken == {}
    assert tried > 60


def sent_to(
    server: Server,
    operation: "APIOperation[Any, Any, Any, Any]",
    mode: GenerationMode,
    headers: dict[str, str],
    examples: int,
) -> None:
    @given(case=operation.as_strategy(mode))
    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    def sent(case: "Case[Any]") -> None:
        answer = case.call(base_url=server.endpoint, headers=headers)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400 and answer.status_code != 414:
            problem = answer.json()
            assert problem["code"]
            assert problem["detail"]
            assert "Traceback" not in answer.text

    try:
        sent()
    except (Unsatisfiable, unittest.SkipTest):
        assert mode is GenerationMode.NEGATIVE, "nothing can be sent"


@pytest.mark.parametrize("mode", GenerationMode)
def test_nothing_breaks(server: Server, document: dict[str, Any], mode: GenerationMode) -> None:
    sent_to_everything(server, document, mode, signed_by_token(server), 4)


@pytest.mark.slow
def test_nothing_breaks_for_a_browser(server: Server, document: dict[str, Any]) -> None:
    sent_to_everything(server, document, GenerationMode.POSITIVE, signed_by_cookie(server), 2)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("signed", [signed_by_token, signed_by_cookie])
@pytest.mark.parametrize("mode", GenerationMode)
def test_nothing_breaks_however_long_one_tries(
    server: Server, document: dict[str, Any], mode: GenerationMode, signed: Callable[[Server], SignIn]
) -> None:
    sent_to_everything(server, document, mode, signed(server), 40)
