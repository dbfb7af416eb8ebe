"""The audit log, and the last lines of the log."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from deltaglider_proxy.admin.guard import AuditReader, Services
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.schemas.times import iso_time
from deltaglider_proxy.control.audit import search
from deltaglider_proxy.telemetry.log_lines import LogEntry
from deltaglider_proxy.telemetry.log_ring import LogQuery, query_level

router = APIRouter(prefix="/admin", tags=["audit"])

_LOOK: Final = 0.25
_KEEP_ALIVE: Final = 15.0


class AuditPage(BaseModel):
    entries: list[Mapping[str, object]]
    limit: int
    next_cursor: int | None = None


class Verification(BaseModel):
    intact: bool
    file: str | None = None
    line: int | None = None
    problem: str | None = None


class LogLine(BaseModel):
    ts: str
    level: str
    target: str
    message: str
    fields: Mapping[str, object]


class LogPage(BaseModel):
    entries: list[LogLine]
    limit: int


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


Level = Annotated[str, Query(max_length=16)]
Target = Annotated[str, Query(max_length=256)]
Search = Annotated[str, Query(max_length=512)]


@router.get("/logs")
async def logs(
    services: Services,
    caller: AuditReader,
    level: Level = "",
    target: Target = "",
    q: Search = "",
    limit: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> LogPage:
    """The last lines of this worker, newest first."""
    del caller
    found = services.logs.search(LogQuery(query_level(level) if level else 0, target, q), limit)
    return LogPage(limit=limit, entries=[_line(entry) for entry in found])


@router.get("/logs/stream", response_class=StreamingResponse)
async def stream(
    services: Services, caller: AuditReader, level: Level = "", target: Target = "", q: Search = ""
) -> StreamingResponse:
    """Lines of this worker as they come (server-sent events): `log`, and `lagged` with how many were too fast."""
    del caller
    query = LogQuery(query_level(level) if level else 0, target, q)
    return StreamingResponse(_events(services, query), media_type="text/event-stream")


async def _events(services: AdminServices, query: LogQuery) -> AsyncIterator[bytes]:
    """Until the client goes away or the server stops. A comment now and then keeps proxies from closing it."""
    ring = services.logs
    seen, quiet = ring.count, 0.0
    yield b": this worker's log from now on\n\n"
    while not services.draining():
        await asyncio.sleep(_LOOK)
        entries, lost, seen = ring.since(seen)
        if lost:
            yield b"event: lagged\ndata: %d\n\n" % lost
        lines = [_line(entry).model_dump_json() for entry in entries if query.matches(entry)]
        for line in lines:
            yield b"event: log\ndata: " + line.encode() + b"\n\n"
        quiet = 0.0 if lines else quiet + _LOOK
        if quiet >= _KEEP_ALIVE:
            quiet = 0.0
            yield b": nothing new\n\n"


def _line(entry: LogEntry) -> LogLine:
    return LogLine(
        ts=iso_time(entry.time),
        level=entry.level_name,
        target=entry.target,
        message=entry.message,
        fields=entry.fields or {},
    )
