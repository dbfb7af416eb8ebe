"""`reference/admin-api.md`, from the OpenAPI document and from what each route asks of its caller."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from fastapi import APIRouter
from fastapi.routing import APIRoute

from deltaglider_proxy.admin import app, guard
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.settings import PREFIX, AdminSettings
from tools.reference.markdown import cell, code, default, page, table
from tools.reference.schemas import Node, default_of, node, nodes, reachable, references, type_of, with_enums_in_place

_START = f"""\
Everything is below `{PREFIX}`, on the port of S3. `GET {PREFIX}openapi.json` gives this page to programs.
How to sign in is in [Authentication](authentication.md), how to use it in [Administer](../how-to/administer.md), what
can go wrong in [Errors](errors.md#admin-api).

*Who may* names the scopes of which a token needs one; a session has all of them. *Not in declarative mode*: while
`access.iam_mode` is `declarative` the configuration file is where this is changed.

What is sent is JSON and what comes back is JSON, where nothing else is said."""
_ROUTERS = cast("tuple[Any, ...]", vars(app)["_ROUTES"])
_PROBLEM = "Problem"


def admin_api() -> str:
    services = cast("AdminServices", SimpleNamespace(settings=AdminSettings(version="")))
    described: Node = app.api(services).openapi()
    document = node(with_enums_in_place(described, node(node(described["components"])["schemas"])))
    paths = node(document["paths"])
    callers = dict(_callers())
    by_tag: dict[str, list[tuple[str, str, Node]]] = {}
    for path, methods in paths.items():
        for method, about in node(methods).items():
            operation = node(about)
            tags = operation.get("tags")
            assert isinstance(tags, list)
            by_tag.setdefault(str(tags[0]), []).append((method.upper(), path, operation))
    blocks = [_START]
    for tag in sorted(by_tag):
        blocks.append(f"## {tag[:1].upper()}{tag[1:]}")
        blocks += [
            block
            for method, path, operation in by_tag[tag]
            for block in _operation(method, path, operation, callers[method, path])
        ]
    blocks += ["## Objects", *_objects(paths, node(node(document["components"])["schemas"]))]
    return page("Admin API", *blocks)


def _operation(method: str, path: str, operation: Node, caller: str) -> Iterator[str]:
    yield f"### `{method} {path}`"
    yield cell(str(operation.get("description", "")))
    lines = [f"- Who may: {caller}"]
    for parameter in nodes(operation.get("parameters")):
        if parameter["in"] == "query":
            schema = node(parameter["schema"])
            text = cell(str(parameter.get("description", schema.get("description", ""))))
            lines.append(f"- `?{parameter['name']}=` {type_of(schema)}{'. ' if text else ''}{text}")
    body = operation.get("requestBody")
    if body is not None:
        lines.append(f"- Body: {_content(node(body))}")
    for status, answer in node(operation["responses"]).items():
        if status.startswith("2"):
            content = _content(node(answer))
            lines.append(f"- Answer: {status}{' ' if content else ''}{content}")
    yield "\n".join(lines)


def _content(about: Node) -> str:
    kinds = []
    for kind, found in node(about.get("content", {})).items():
        shape = node(node(found).get("schema", {}))
        kinds.append(type_of(shape) if kind == "application/json" and shape else code(kind))
    return " or ".join(kinds)


def _objects(paths: Node, definitions: Node) -> Iterator[str]:
    names: dict[str, None] = {}
    for first in references(dict(paths)):
        for name in reachable(first, definitions):
            names[name] = None
    for name in sorted(names):
        definition = node(definitions[name])
        if "properties" not in definition or name.startswith(("HTTPValidation", "ValidationError")):
            continue
        needed = definition.get("required", [])
        assert isinstance(needed, list)
        rows = []
        for field, value in node(definition["properties"]).items():
            about = node(value)
            what = "required" if field in needed else default(default_of(about))
            rows.append((code(field), type_of(about), what, cell(str(about.get("description", "")))))
        yield f"### {name}"
        yield table(("field", "type", "default", "what it is"), rows)


def _callers() -> Iterator[tuple[tuple[str, str], str]]:
    for module in _ROUTERS:
        router = cast("APIRouter", module.router)
        for route in router.routes:
            assert isinstance(route, APIRoute)
            asked = [each.call for each in route.dependant.dependencies]
            for method in route.methods or ():
                yield (method, PREFIX.rstrip("/") + route.path), _caller(method, asked)


def _caller(method: str, asked: list[Any]) -> str:
    file = "; not in declarative mode" if guard.iam_writable in asked else ""
    for each in asked:
        if isinstance(each, guard.Admin):
            scope, readable = vars(each)["_scope"], vars(each)["_readable"]
            enough = dict.fromkeys([scope, *(["read"] if readable and method in ("GET", "HEAD") else []), "admin"])
            return "administrators; scope " + " or ".join(map(code, enough)) + file
    return ("whoever has signed in" if guard.live in asked else "everyone") + file
