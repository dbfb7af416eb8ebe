"""The admin API of a server under test, as a program would call it."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from mypy_boto3_s3 import S3Client

from tests.support.server import PASSWORD, Server

Json = dict[str, Any]


class Admin:
    """Signed in with the bootstrap password, unless told otherwise."""

    def __init__(self, server: Server, *, sign_in: bool = True, headers: Mapping[str, str] | None = None) -> None:
        self.server = server
        self.http = httpx2.Client(
            base_url=f"{server.endpoint}/_/api", timeout=30, trust_env=False, headers=dict(headers or {})
        )
        if sign_in:
            answer = self.http.post("/admin/login", json={"password": PASSWORD})
            assert answer.status_code == 200, answer.text

    def __enter__(self) -> "Admin":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, json: object = None, status: int = 200, **options: Any) -> Any:
        """What is answered, which must have this status."""
        answer = self.http.request(method, path, json=json, **options)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        self._remember(answer)
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer.text

    def _remember(self, answer: httpx2.Response) -> None:
        """Secrets that were just made are to be found nowhere later."""
        self.server.secrets.update(cookie.value for cookie in self.http.cookies.jar if cookie.value)
        is_json = answer.content and "json" in answer.headers.get("content-type", "")
        if is_json and isinstance(found := answer.json(), dict):
            for name in ("secret_access_key", "token"):
                if isinstance(found.get(name), str) and len(found[name]) >= 16:
                    self.server.secrets.add(found[name])

    def user(self, name: str, *rules: Json, **fields: object) -> Json:
        made: Json = self.ask("POST", "/admin/users", {"name": name, "permissions": list(rules), **fields}, 201)
        return made

    def client_of(self, user: Json) -> S3Client:
        """The S3 client of a user that was just made."""
        return self.server.client(user["access_key_id"], user["secret_access_key"])


def allow(actions: str, *resources: str, conditions: Json | None = None) -> Json:
    return _rule("Allow", actions.split(), resources, conditions)


def deny(actions: str, *resources: str, conditions: Json | None = None) -> Json:
    return _rule("Deny", actions.split(), resources, conditions)


def _rule(effect: str, actions: Sequence[str], resources: Sequence[str], conditions: Json | None) -> Json:
    rule: Json = {"effect": effect, "actions": list(actions), "resources": list(resources)}
    return rule if conditions is None else rule | {"conditions": conditions}
