"""The configuration: looking, trying, changing, going back."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from deltaglider_proxy.admin.guard import ConfigAdmin, ConfigReader, RowId, Services
from deltaglider_proxy.admin.openapi import OBJECT, body, files
from deltaglider_proxy.admin.ports import AdminServices, Applied, SharingFailed
from deltaglider_proxy.admin.problems import ApiError, Problem
from deltaglider_proxy.admin.schemas.iam import Input
from deltaglider_proxy.admin.schemas.times import iso_time
from deltaglider_proxy.config import schema
from deltaglider_proxy.config.settings import section_names
from deltaglider_proxy.control.model import ConfigRevision

router = APIRouter(prefix="/admin/config", tags=["configuration"])

_YAML = "application/yaml"
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The ETag of what was read; 412 if it changed")]
_NAMES = {"enum": list(section_names())}
Section = Annotated[str | None, Query(max_length=32, json_schema_extra=_NAMES)]
OneSection = Annotated[str, Path(json_schema_extra=_NAMES)]


class Document(Input):
    yaml: str = Field(max_length=1 << 20, examples=["advanced: {max_delta_ratio: 0.5}"])
    expanded: bool = Field(default=False, description="References to the environment were resolved by the caller")


class Outcome(BaseModel):
    ok: bool = True
    applied: bool
    persisted: bool
    requires_restart: bool
    warnings: list[str] | None = None
    error: str | None = None
    persisted_path: str | None = None
    diff: Mapping[str, object] | None = None
    revision: int | None = None


class Revision(BaseModel):
    id: int
    applied_at: str
    applied_by: str
    action: str
    summary: str


class FormerDocument(Revision):
    yaml: str = Field(description="As an export: without secrets")
    diff: Mapping[str, object] = Field(description="`before` is what runs now, `after` what a roll-back would make it")


class History(BaseModel):
    revisions: list[Revision]
    next_before: int | None = None


_EITHER = {"application/json": OBJECT, _YAML: OBJECT}
_MERGE_PATCH = body({"application/json": OBJECT}, {"max_delta_ratio": 0.5, "codec_timeout_secs": None})
_NOT_KEPT: dict[int | str, dict[str, Any]] = {
    500: {"model": Outcome, "description": "Applied, but not written: the next start takes it back"}
}


@router.get("/export", response_class=Response, responses=files({_YAML: OBJECT}, etag=True))
async def export(services: Services, caller: ConfigReader, section: Section = None) -> Response:
    """Canonical YAML without secrets."""
    del caller
    _check_section(section)
    text = services.configuration.export(section)
    return Response(text, media_type=_YAML, headers={"etag": f'"{services.configuration.etag}"'})


@router.get("/defaults", response_class=Response, responses=files({"application/schema+json": OBJECT}))
async def defaults(caller: ConfigReader, section: Section = None) -> Response:
    """JSON Schema with descriptions and defaults."""
    del caller
    _check_section(section)
    document = schema.schema() if section is None else schema.section_schema(section)
    return Response(orjson.dumps(document), media_type="application/schema+json")


@router.post("/validate", response_model_exclude_none=True)
async def validate(services: Services, caller: ConfigReader, given: Document) -> Outcome:
    """What applying it would do; changes nothing."""
    del caller
    return _outcome(await services.configuration.validate(given.yaml))


@router.post("/apply", response_model=Outcome, response_model_exclude_none=True, responses=_NOT_KEPT)
async def apply(
    services: Services, caller: ConfigAdmin, given: Document, if_match: IfMatch = None
) -> Outcome | JSONResponse:
    """The whole document in place of the present one. Secrets that it leaves out stay."""
    applied = await services.configuration.apply(
        given.yaml, caller.actor, _etag(if_match), iam=caller.has_scope("iam"), expanded=given.expanded
    )
    return _answer(applied)


@router.get("/section/{section}", response_class=Response, responses=files(_EITHER, etag=True))
async def get_section(
    services: Services,
    caller: ConfigReader,
    section: OneSection,
    format: Annotated[str, Query(max_length=8)] = "json",  # noqa: A002 - the name of the parameter
) -> Response:
    """One section without secrets, as JSON or YAML."""
    del caller
    _check_section(section)
    headers = {"etag": f'"{services.configuration.etag}"'}
    if format == "yaml":
        return Response(services.configuration.export(section), media_type=_YAML, headers=headers)
    return JSONResponse(services.configuration.section(section), headers=headers)


@router.put(
    "/section/{section}",
    response_model=Outcome,
    response_model_exclude_none=True,
    responses=_NOT_KEPT,
    openapi_extra=_MERGE_PATCH,
)
async def put_section(
    request: Request, services: Services, caller: ConfigAdmin, section: OneSection, if_match: IfMatch = None
) -> Outcome | JSONResponse:
    """A merge patch (RFC 7396) of one section: null removes, lists are replaced."""
    _check_section(section)
    patch = await _patch(request)
    applied = await services.configuration.patch(
        section, patch, caller.actor, _etag(if_match), iam=caller.has_scope("iam")
    )
    return _answer(applied)


@router.post("/section/{section}/validate", response_model_exclude_none=True, openapi_extra=_MERGE_PATCH)
async def validate_section(request: Request, services: Services, caller: ConfigReader, section: OneSection) -> Outcome:
    """What this merge patch would do; changes nothing."""
    del caller
    _check_section(section)
    return _outcome(await services.configuration.validate_patch(section, await _patch(request)))


@router.get("/history", response_model_exclude_none=True)
async def history(
    services: Services,
    caller: ConfigReader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[int | None, Query(ge=1, le=1 << 62)] = None,
) -> History:
    """Who applied what, newest first."""
    del caller
    found = await services.control.read(lambda unit: unit.config_revisions.list(limit, before))
    return History(
        revisions=[Revision(**_facts(revision)) for revision in found],
        next_before=found[-1].id if len(found) == limit else None,
    )


@router.get("/history/{revision_id}")
async def former(services: Services, caller: ConfigReader, revision_id: RowId) -> FormerDocument:
    """What was applied then, and how it differs from what runs now."""
    del caller
    revision = await services.control.read(lambda unit: unit.config_revisions.get(revision_id))
    found = await services.configuration.former(revision.document.reveal())
    return FormerDocument(**_facts(revision), yaml=found.text, diff=found.diff)


def _facts(revision: ConfigRevision) -> dict[str, Any]:
    return {
        "id": revision.id,
        "applied_at": iso_time(revision.applied_at),
        "applied_by": revision.applied_by,
        "action": revision.action,
        "summary": revision.summary,
    }


@router.post("/rollback/{revision_id}", response_model=Outcome, response_model_exclude_none=True, responses=_NOT_KEPT)
async def rollback(
    services: Services, caller: ConfigAdmin, revision_id: RowId, if_match: IfMatch = None
) -> Outcome | JSONResponse:
    """Apply what was applied then."""
    revision = await services.control.read(lambda unit: unit.config_revisions.get(revision_id))
    applied = await services.configuration.apply(
        revision.document.reveal(),
        caller.actor,
        _etag(if_match),
        iam=caller.has_scope("iam"),
        action=f"config_rollback:{revision_id}",
    )
    return _answer(applied)


class Synced(BaseModel):
    downloaded: bool
    status: str


@router.post("/sync-now", responses={502: {"model": Problem, "description": "The shared bucket does not answer"}})
async def sync_now(services: Services, caller: ConfigAdmin) -> Synced:
    """Take what other nodes that share the bucket have changed, without waiting for the next look."""
    if services.sharing is None:
        raise ApiError(
            404,
            "sync_off",
            "this server shares its users with no other",
            hint="set advanced.config_sync_bucket and restart",
        )
    async with services.auditor.change(caller.actor, "config_sync_now", ""):
        try:
            taken = await services.sharing.pull()
        except SharingFailed as error:
            raise ApiError(502, "sync_failed", str(error)) from error
    return Synced(downloaded=taken, status="took what other nodes have changed" if taken else "nothing new")


@router.get("")
async def flat(services: Services, caller: ConfigReader) -> dict[str, object]:
    """Effective values, without secrets, and which of them the file does not decide."""
    del caller
    return flat_view(services)


def flat_view(services: AdminServices) -> dict[str, object]:
    return {**services.configuration.flat(), "auth_enabled": services.control.state.mode != "open"}


def _check_section(section: str | None) -> None:
    if section is not None and section not in set(section_names()):
        names = ", ".join(section_names())
        raise ApiError(404, "no_such_section", f"section: {section!r}: use {names}", extra={"ok": False})


async def _patch(request: Request) -> object:
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid_request", f"body: is no JSON: {error}", extra={"ok": False}) from error


def _etag(text: str | None) -> str | None:
    return None if text is None or text.strip() == "*" else text.strip().removeprefix("W/").strip('"')


def _outcome(applied: Applied) -> Outcome:
    return Outcome(
        ok=applied.error is None,
        applied=applied.applied,
        persisted=applied.persisted,
        requires_restart=applied.requires_restart,
        warnings=list(applied.warnings) or None,
        error=applied.error,
        persisted_path=applied.path,
        diff=applied.diff or None,
        revision=applied.revision,
    )


def _answer(applied: Applied) -> Outcome | JSONResponse:
    outcome = _outcome(applied)
    if applied.applied and not applied.persisted:
        return JSONResponse(outcome.model_dump(exclude_none=True), 500)
    return outcome
