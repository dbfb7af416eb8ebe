"""What the OpenAPI document says that FastAPI does not find out by itself: who signs in how, files, and problems."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from typing_extensions import override

from deltaglider_proxy.admin.guard import COOKIE, HOST_COOKIE, live
from deltaglider_proxy.admin.settings import PREFIX

Fragment = dict[str, Any]
Answers = dict[int | str, Fragment]

BINARY: Final[Fragment] = {"type": "string", "format": "binary"}
OBJECT: Final[Fragment] = {"type": "object"}
"""Of JSON, or of YAML, which is described as what it parses to."""
TEXT: Final[Fragment] = {"type": "string"}

_PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
_ETAG: Final = {"ETag": {"description": "Of the configuration, for If-Match", "schema": {"type": "string"}}}
_SCHEMES: Final = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"What signing in sets; over HTTPS it is named {HOST_COOKIE}",
    },
    "token": {"type": "http", "scheme": "bearer", "description": "Of POST /_/api/admin/tokens, with scopes"},
}
_SESSION_ONLY: Final = ("/admin/logout", "/admin/session/s3-credentials")
"""A token has no session that could end, or hold something."""
_ERRORS: Final = {
    400: "The request is wrong; `field` says where",
    401: "Nobody has signed in, or with something wrong",
    403: "Whoever has signed in may not do this, or nobody may as the server is configured",
    404: "There is no such thing",
    408: "The body did not come in time",
    409: "It contradicts what is there already",
    412: "It was changed by somebody else since; see If-Match",
    413: "The body is too large",
    422: "The configuration cannot hold; `problems` says why",
    429: "Too many failed attempts; Retry-After says how long to wait",
    500: "A mistake of the server; its log has the `request_id`",
    503: "The database or the audit log cannot be used now; try again",
}


def errors(model: type) -> Answers:
    """Of every operation."""
    found: Answers = {code: {"model": model, "description": text} for code, text in _ERRORS.items()}
    # Of the HTTP server, which has not understood enough to say more.
    return found | {414: {"description": "The address is longer than 64 KiB; there is no body"}}


def files(kinds: dict[str, Fragment], *, etag: bool = False) -> Answers:
    """The `responses` of an operation that answers one of these media types."""
    found: Fragment = {
        "description": "Successful Response",
        "content": {kind: {"schema": schema} for kind, schema in kinds.items()},
    }
    return {200: found | {"headers": _ETAG} if etag else found}


def body(kinds: dict[str, Fragment], example: object = None) -> Fragment:
    """The `openapi_extra` of an operation that reads its body itself."""
    shown = {} if example is None else {"example": example}
    return {"requestBody": {"required": True, "content": {kind: {"schema": s, **shown} for kind, s in kinds.items()}}}


class DescribedApi(FastAPI):
    def __init__(self, routers: Iterable[APIRouter], **options: Any) -> None:
        """`routers`: of the operations that are described; they still have to be included."""
        super().__init__(**options)
        self._routers = tuple(routers)

    @override
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            document["components"]["securitySchemes"] = _SCHEMES
            for router in self._routers:
                for route in router.routes:
                    assert isinstance(route, APIRoute)
                    for method in route.methods or ():
                        operation = document["paths"][PREFIX.rstrip("/") + route.path_format][method.lower()]
                        operation["security"] = _security(route)
                        for status, answer in operation["responses"].items():
                            _tell_kinds(int(status), answer)
            self.openapi_schema = document
        return self.openapi_schema


def _security(route: APIRoute) -> list[dict[str, list[str]]]:
    if not any(each.call is live for each in _all(route.dependant)):
        return []
    token: list[dict[str, list[str]]] = [] if route.path.endswith(_SESSION_ONLY) else [{"token": []}]
    return [{"session": []}, *token]


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _all(each)


def _tell_kinds(status: int, answer: Fragment) -> None:
    content = answer.get("content", {})
    if status == 414:
        return
    if status >= 400:
        if content.get("application/json", {}).get("schema") == _PROBLEM:
            del content["application/json"]
        answer["content"] = {"application/problem+json": {"schema": _PROBLEM}, **content}
    elif content.get("application/json", {}).get("schema") == {}:
        content["application/json"]["schema"] = {"type": "null"}
