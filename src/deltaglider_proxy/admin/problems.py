"""Errors as `application/problem+json` (RFC 9457), all in one form. `error` repeats `code` for older clients."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from deltaglider_proxy.access.errors import AccessError
from deltaglider_proxy.access.policy.validate import InvalidPermissions
from deltaglider_proxy.admin.ports import Refused as ConfigRefused
from deltaglider_proxy.control.audit.log import AuditUnavailable
from deltaglider_proxy.control.errors import AlreadyExists, ControlError, DatabaseUnavailable, NotFound, Refused
from deltaglider_proxy.crypto.passwords import NotAHash, WeakPassword

_log = structlog.get_logger("deltaglider_proxy.admin")

_CODES: Final = {404: "no_such_route", 405: "method_not_allowed", 408: "too_slow", 413: "too_large"}
_REFUSALS: Final = frozenset({401, 403, 412, 422})


class Problem(BaseModel):
    """Why a request was refused."""

    type: str = "about:blank"
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["a user with the name 'ana' exists already"])
    code: str = Field(examples=["already_exists"])
    """Stable; to be compared by programs."""
    error: str = Field(examples=["already_exists"])
    """The same as `code`."""
    field: str | None = Field(default=None, examples=["name"])
    hint: str | None = None
    """What to do about it."""
    problems: list[str] | None = None
    """All that is wrong, where it is more than one thing."""
    request_id: str = ""


class ApiError(Exception):
    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        hint: str | None = None,
        problems: tuple[str, ...] | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
        told: bool = False,
    ) -> None:
        """`told`: the audit log has it already, in better words."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.hint = hint
        self.problems = problems
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        """Fields that older clients look for."""
        self.told = told


def explained(error: Exception) -> ApiError:
    """What the client is told of an error of the layers below."""
    match error:
        case ApiError():
            return error
        case NotFound():
            return ApiError(404, "not_found", str(error))
        case AlreadyExists():
            return ApiError(409, "already_exists", str(error), field=error.field.replace(" ", "_"))
        case Refused():
            return ApiError(409, "refused", str(error))
        case DatabaseUnavailable():
            # Where the database is, and why it does not answer, is for the log alone: anyone may ask who they are.
            hint = "try again; the log says more"
            return ApiError(503, "database_unavailable", "the database does not answer", hint=hint)
        case ControlError():
            hint = "see the log; nothing was changed"
            return ApiError(503, "database_unavailable", str(error), hint=hint)
        case AuditUnavailable():
            return ApiError(503, "audit_unavailable", str(error), hint="free space where the audit log lies")
        case ConfigRefused():
            return ApiError(error.status, error.code, error.message, problems=error.problems or None)
        case InvalidPermissions():
            found = tuple(map(str, error.problems))
            return ApiError(400, "invalid_permissions", found[0], field=error.problems[0].path, problems=found)
        case WeakPassword():
            return ApiError(400, "weak_password", str(error), field="new_password")
        case NotAHash():
            return ApiError(400, "not_a_hash", str(error))
        case AccessError():
            return ApiError(403, str(error.reason), error.message)
        case _:
            return ApiError(500, "internal_error", "something went wrong; the log has the request id")


def code_of(error: Exception) -> str:
    return explained(error).code


def _log_what_is_ours(error: Exception, code: str) -> None:
    if isinstance(error, DatabaseUnavailable):
        _log.error("the database cannot be used", reason=str(error))
    elif code == "internal_error":
        _log.error("unexpected error", exc_info=error)


def response_of(error: ApiError, request_id: str) -> JSONResponse:
    problem = Problem(
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail,
        code=error.code,
        error=error.code,
        field=error.field,
        hint=error.hint,
        problems=list(error.problems) if error.problems else None,
        request_id=request_id,
    )
    content = {**error.extra, **problem.model_dump(exclude_none=True)}
    return JSONResponse(content, error.status, error.headers, "application/problem+json")


def install(app: FastAPI, on_refusal: Callable[[Request, ApiError], None]) -> None:
    """`on_refusal` is told of everything that somebody may not do, or not as things are."""

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        refusal = explained(error)
        _log_what_is_ours(error, refusal.code)
        if refusal.status in _REFUSALS and not refusal.told:
            on_refusal(request, refusal)
        return response_of(refusal, request.scope.get("dgp_request_id", ""))

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = tuple(
            f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}" for item in error.errors()
        )
        field = found[0].partition(":")[0]
        refusal = ApiError(400, "invalid_request", found[0], field=field, problems=found)
        return response_of(refusal, request.scope.get("dgp_request_id", ""))

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "refused")
        detail = f"{request.method} {request.url.path}: {error.detail}"
        refusal = ApiError(error.status_code, code, detail, headers=error.headers)
        return response_of(refusal, request.scope.get("dgp_request_id", ""))

    for kind in (
        ApiError,
        ControlError,
        AuditUnavailable,
        ConfigRefused,
        InvalidPermissions,
        WeakPassword,
        NotAHash,
        AccessError,
    ):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(Exception, on_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
