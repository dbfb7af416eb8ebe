"""The endpoints under `/_/` that need no credentials: health, ready, stats, metrics, the manual, and a page that names
them.

A plain ASGI application on narrow protocols, so that it can be asked while everything else is broken. Health does no
I/O and waits for nothing: an answer means that the process lives, whatever the backend does.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs

import orjson
import structlog

from deltaglider_proxy.ops.documentation import CONTENT_SECURITY_POLICY as MANUAL_POLICY
from deltaglider_proxy.ops.documentation import PREFIX as MANUAL
from deltaglider_proxy.ops.front_page import CONTENT_SECURITY_POLICY, front_page
from deltaglider_proxy.ops.readiness import Readiness
from deltaglider_proxy.ops.stats import Stats, StatsUnavailable
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.exposition import CONTENT_TYPE as METRICS_TYPE
from deltaglider_proxy.telemetry.http_labels import operation_of

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/_/"
_JSON = "application/json"
_HTML = "text/html; charset=utf-8"

_log = structlog.get_logger("deltaglider_proxy.ops")


class CacheState(Protocol):
    """The reference cache as the host sees it; kept in memory, so that reading it waits for nothing."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def max_bytes(self) -> int: ...

    @property
    def entries(self) -> int: ...


class Lifecycle(Protocol):
    @property
    def draining(self) -> bool:
        """The server has been told to stop and still serves."""
        ...


class Manual(Protocol):
    async def __call__(self, name: str) -> bytes | None:
        """The page with this name, or the first for an empty one; None if there is no such page."""
        ...


class Recorder(Protocol):
    def request_done(self, method: str, operation: str, status: int, seconds: float) -> None:
        """One request was answered; `seconds` from its head to the head of the answer."""
        ...


class MetricsSource(Protocol):
    async def __call__(self) -> bytes:
        """The text of one scrape."""
        ...


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    content_type: str = _JSON
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class OpsApp:
    """Give it the requests for `/_` and everything below that nobody else serves."""

    def __init__(
        self,
        *,
        cache: CacheState,
        peak_rss_bytes: Callable[[], int],
        readiness: Readiness,
        stats: Stats,
        metrics: MetricsSource,
        lifecycle: Lifecycle,
        manual: Manual,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._cache = cache
        self._peak_rss_bytes = peak_rss_bytes
        self._readiness = readiness
        self._stats = stats
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._manual = manual
        self._recorder = recorder
        self._clock = clock
        self._routes: dict[str, Callable[[Scope], Awaitable[Response]]] = {
            "/_": _redirect_to(PREFIX),
            MANUAL.rstrip("/"): _redirect_to(MANUAL),
            "/_/": self._front_page,
            "/_/health": self._health,
            "/_/ready": self._ready,
            "/_/stats": self._stats_of,
            "/_/metrics": self._scrape,
        }

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        began, method, path = self._clock.monotonic(), scope["method"], scope["path"]
        response = await self._answer(scope, method, path)
        if (operation := operation_of(method, path)) is not None:
            self._recorder.request_done(method, operation, response.status, self._clock.monotonic() - began)
        await send({"type": "http.response.start", "status": response.status, "headers": _headers(response)})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})

    async def _answer(self, scope: Scope, method: str, path: str) -> Response:
        route = self._manual_page if path.startswith(MANUAL) else self._routes.get(path)
        if route is None:
            return _error(HTTPStatus.NOT_FOUND, "there is nothing here; see /_/")
        if method not in ("GET", "HEAD"):
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, f"use GET or HEAD for {path}", (b"allow", b"GET, HEAD"))
        try:
            return await route(scope)
        except Exception as error:  # noqa: BLE001 - whatever it is, who asks must get an answer, and the log the reason
            _log.error("an operational endpoint failed", path=path, exc_info=error)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "this cannot be answered now; see the log")

    async def _manual_page(self, scope: Scope) -> Response:
        page = await self._manual(scope["path"].removeprefix(MANUAL))
        if page is None:
            return _error(HTTPStatus.NOT_FOUND, f"there is no such page; see {MANUAL}")
        return Response(HTTPStatus.OK, _HTML, page, ((b"content-security-policy", MANUAL_POLICY.encode()),))

    async def _front_page(self, scope: Scope) -> Response:
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"), "")
        page = front_page(str(scope.get("scheme", "http")), host)
        return Response(HTTPStatus.OK, _HTML, page, ((b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),))

    async def _health(self, _scope: Scope) -> Response:
        size, capacity = self._cache.size_bytes, self._cache.max_bytes
        return _json(
            HTTPStatus.OK,
            {
                "status": "healthy",
                "peak_rss_bytes": self._peak_rss_bytes(),
                "cache_size_bytes": size,
                "cache_max_bytes": capacity,
                "cache_entries": self._cache.entries,
                "cache_utilization_pct": 100 * size / capacity if capacity else 0.0,
            },
        )

    async def _ready(self, _scope: Scope) -> Response:
        report = await self._readiness.check(draining=self._lifecycle.draining)
        return _json(
            HTTPStatus.OK if report.ready else HTTPStatus.SERVICE_UNAVAILABLE,
            {
                "status": "ready" if report.ready else "not_ready",
                "backend": report.backend.value,
                "config_db": report.config_db.value,
            },
        )

    async def _stats_of(self, scope: Scope) -> Response:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        try:
            totals = await self._stats.totals(query["bucket"][0] if "bucket" in query else None)
        except StatsUnavailable as error:
            _log.error("storage counters cannot be read", exc_info=error)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "the storage counters cannot be read; see the log")
        return _json(
            HTTPStatus.OK,
            {
                "total_objects": totals.objects,
                "total_original_size": totals.logical_bytes,
                "total_stored_size": totals.stored_bytes,
                "savings_percentage": totals.savings_percentage,
            },
        )

    async def _scrape(self, _scope: Scope) -> Response:
        return Response(HTTPStatus.OK, METRICS_TYPE, await self._metrics())


def _redirect_to(place: str) -> Callable[[Scope], Awaitable[Response]]:
    async def redirect(_scope: Scope) -> Response:
        return Response(HTTPStatus.PERMANENT_REDIRECT, _HTML, headers=((b"location", place.encode()),))

    return redirect


def _json(status: int, value: dict[str, str | int | float]) -> Response:
    return Response(status, _JSON, orjson.dumps(value))


def _error(status: int, message: str, *headers: tuple[bytes, bytes]) -> Response:
    return Response(status, _JSON, orjson.dumps({"error": message}), headers)


def _headers(response: Response) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        *response.headers,
    ]
