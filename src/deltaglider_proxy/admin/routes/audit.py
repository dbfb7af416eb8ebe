"""The audit log."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from deltaglider_proxy.admin.guard import AuditReader, Services
from deltaglider_proxy.control.audit import search

router = APIRouter(prefix="/admin", tags=["audit"])


class AuditPage(BaseModel):
    entries: list[Mapping[str, object]]
    limit: int
    next_cursor: int | None = None


class Verification(BaseModel):
    intact: bool
    file: str | None = None
    line: int | None = None
    problem: str | None = None


Text = Annotated[str | None, Query(max_length=512)]


@router.get("/audit", response_model_exclude_none=True)
async def audit(
    services: Services,
    caller: AuditReader,
    limit: Annotated[int, Query(ge=1, le=search.MAX_LIMIT)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=1 << 62)] = None,
    user: Text = None,
    action: Text = None,
    bucket: Text = None,
    outcome: Text = None,
    since: Text = None,
    until: Text = None,
    q: Text = None,
) -> AuditPage:
    """Newest first. `since` and `until` are RFC 3339 in UTC; `q` is part of any field."""
    del caller
    query = search.Query(user, action, bucket, outcome, since, until, q, cursor)
    page = await services.pool.run(search.search, services.audit_dir, query, limit)
    return AuditPage(entries=list(page.entries), limit=limit, next_cursor=page.next_before)


@router.get("/audit/export")
async def export(
    services: Services,
    caller: AuditReader,
    format: Literal["csv", "jsonl"] = "csv",  # noqa: A002 - the name of the parameter
    user: Text = None,
    action: Text = None,
    bucket: Text = None,
    outcome: Text = None,
    since: Text = None,
    until: Text = None,
    q: Text = None,
) -> StreamingResponse:
    """All that match, as a file."""
    query = search.Query(user, action, bucket, outcome, since, until, q)
    await services.auditor.administered(caller.actor, "audit_export", format)
    entries = search.matching(services.audit_dir, query)
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
