"""Full backup and restore.

An archive is everything that opens the doors of this server, in clear: only whoever may do everything gets one. It is
brought back wholly or not at all; what is there already stays.
"""

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from hmac import compare_digest
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from deltaglider_proxy.access.auditor import Actor
from deltaglider_proxy.access.backup import document
from deltaglider_proxy.access.backup.document import Document, InvalidDocument
from deltaglider_proxy.access.backup.merge import Merged, merge
from deltaglider_proxy.admin.backup import archive
from deltaglider_proxy.admin.backup.archive import CONFIG, IAM, SECRETS, Archive, BadArchive, Stage
from deltaglider_proxy.admin.guard import Owner, Services
from deltaglider_proxy.admin.last_admin import keep_an_administrator
from deltaglider_proxy.admin.openapi import BINARY, OBJECT, body, files
from deltaglider_proxy.admin.ports import AdminServices, Applied, Plain, Refused, Restoring
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.settings import PREFIX
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.crypto.passwords import NotAHash, parse_hash

router = APIRouter(prefix="/admin/backup", tags=["backup"])

PATH: Final = f"{PREFIX}admin/backup"
"""Its requests may be larger than others."""
_ZIP: Final = ("application/zip", "application/x-zip-compressed")
_BOOTSTRAP_HASH: Final = "bootstrap_password_hash"


class Format(StrEnum):
    ZIP = "zip"
    JSON = "json"
    """Users and what belongs to them only."""


class Mode(StrEnum):
    """What of an archive is restored."""

    FULL = "full"
    PRESERVE_BOOTSTRAP = "preserve-bootstrap"
    """Everything but the bootstrap password."""
    IAM_ONLY = "iam-only"
    CONFIG_ONLY = "config-only"

    @property
    def restores_config(self) -> bool:
        return self is not Mode.IAM_ONLY

    @property
    def restores_hash(self) -> bool:
        return self in (Mode.FULL, Mode.CONFIG_ONLY)

    @property
    def restores_iam(self) -> bool:
        return self is not Mode.CONFIG_ONLY


class RestoreReport(BaseModel):
    """What was made, and what was there already."""

    users_created: int = 0
    users_skipped: int = 0
    groups_created: int = 0
    groups_skipped: int = 0
    providers_created: int = 0
    providers_skipped: int = 0
    mapping_rules_created: int = 0
    mapping_rules_skipped: int = 0
    memberships_created: int = 0
    external_identities_created: int = 0
    external_identities_skipped: int = 0
    config_restored: bool = False
    bootstrap_hash_restored: bool = False
    requires_restart: bool = False
    dry_run: bool = False
    items: list[str] = Field(default=[], examples=[["create user ana", "keep group ci"]])
    config_diff: Mapping[str, object] | None = None
    warnings: list[str] = []


class _Undone(Exception):
    """Ends a transaction that was only tried."""


@router.get("", response_class=Response, responses=files({_ZIP[0]: BINARY, "application/json": OBJECT}))
async def export(
    services: Services,
    caller: Owner,
    format: Annotated[Format, Query()] = Format.ZIP,  # noqa: A002 - the name of the parameter
) -> Response:
    """A zip of four: `manifest.json`, `config.yaml`, `iam.json`, `secrets.json`. It is a keystore."""
    async with services.auditor.change(caller.actor, "export_backup", format):
        return await _exported(services, format)


async def _exported(services: AdminServices, form: Format) -> Response:
    text, secrets = services.configuration.kept()
    found = await services.control.read(document.export)
    now = services.clock.now()
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"dgp-backup-v{services.settings.version}-{stamp}"
    if form is Format.JSON:
        body = await services.pool.run(document.dump, found)
        return Response(body, media_type="application/json", headers=_attachment(f"{name}.json"))
    clients = {p.name: p.client_secret for p in found.auth_providers if p.client_secret}
    kept = {
        **secrets,
        _BOOTSTRAP_HASH: services.control.bootstrap_hash,
        "oauth_client_secrets": {**_mapping(secrets.get("oauth_client_secrets")), **clients},
    }

    def pack() -> bytes:
        parts = {
            CONFIG: text.encode(),
            IAM: document.dump(found),
            SECRETS: orjson.dumps(kept, option=orjson.OPT_INDENT_2),
        }
        return archive.write(parts, now, services.settings.version)

    body = await services.pool.run(pack)
    return Response(body, media_type="application/zip", headers=_attachment(f"{name}.zip"))


def _attachment(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


@router.post("", openapi_extra=body({_ZIP[0]: BINARY, "application/json": OBJECT}))
async def restore(
    request: Request,
    services: Services,
    caller: Owner,
    mode: Annotated[Mode, Query()] = Mode.FULL,
    dry_run: bool = False,
) -> RestoreReport:
    """An archive (`Content-Type: application/zip`), or the JSON document of users only. Everything is verified before
    anything changes; then all of it takes effect, or nothing.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    whole = kind in _ZIP
    if not whole and mode is Mode.CONFIG_ONLY:
        raise ApiError(400, "invalid_request", "mode: config-only needs an archive: Content-Type: application/zip")
    if not whole:
        mode = Mode.IAM_ONLY
    if mode.restores_iam and services.configuration.settings.access.iam_mode == "declarative":
        raise ApiError(
            403,
            "iam_declarative",
            "users, groups and providers are declared in the configuration (access.iam_mode: declarative)",
            hint="use mode=config-only, or set access.iam_mode: gui",
        )
    given = await services.pool.run(_read if whole else _legacy, body)
    new_hash = await _hash_to_adopt(services, given, mode)
    if dry_run:
        return await _tried(services, given, mode, new_hash)
    return await _restored(services, caller.actor, given, mode, new_hash)


class _Given:
    """The parts, understood."""

    def __init__(self, iam: Document, config: str = "", secrets: Plain | None = None) -> None:
        self.iam = iam
        self.config = config
        self.secrets: Plain = secrets or {}
        """Without the bootstrap hash."""
        hashed = self.secrets.get(_BOOTSTRAP_HASH)
        self.bootstrap_hash = hashed if isinstance(hashed, str) and hashed else None

    @property
    def kept(self) -> tuple[str, Plain]:
        return self.config, self.secrets


def _read(body: bytes) -> _Given:
    """Raises ApiError."""
    try:
        found = archive.read(body)
        return _Given(_iam(found), _text(found), _secrets(found))
    except BadArchive as error:
        raise _bad(error.stage, str(error)) from error


def _legacy(body: bytes) -> _Given:
    try:
        return _Given(document.parse(body))
    except InvalidDocument as error:
        raise _bad(Stage.PARSE_IAM, str(error), error.problems) from error


def _iam(found: Archive) -> Document:
    try:
        return document.parse(found.parts[IAM])
    except InvalidDocument as error:
        raise _bad(Stage.PARSE_IAM, f"{IAM}: {error}", error.problems) from error


def _text(found: Archive) -> str:
    try:
        return found.parts[CONFIG].decode()
    except UnicodeDecodeError:
        raise BadArchive(Stage.PARSE_CONFIG, f"{CONFIG} is not UTF-8") from None


def _secrets(found: Archive) -> dict[str, Any]:
    try:
        secrets = orjson.loads(found.parts[SECRETS])
    except orjson.JSONDecodeError:
        raise BadArchive(Stage.PARSE_SECRETS, f"{SECRETS} is no JSON") from None
    if not isinstance(secrets, dict):
        raise BadArchive(Stage.PARSE_SECRETS, f"{SECRETS} is no object")
    try:
        if secrets.get(_BOOTSTRAP_HASH) is not None:
            secrets[_BOOTSTRAP_HASH] = parse_hash(str(secrets[_BOOTSTRAP_HASH]), f"{SECRETS}: {_BOOTSTRAP_HASH}")
    except NotAHash as error:
        raise BadArchive(Stage.PARSE_SECRETS, str(error)) from None
    return secrets


def _bad(stage: Stage, message: str, problems: tuple[str, ...] = ()) -> ApiError:
    code = "bad_backup"
    return ApiError(400, code, message[:1000], problems=problems[:100] or None, extra={"stage": str(stage)})


async def _hash_to_adopt(services: AdminServices, given: _Given, mode: Mode) -> str | None:
    """None where there is none, or it holds already. Raises ApiError."""
    hashed, control = given.bootstrap_hash, services.control
    if not mode.restores_hash or hashed is None or compare_digest(hashed, control.bootstrap_hash):
        return None
    if control.bootstrap_configured or not await control.read(_was_never_set_up):
        raise ApiError(
            409,
            "other_bootstrap_hash",
            f"{SECRETS}: {_BOOTSTRAP_HASH} is not the one of this server",
            hint="use mode=preserve-bootstrap or mode=iam-only, or start this server with the hash of the archive",
            extra={"stage": str(Stage.VALIDATE_SECRETS)},
        )
    return hashed


def _was_never_set_up(unit: Unit) -> bool:
    return not (
        unit.users.count() or unit.groups.list() or unit.providers.list() or unit.config_revisions.list(limit=1)
    )


async def _tried(services: AdminServices, given: _Given, mode: Mode, new_hash: str | None) -> RestoreReport:
    applied = await _explained(services.configuration.try_restore(given.kept)) if mode.restores_config else None
    merged = Merged()

    def attempt(unit: Unit) -> None:
        nonlocal merged
        merged = _merge(services, unit, given)
        raise _Undone

    if mode.restores_iam:
        with suppress(_Undone):
            await services.control.write(attempt, quiet=True)
    return _report(merged, applied, new_hash, dry_run=True)


async def _restored(
    services: AdminServices, actor: Actor, given: _Given, mode: Mode, new_hash: str | None
) -> RestoreReport:
    merged = Merged()

    def change(unit: Unit) -> None:
        nonlocal merged
        if mode.restores_iam:
            merged = _merge(services, unit, given)

    if not mode.restores_config:

        def alone(unit: Unit) -> None:
            with keep_an_administrator(unit):
                change(unit)

        async with services.auditor.change(actor, "import_backup", "") as begun:
            await services.control.write(alone)
            begun.details |= {"users_created": merged.users_created, "groups_created": merged.groups_created}
        return _report(merged, None, None)
    applied = await _explained(services.configuration.restore(given.kept, actor, Restoring(change, new_hash)))
    return _report(merged, applied, new_hash)


async def _explained(attempt: Awaitable[Applied]) -> Applied:
    """Raises ApiError."""
    try:
        return await attempt
    except Refused as error:
        stage = Stage.PARSE_CONFIG if error.status == 400 else Stage.APPLY
        raise ApiError(
            error.status,
            error.code,
            f"{CONFIG}: {error.message}",
            hint="nothing has changed",
            problems=error.problems or None,
            extra={"stage": str(stage)},
        ) from error


def _merge(services: AdminServices, unit: Unit, given: _Given) -> Merged:
    clients = {str(name): str(text) for name, text in _mapping(given.secrets.get("oauth_client_secrets")).items()}
    was_empty = not unit.users.count()
    merged = merge(unit, given.iam, clients)
    pair = services.configuration.settings.access.access_key_id
    if was_empty and merged.users_created and pair and unit.users.with_key(pair) is None:
        merged.warnings.append(f"there are users now, so requests signed with the configured pair {pair} are refused")
    return merged


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _report(merged: Merged, applied: Applied | None, new_hash: str | None, *, dry_run: bool = False) -> RestoreReport:
    counts = asdict(merged)
    warnings = [*counts.pop("warnings"), *(applied.warnings if applied is not None else ())]
    if applied is not None and applied.error is not None:
        warnings.append(f"{applied.error}; the next start of the server writes it")
    return RestoreReport(
        **counts,
        config_restored=applied is not None,
        bootstrap_hash_restored=new_hash is not None,
        requires_restart=applied is not None and applied.requires_restart,
        dry_run=dry_run,
        config_diff=applied.diff or None if applied is not None else None,
        warnings=warnings,
    )
