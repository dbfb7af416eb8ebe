"""The last lines of the log, of all workers, and those that come: for whoever looks at a server from afar.

The stream is server-sent events, which browsers and `curl -N` read as they are. Events carry the number of their line,
so a client that was cut off goes on where it was, by `Last-Event-ID`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Final, Protocol

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from deltaglider_proxy.admin.guard import AuditReader, Live, Services, Visitor, live_or_none
from deltaglider_proxy.admin.openapi import TEXT, files
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.schemas.times import iso_time
from deltaglider_proxy.telemetry.log_ring import MAX_RESULTS, Kept, LogQuery, query_level

router = APIRouter(prefix="/admin", tags=["logs"])

_LOOK: Final = 0.25
_KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment keeps proxies from closing the connection; also between two looks whether
the caller may still listen.
"""


class LogLine(BaseModel):
    ts: str
    level: str
    target: str
    message: str
    fields: Mapping[str, object]
    exception: str | None = None


class LogPage(BaseModel):
    entries: list[LogLine]
    limit: int
    next_cursor: int | None = None
    """Give it as `cursor` for older lines; absent if there are none."""


Level = Annotated[str, Query(max_length=16, description="The least severe, such as warning; empty: all")]
Target = Annotated[str, Query(max_length=256, description="Part of where a line comes from")]
Search = Annotated[str, Query(max_length=512, description="Part of the text of a line")]


@router.get("/logs", response_model_exclude_none=True)
async def logs(
    services: Services,
    caller: AuditReader,
    level: Level = "",
    target: Target = "",
    q: Search = "",
    limit: Annotated[int, Query(ge=1, le=MAX_RESULTS, description="Lines in one answer")] = 200,
    cursor: Annotated[
        int | None, Query(ge=1, le=1 << 62, description="`next_cursor` of the page before, for older lines")
    ] = None,
) -> LogPage:
    """Newest first. What is given must all hold."""
    del caller
    query = LogQuery(query_level(level), target, q)
    found = await services.pool.run(services.logs.search, query, limit, cursor)
    following = found[-1].number if len(found) == limit else None
    return LogPage(limit=limit, entries=[_line(kept) for kept in found], next_cursor=following)


@router.get("/logs/stream", response_class=StreamingResponse, responses=files({"text/event-stream": TEXT}))
async def stream(
    request: Request,
    services: Services,
    visitor: Visitor,
    caller: AuditReader,
    level: Level = "",
    target: Target = "",
    q: Search = "",
    last_event_id: Annotated[
        int | None, Header(ge=0, le=1 << 62, description="The last line that was received: go on behind it")
    ] = None,
) -> StreamingResponse:
    """Lines as they come (server-sent events): `log`, and `lagged` with how many were gone too soon to be sent."""
    del caller

    async def may_listen() -> bool:
        try:
            now: Live | None = await live_or_none(request, services, visitor)
        except ApiError:
            return False
        return now is not None and now.admin_gui and now.is_admin

    query = LogQuery(query_level(level), target, q)
    events = _events(services, query, last_event_id, may_listen)
    return StreamingResponse(events, media_type="text/event-stream")


class MayListen(Protocol):
    async def __call__(self) -> bool: ...


async def _events(
    services: AdminServices, query: LogQuery, after: int | None, may_listen: MayListen
) -> AsyncIterator[bytes]:
    """Until the client goes away, is signed out, or the server stops."""
    ring, clock = services.logs, services.clock
    seen = ring.count if after is None else after
    sent = looked = clock.monotonic()
    yield b": the log from now on\n\n"
    while not services.draining():
        await asyncio.sleep(_LOOK)
        now = clock.monotonic()
        if now - looked >= _KEEP_ALIVE:
            looked = now
            if not await may_listen():
                return
        if ring.count != seen:
            kept, lost, seen = await services.pool.run(ring.since, seen)
            if lost:
                yield b"event: lagged\ndata: %d\n\n" % lost
            for event in [_event(each) for each in kept if query.matches(each.entry)]:
                sent = now
                yield event
        if now - sent >= _KEEP_ALIVE:
            sent = now
            yield b": nothing new\n\n"


def _event(kept: Kept) -> bytes:
    line = _line(kept).model_dump_json(exclude_none=True)
    return b"id: %d\nevent: log\ndata: %s\n\n" % (kept.number, line.encode())


def _line(kept: Kept) -> LogLine:
    entry = kept.entry
    return LogLine(
        ts=iso_time(entry.time),
        level=entry.level_name,
        target=entry.target,
        message=entry.message,
        fields=entry.fields,
        exception=entry.exception or None,
    )
