"""The admin API as an ASGI application: what is the same for every request is here, the rest in `routes`."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, HTTPException

from deltaglider_proxy.admin import problems
from deltaglider_proxy.admin.backup.archive import MOST_BYTES
from deltaglider_proxy.admin.guard import live, report_refusal
from deltaglider_proxy.admin.openapi import DescribedApi, errors
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import Problem
from deltaglider_proxy.admin.routes import (
    audit,
    backends,
    backup,
    config,
    declarative,
    ext_auth,
    groups,
    logs,
    sessions,
    sign_in,
    switches,
    users,
    whoami,
)
from deltaglider_proxy.admin.settings import PREFIX
from deltaglider_proxy.telemetry.access_log import AccessLog
from deltaglider_proxy.telemetry.http_labels import method_label
from deltaglider_proxy.telemetry.request_ids import RequestIds, bind_to_log
from deltaglider_proxy.telemetry.tracing import Done, parent_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = structlog.get_logger("deltaglider_proxy.admin")

_ROUTES: Final = (
    whoami,
    sign_in,
    sessions,
    users,
    groups,
    ext_auth,
    config,
    declarative,
    backends,
    switches,
    audit,
    logs,
    backup,
)
_BODY_SECONDS: Final = 30.0
"""Between two pieces of a request's body."""
_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


def api(services: AdminServices) -> FastAPI:
    app = DescribedApi(
        [module.router for module in _ROUTES],
        title="DeltaGlider Proxy admin API",
        description="Users, sessions, configuration, logs and backups of a server. Errors are RFC 9457 problems.",
        version=services.settings.version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        responses=errors(Problem),
    )
    app.state.services = services
    root = APIRouter(prefix=PREFIX.rstrip("/"))
    for module in _ROUTES:
        root.include_router(module.router)

    @root.get("/openapi.json", dependencies=[Depends(live)], include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        return app.openapi()

    app.include_router(root)
    problems.install(app, report_refusal)
    return app


class AdminApp:
    """Give it the requests for everything below `/_/api/`."""

    def __init__(self, services: AdminServices) -> None:
        self._services = services
        self._app = api(services)
        self._ids = RequestIds()
        self._access = AccessLog()

    @property
    def openapi(self) -> dict[str, Any]:
        return self._app.openapi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = self._ids.next()
        bind_to_log(names)
        scope["dgp_request_id"] = names.id
        clock = self._services.clock
        began, most = clock.monotonic(), self._services.settings.max_body
        if scope["path"] == backup.PATH:
            most = MOST_BYTES
        status, sent, received, whole = 0, 0, 0, False

        async def bounded() -> Message:
            nonlocal received, whole
            if whole:
                return await receive()  # comes when the client leaves, however long it listens
            try:
                async with asyncio.timeout(_BODY_SECONDS):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"nothing more of the body came within {_BODY_SECONDS:.0f} s") from None
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if received > most:
                raise HTTPException(413, f"a request has at most {most} bytes")
            return message

        async def protected(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in _HEADERS if header[0] not in own),
                    (b"x-request-id", names.id.encode()),
                    *self._cors(),
                ]
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, bounded, protected)
        except Exception as error:
            # The framework has answered 500, and gives the error to whoever is outside; `problems` has logged it.
            if not status:
                _log.error("an admin request failed", exc_info=error)
                raise
        finally:
            client = scope.get("client")
            path = scope["raw_path"].decode("latin-1")
            seconds = clock.monotonic() - began
            method = scope["method"]
            self._access.request_done(
                method, path, status or 500, sent, seconds, names.id, client[0] if client else "-"
            )
            self._watch(scope, method_label(method), status or 500, seconds, names.id)

    def _watch(self, scope: Scope, method: str, status: int, seconds: float, request_id: str) -> None:
        route = PREFIX.rstrip("/") + getattr(scope.get("route"), "path", "/unknown")
        began = self._services.clock.now() - seconds
        parent = parent_of(scope["headers"])
        done = Done(f"{method} {route}", route, method, status, began, seconds, request_id, parent)
        self._services.watcher.request_done(done)

    def _cors(self) -> list[tuple[bytes, bytes]]:
        return [(b"access-control-allow-origin", b"*")] if self._services.settings.cors_permissive else []
