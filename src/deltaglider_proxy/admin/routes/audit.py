"""The audit log."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from deltaglider_proxy.admin.guard import AuditReader, Services
from deltaglider_proxy.admin.openapi import TEXT, files
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.control.audit import search

router = APIRouter(prefix="/admin", tags=["audit"])

_MOST = 512


class AuditPage(BaseModel):
    entries: list[Mapping[str, object]]
    limit: int
    next_cursor: int | None = None


class Verification(BaseModel):
    intact: bool
    file: str | None = None
    line: int | None = None
    problem: str | None = None


def _query(
    user: Annotated[str | None, Query(max_length=_MOST, description="Who did it; the whole name")] = None,
    action: Annotated[
        str | None, Query(max_length=_MOST, description="What was done; the whole name, such as create_user")
    ] = None,
    bucket: Annotated[str | None, Query(max_length=_MOST, description="The whole name")] = None,
    outcome: Annotated[
        Literal["begun", "ok", "failed", "denied"] | None,
        Query(description="A change is recorded as begun, and again as ok or failed"),
    ] = None,
    since: Annotated[
        str | None,
        Query(
            max_length=_MOST, description="From this moment on, in RFC 3339: 2026-01-31T12:00:00Z, or with an offset"
        ),
    ] = None,
    until: Annotated[
        str | None, Query(max_length=_MOST, description="Before this moment, which is left out itself; in RFC 3339")
    ] = None,
    from_: Annotated[str | None, Query(alias="from", max_length=_MOST, description="The same as since")] = None,
    to: Annotated[str | None, Query(max_length=_MOST, description="The same as until")] = None,
    q: Annotated[
        str | None, Query(max_length=_MOST, description="Part of any field; upper and lower case differ")
    ] = None,
) -> search.Query:
    """Raises ApiError(400)."""
    beginning = _moment("since", since, "from", from_)
    return search.Query(user, action, bucket, outcome, beginning, _moment("until", until, "to", to), q)


def _moment(name: str, text: str | None, alias: str, other: str | None) -> str | None:
    if text is not None and other is not None:
        raise ApiError(400, "invalid_request", f"{alias}: is the same as {name}; give one of them", field=alias)
    field, given = (alias, other) if text is None else (name, text)
    if given is None:
        return None
    try:
        return search.moment(given)
    except ValueError as error:
        raise ApiError(400, "invalid_request", f"{field}: {error}", field=field) from error


Wanted = Annotated[search.Query, Depends(_query)]


@router.get("/audit", response_model_exclude_none=True)
async def audit(
    services: Services,
    caller: AuditReader,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=search.MAX_LIMIT, description="Entries in one answer")] = 100,
    cursor: Annotated[
        int | None, Query(ge=1, le=1 << 62, description="`next_cursor` of the page before, for older entries")
    ] = None,
) -> AuditPage:
    """Newest first. What is given must all hold."""
    del caller
    query = replace(wanted, before=cursor)
    page = await services.pool.run(search.search, services.audit_dir, query, limit)
    return AuditPage(entries=list(page.entries), limit=limit, next_cursor=page.next_before)


@router.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses=files({"text/csv": TEXT, "application/x-ndjson": TEXT}),
)
async def export(
    services: Services,
    caller: AuditReader,
    wanted: Wanted,
    format: Annotated[  # noqa: A002 - the name of the parameter
        Literal["csv", "jsonl"], Query(description="For a spreadsheet, or one JSON object in each line")
    ] = "csv",
) -> StreamingResponse:
    """All that match, as a file."""
    await services.auditor.administered(caller.actor, "audit_export", format)
    entries = search.matching(services.audit_dir, wanted)
    is_csv = format == "csv"
    return StreamingResponse(
        search.as_csv(entries) if is_csv else search.as_json_lines(entries),
        media_type="text/csv; charset=utf-8" if is_csv else "application/x-ndjson",
        headers={"content-disposition": f'attachment; filename="audit.{format}"'},
    )


@router.post("/audit/verify", response_model_exclude_none=True)
async def verify(services: Services, caller: AuditReader) -> Verification:
    """Whether anything was changed, removed or moved since it was written."""
    del caller
    damage = await services.pool.run(services.verify_audit)
    if damage is None:
        return Verification(intact=True)
    return Verification(intact=False, file=damage.file, line=damage.line, problem=damage.what)
