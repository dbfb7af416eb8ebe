"""Backends: which there are, whether they answer, adding and removing them."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from deltaglider_proxy.admin.guard import Services, StorageAdmin, StorageReader
from deltaglider_proxy.admin.ports import Applied
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.schemas.iam import Input
from deltaglider_proxy.config.backends import FilesystemBackend, S3Backend
from deltaglider_proxy.config.storage import SINGLETON, Storage

router = APIRouter(prefix="/admin", tags=["backends"])


class Health(BaseModel):
    status: str = Field(examples=["healthy"])
    detail: str | None = None
    probed_at: float


class BackendView(BaseModel):
    name: str
    backend_type: str
    path: str | None = None
    endpoint: str | None = None
    region: str | None = None
    force_path_style: bool | None = None
    has_credentials: bool
    encryption: Mapping[str, object]
    is_synthesized: bool | None = None


class Backends(BaseModel):
    backends: list[BackendView]
    default_backend: str | None = None


class NewBackend(Input):
    name: str = Field(min_length=1, max_length=64, examples=["archive"])
    type: Literal["filesystem", "s3"]
    path: str | None = Field(default=None, max_length=4096, examples=["/srv/objects"])
    endpoint: str | None = Field(default=None, max_length=2048, examples=["https://s3.eu-central-1.amazonaws.com"])
    region: str | None = Field(default=None, max_length=128)
    force_path_style: bool | None = None
    access_key_id: str | None = Field(default=None, max_length=256)
    secret_access_key: str | None = Field(default=None, max_length=256)
    allow_local: bool | None = None
    set_default: bool = False


class Success(BaseModel):
    success: bool = True
    requires_restart: bool = False
    warnings: list[str] | None = None


class TestS3(Input):
    endpoint: str | None = Field(default=None, max_length=2048, examples=["https://s3.eu-central-1.amazonaws.com"])
    region: str | None = Field(default=None, max_length=128)
    force_path_style: bool | None = None
    access_key_id: str | None = Field(default=None, max_length=256)
    secret_access_key: str | None = Field(default=None, max_length=256)
    allow_local: bool | None = None


class TestedS3(BaseModel):
    success: bool
    buckets: list[str] | None = None
    error: str | None = None
    error_kind: str | None = None


@router.get("/backends", response_model_exclude_none=True)
async def list_backends(services: Services, caller: StorageReader) -> Backends:
    """Where objects are stored, without secrets."""
    del caller
    section = services.configuration.settings.storage
    views = [
        _view(backend.name, backend, {"mode": backend.encryption.mode}, synthesized=None)
        for backend in section.backends
    ] or [_view(SINGLETON, section.backend, {"mode": section.backend_encryption.mode}, synthesized=True)]
    return Backends(backends=views, default_backend=section.default_backend or views[0].name)


def _view(
    name: str, backend: FilesystemBackend | S3Backend, encryption: Mapping[str, object], *, synthesized: bool | None
) -> BackendView:
    if isinstance(backend, FilesystemBackend):
        return BackendView(
            name=name,
            backend_type="filesystem",
            path=backend.path,
            has_credentials=False,
            encryption=encryption,
            is_synthesized=synthesized,
        )
    return BackendView(
        name=name,
        backend_type="s3",
        endpoint=backend.endpoint,
        region=backend.region,
        force_path_style=backend.force_path_style,
        has_credentials=bool(backend.access_key_id and backend.secret_access_key),
        encryption=encryption,
        is_synthesized=synthesized,
    )


@router.post("/backends", status_code=201, response_model=Success, response_model_exclude_none=True)
async def add_backend(services: Services, caller: StorageAdmin, given: NewBackend) -> Success | JSONResponse:
    """The first one that is added makes the single backend of before an entry named `default`."""
    section = services.configuration.settings.storage
    names = {backend.name for backend in section.backends} or {SINGLETON}
    if given.name in names:
        raise ApiError(409, "already_exists", f"a backend named {given.name!r} exists already", field="name")
    listed = _listed(services.configuration.section("storage"), section)
    wanted = {"path": given.path} if given.type == "filesystem" else _service_fields(given)
    if given.type == "filesystem" and not given.path:
        raise ApiError(400, "invalid_request", "path: is needed for a filesystem backend", field="path")
    entry = {"name": given.name, "type": given.type, **{n: v for n, v in wanted.items() if v is not None}}
    patch: dict[str, object] = {"backend": None, "backend_encryption": None, "backends": [*listed, entry]}
    if given.set_default:
        patch["default_backend"] = given.name
    elif section.default_backend is None:
        patch["default_backend"] = section.backends[0].name if section.backends else SINGLETON
    return _answer(await services.configuration.patch("storage", patch, caller.actor, None))


def _service_fields(given: NewBackend) -> dict[str, object]:
    return {
        "endpoint": given.endpoint,
        "region": given.region,
        "force_path_style": given.force_path_style,
        "access_key_id": given.access_key_id,
        "secret_access_key": given.secret_access_key,
        "allow_local": given.allow_local,
    }


def _listed(shown: Mapping[str, object], section: Storage) -> list[object]:
    """The entries of now, without secrets: what is left out stays as it is."""
    entries = shown.get("backends")
    if isinstance(entries, list) and section.backends:
        return entries
    single = shown.get("backend")
    fields = single if isinstance(single, dict) else {"type": "filesystem", "path": "./data"}
    return [{"name": SINGLETON, **fields}]


@router.delete("/backends/{name}", response_model=Success, response_model_exclude_none=True)
async def remove_backend(services: Services, caller: StorageAdmin, name: str) -> Success | JSONResponse:
    """Its data stays where it is."""
    section = services.configuration.settings.storage
    names = [backend.name for backend in section.backends]
    if name not in names:
        if name == SINGLETON and not names:
            raise ApiError(409, "in_use", "this is the only backend")
        raise ApiError(404, "not_found", f"there is no backend {name!r}")
    if name == (section.default_backend or names[0]):
        raise ApiError(409, "in_use", "this is the default backend", hint="set another storage.default_backend first")
    routed = sorted(bucket for bucket, policy in section.buckets.items() if policy.backend == name)
    if routed:
        raise ApiError(409, "in_use", f"buckets are routed to it: {', '.join(routed)}")
    entries = services.configuration.section("storage").get("backends")
    assert isinstance(entries, list)
    kept = [entry for entry in entries if entry["name"] != name]
    return _answer(await services.configuration.patch("storage", {"backends": kept}, caller.actor, None))


def _answer(applied: Applied) -> Success | JSONResponse:
    if not applied.persisted:
        return JSONResponse({"success": False, "error": applied.error or "applied, but not written"}, 500)
    return Success(requires_restart=applied.requires_restart, warnings=list(applied.warnings) or None)


@router.post("/backends/{name}/probe", response_model_exclude_none=True)
async def probe(services: Services, caller: StorageReader, name: str) -> Health:
    """Ask it now."""
    async with services.auditor.change(caller.actor, "backend_probe", name) as change:
        try:
            found = await services.backends.probe(name)
        except KeyError as error:
            raise ApiError(404, "not_found", f"there is no backend {name!r}") from error
        change.details["status"] = found.status
    return Health(status=found.status, detail=found.detail or None, probed_at=found.probed_at)


@router.post("/test-s3", response_model_exclude_none=True)
async def test_s3(services: Services, caller: StorageAdmin, given: TestS3) -> TestedS3:
    """Whether an S3 service answers; what is left out is taken from the default backend."""
    async with services.auditor.change(caller.actor, "test_s3", given.endpoint or "") as change:
        found = await services.backends.test(given.model_dump(exclude_none=True))
        if found.error:
            change.failed(found.error_kind or "unknown")
    return TestedS3(
        success=not found.error,
        buckets=list(found.buckets) if not found.error else None,
        error=found.error or None,
        error_kind=found.error_kind or None,
    )
