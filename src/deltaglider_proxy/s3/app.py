"""The S3 API as an ASGI application: each request goes through the steps of `_answer`, in that order."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

from deltaglider_proxy.access.admission.chain import Verdict
from deltaglider_proxy.access.auditor import Auditor, NoLog
from deltaglider_proxy.access.authenticator import Authenticator, Moment
from deltaglider_proxy.access.client_address import ClientAddresses
from deltaglider_proxy.access.errors import AccessError, Reason
from deltaglider_proxy.access.state import AccessState
from deltaglider_proxy.engine import errors as engine
from deltaglider_proxy.engine.api import ObjectStore
from deltaglider_proxy.s3 import admission, cors, trail
from deltaglider_proxy.s3.admission import Rejected
from deltaglider_proxy.s3.authorization import authorize_call, context_of
from deltaglider_proxy.s3.body import Receive, RequestBody
from deltaglider_proxy.s3.call import Call, HeaderList, Response, S3Settings
from deltaglider_proxy.s3.errors import from_access, from_engine
from deltaglider_proxy.s3.handlers import HANDLERS
from deltaglider_proxy.s3.long_answer import patiently
from deltaglider_proxy.s3.observe import Observer, Seen
from deltaglider_proxy.s3.operations.upload_body import read_document
from deltaglider_proxy.s3.protocol import operations
from deltaglider_proxy.s3.protocol.errors import Code, S3Error, error_xml
from deltaglider_proxy.s3.protocol.operations import BodyKind
from deltaglider_proxy.s3.protocol.request import Request, parse_request
from deltaglider_proxy.s3.upload_checksums import UploadChecksums
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_MOST_HELD = 32
"""Answers that are held back at a time."""
_MAINTENANCE_RETRY = 60.0
"""Seconds."""

_log = structlog.get_logger("deltaglider_proxy.s3")


class _Cut(Exception):
    """The response had begun when its source failed: it must end short."""


class Uses:
    """How many requests still work with something."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def begin(self) -> None:
        self._count += 1
        self._none.clear()

    def end(self) -> None:
        self._count -= 1
        if not self._count:
            self._none.set()

    async def ended(self) -> None:
        """When there is none; more may begin if it is still offered."""
        await self._none.wait()


@dataclass(frozen=True, slots=True)
class Serving:
    """What a request is served with, from its first step to the last byte of its answer."""

    store: ObjectStore
    settings: S3Settings
    access: AccessState
    uploads: UploadChecksums
    uses: Uses
    """Of the store."""

    @classmethod
    def of(cls, store: ObjectStore, settings: S3Settings, access: AccessState) -> "Serving":
        return cls(store, settings, access, UploadChecksums(store), Uses())


class S3App:
    """Everything that may change while it runs is one value, `serving`: a request that has begun keeps its own."""

    def __init__(
        self,
        serving: Serving,
        authenticator: Authenticator,
        addresses: ClientAddresses,
        clock: Clock,
        pool: Pool,
        observer: Observer,
    ) -> None:
        self._serving = serving
        self._authenticator = authenticator
        self._addresses = addresses
        self._clock = clock
        self._pool = pool
        self._observer = observer
        self._auditor = Auditor(NoLog())
        self._held = 0
        self._free = asyncio.Semaphore(serving.settings.max_concurrent_requests)

    def audit(self, auditor: Auditor) -> None:
        """Report to it from now on."""
        self._auditor = auditor

    @property
    def serving(self) -> Serving:
        return self._serving

    def serve(self, serving: Serving) -> None:
        """From the next request on."""
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._free:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        serving = self._serving
        serving.uses.begin()
        try:
            await self._serve_with(serving, scope, receive, send)
        finally:
            serving.uses.end()

    async def _serve_with(self, serving: Serving, scope: Scope, receive: Receive, send: Send) -> None:
        seen = self._observer.begin(scope)
        headers = scope["headers"]
        waits = _expects_continue(headers)
        body = RequestBody(receive, serving.settings.idle_timeout, _content_length(headers), waits=waits)
        try:
            response = await self._answer(serving, scope, body, seen)
        except S3Error as error:
            response = self._error(scope, error, seen)
        try:
            await self._send(scope, response, body, send, seen)
        finally:
            if response.close is not None:
                await response.close()
            self._observer.end(seen)
            if seen.call is not None:
                trail.ended(self._auditor, seen.call, seen)

    async def _answer(self, serving: Serving, scope: Scope, body: RequestBody, seen: Seen) -> Response:
        method: str = scope["method"]
        if method == "OPTIONS":
            return cors.preflight(serving.settings.cors_permissive, scope["headers"])
        request: Request | None = None
        try:
            request = parse_request(
                method,
                scope["raw_path"],
                scope["query_string"],
                scope["headers"],
                serving.settings.virtual_host_domain,
            )
            call = self._admit(serving, request, body, scope, seen)
            seen.call = call
            if call.operation.body is BodyKind.SMALL_XML:
                call.document = await read_document(call)
            if call.operation.long:
                return await patiently(self._outcome(call, scope, seen), serving.settings.silence)
            return await HANDLERS[call.operation.handler](call)
        except S3Error:
            raise
        except Rejected as rejected:
            assert request is not None
            self._observer.admitted(rejected.decision)
            trail.rejected(self._auditor, rejected.decision.matched or "", request, seen.address, seen)
            return _operators_answer(rejected)
        except Exception as error:
            if isinstance(error, AccessError) and error.delay:
                await self._hold_back(error.delay)
            raise self._explained(error, request, seen) from error

    async def _hold_back(self, seconds: float) -> None:
        """Let somebody who guesses wait, unless many do so already: each takes the place of a request."""
        if self._held >= _MOST_HELD:
            return
        self._held += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._held -= 1

    async def _outcome(self, call: Call, scope: Scope, seen: Seen) -> Response:
        """Of an operation that somebody waits for elsewhere: a failure is an answer too."""
        try:
            return await HANDLERS[call.operation.handler](call)
        except S3Error as error:
            return self._error(scope, error, seen)
        except Exception as error:  # noqa: BLE001 - `_explained` logs what nobody expected
            return self._error(scope, self._explained(error, call.request, seen), seen)

    def _explained(self, error: Exception, request: Request | None, seen: Seen) -> S3Error:
        """What the client is told of it; the log, what it need not know."""
        match error:
            case AccessError():
                self._observer.refused(error)
                trail.refused(self._auditor, error, request, seen.address, seen)
                return from_access(error)
            case engine.EngineError():
                self._observer.failed(error)
                bucket, key = (request.bucket, request.key) if request is not None else ("", "")
                answer = from_engine(error, bucket, key)
                if answer.status >= 500:
                    _log.error("the request failed", bucket=bucket, key=key, exc_info=error)
                return answer
            case _:
                _log.error("unexpected error", exc_info=error)
                return S3Error(Code.InternalError)

    def _admit(self, serving: Serving, request: Request, body: RequestBody, scope: Scope, seen: Seen) -> Call:
        """Who asks, for what, and whether they may: before a byte of the body is read."""
        state = serving.access
        client = scope.get("client")
        address = seen.address = self._addresses.of(client[0] if client else "", request.headers)
        at = Moment(self._clock.now(), self._clock.monotonic(), address)
        operation = operations.match(request)
        decision = admission.admit(state, request, operation, at)
        self._observer.admitted(decision)
        if decision.verdict is Verdict.ALLOW_ANONYMOUS:
            caller = self._authenticator.stranger(state)
        else:
            caller = self._authenticator.request(
                state, request.method, request.raw_path, request.query, request.headers, at
            )
        if caller.signature is not None:
            self._observer.authenticated()
            if caller.signature.payload is not None:
                request.headers = {**request.headers, b"x-amz-content-sha256": caller.signature.payload}
        if state.maintenance and operation.changes:
            error = AccessError(Reason.MAINTENANCE, "Nothing can be changed now: the operator has switched to reading.")
            error.retry_after = _MAINTENANCE_RETRY
            raise error
        context = context_of(request, caller, at, scope.get("scheme", "http"))
        try:
            filtered = authorize_call(operation, request, caller, context)
        except AccessError as error:
            error.user = caller.identity.name
            raise
        if operation.changes_objects and request.bucket in serving.settings.closed:
            raise S3Error(Code.AccessDenied, "Only replication writes into this bucket.")
        operations.check_parameters(operation, request)
        return Call(
            request,
            operation,
            caller,
            at,
            context,
            state,
            filtered,
            serving.store,
            body,
            serving.settings,
            self._clock,
            self._pool,
            self._authenticator,
            serving.uploads,
        )

    def _error(self, scope: Scope, error: S3Error, seen: Seen) -> Response:
        headers: HeaderList = [(n.encode(), v.encode("latin-1", "replace")) for n, v in error.headers.items()]
        resource = scope["raw_path"].decode("utf-8", "replace")
        document = error_xml(error, resource, seen.request_id, seen.host_id)
        return Response(error.status, [(b"content-type", b"application/xml"), *headers], document)

    async def _send(self, scope: Scope, response: Response, body: RequestBody, send: Send, seen: Seen) -> None:
        """Head and body. A source that fails before its first chunk still gives an error; later the response is cut."""
        first: bytes | memoryview | None = None
        if response.stream is not None and scope["method"] != "HEAD":
            try:
                first = await anext(response.stream, b"")
            except engine.EngineError as error:
                _log.exception("the object cannot be read")
                if response.close is not None:
                    await response.close()
                response = self._error(scope, from_engine(error, "", ""), seen)
        length = response.length if response.length is not None or first is not None else len(response.body)
        headers = [
            (b"x-amz-request-id", seen.request_id.encode()),
            (b"x-amz-id-2", seen.host_id.encode()),
            *response.headers,
        ]
        if response.first is not None and first is not None:
            headers += response.first()
        if response.status not in (204, 304) and length is not None:
            headers.append((b"content-length", b"%d" % length))
        headers += cors.response_headers(self._serving.settings.cors_permissive)
        if body.waits and not body.asked_for:
            # A final answer instead of 100: the client keeps its body, and what comes next on the connection would be
            # ambiguous. The AWS CLI even takes the next response on it for the rest of this one.
            headers.append((b"connection", b"close"))
        elif response.status >= 400:
            await body.drain()
        self._observer.head(seen, response.status, length or 0)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if scope["method"] == "HEAD" or response.status in (204, 304):
            await send({"type": "http.response.body", "body": b""})
        elif first is None:
            await send({"type": "http.response.body", "body": response.body})
        else:
            await self._stream(response, first, length, send, seen)
        if response.status >= 400 and body.asked_for:
            # Closing on what is still under way would take the answer away from who has not read it yet: nginx makes
            # 502 of that.
            await body.drain()

    async def _stream(
        self, response: Response, first: bytes | memoryview, length: int | None, send: Send, seen: Seen
    ) -> None:
        """`length` None: until the stream ends."""
        assert response.stream is not None
        sent, chunk = 0, first
        try:
            while len(chunk):
                sent += len(chunk)
                complete = length is not None and sent >= length
                await send({"type": "http.response.body", "body": bytes(chunk), "more_body": not complete})
                if complete:
                    return
                chunk = await anext(response.stream, b"")
        except engine.EngineError as error:
            _log.exception("a response is cut short")
            raise _Cut from error
        if length is not None:
            raise _Cut
        await send({"type": "http.response.body", "body": b""})
        seen.length = sent


def _operators_answer(rejected: Rejected) -> Response:
    decision = rejected.decision
    return Response(
        decision.status, [(b"content-type", b"text/plain; charset=utf-8")], (decision.message or "").encode()
    )


def _expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def _content_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else None
        if name == b"transfer-encoding":
            return None
    return 0
