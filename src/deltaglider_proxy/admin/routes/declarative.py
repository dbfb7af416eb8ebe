"""Users, groups and providers as a document, for those who keep them by hand so far."""

from fastapi import APIRouter, Response
from pydantic import BaseModel

from deltaglider_proxy.access.declarative.desired import Desired, InvalidIam, desired_of
from deltaglider_proxy.access.declarative.export import export as export_access
from deltaglider_proxy.access.declarative.reconcile import CannotReconcile, Plan, plan, reconcile
from deltaglider_proxy.admin.guard import IamAdmin, IamReader, Services
from deltaglider_proxy.admin.last_admin import keep_an_administrator
from deltaglider_proxy.admin.openapi import OBJECT, files
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.routes.config import Document
from deltaglider_proxy.config import yaml_out
from deltaglider_proxy.control.unit import Unit

router = APIRouter(prefix="/admin/config", tags=["declarative IAM"])

_YAML = "application/yaml"
BY = "iam-yaml-import"


class Changes(BaseModel):
    users_created: int
    users_updated: int
    users_deleted: int
    groups_created: int
    groups_updated: int
    groups_deleted: int
    providers_created: int
    providers_updated: int
    providers_deleted: int
    mapping_rules_replaced: int
    no_changes: bool
    names: dict[str, list[str]]
    """By kind and verb, as in `users_created`."""


@router.get("/declarative-iam-export", response_class=Response, responses=files({_YAML: OBJECT}))
async def export(services: Services, caller: IamAdmin, include_secrets: bool = False) -> Response:
    """Applied again, it changes nothing. Without secrets those of now stay."""

    def read(unit: Unit) -> dict[str, object]:
        return export_access(unit, secrets=include_secrets)

    if include_secrets:
        async with services.auditor.change(caller.actor, "iam_export_secrets", ""):
            found = await services.control.read(read)
    else:
        found = await services.control.read(read)
    return Response(yaml_out.dump(found), media_type=_YAML)


@router.post("/declarative-iam-validate")
async def validate(services: Services, caller: IamReader, given: Document) -> Changes:
    """What applying it would change."""
    del caller
    desired = await _desired(services, given.yaml)
    try:
        return _changes(await services.control.read(lambda unit: plan(unit, desired)))
    except CannotReconcile as error:
        raise ApiError(400, "iam_refused", str(error)) from error


@router.post("/declarative-iam-apply")
async def apply(services: Services, caller: IamAdmin, given: Document) -> Changes:
    """In place of what there is, in one transaction. Where the configuration declares users, they are changed there."""
    if services.configuration.settings.access.iam_mode == "declarative":
        raise ApiError(403, "iam_declarative", "users are declared in the configuration, and changed there")
    desired = await _desired(services, given.yaml)

    def change(unit: Unit) -> Plan:
        with keep_an_administrator(unit):
            return reconcile(unit, desired)

    async with services.auditor.change(caller.actor, "iam_import", "") as begun:
        try:
            found = await services.control.write(change)
        except CannotReconcile as error:
            raise ApiError(400, "iam_refused", str(error)) from error
        changes = _changes(found)
        begun.details |= changes.names
    return changes


async def _desired(services: AdminServices, text: str) -> Desired:
    """Raises ApiError, Refused."""
    try:
        return desired_of(await services.configuration.access_of(text))
    except InvalidIam as error:
        raise ApiError(400, "invalid_iam", error.problems[0], problems=error.problems) from error


def _changes(found: Plan) -> Changes:
    kinds = (("users", found.users), ("groups", found.groups), ("providers", found.providers))
    names = {
        f"{kind}_{verb}": list(getattr(listed, verb))
        for kind, listed in kinds
        for verb in ("created", "updated", "deleted")
    }
    return Changes(
        **{name: len(listed) for name, listed in names.items()},
        mapping_rules_replaced=found.rules or 0,
        no_changes=not found,
        names={name: listed for name, listed in names.items() if listed},
    )
