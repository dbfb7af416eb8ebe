"""Groups, and the policies to begin with."""

from fastapi import APIRouter, Depends

from deltaglider_proxy.access.policy.canned import CANNED, bucket_owner
from deltaglider_proxy.admin.guard import IamAdmin, IamReader, RowId, Services, iam_writable
from deltaglider_proxy.admin.last_admin import keep_an_administrator
from deltaglider_proxy.admin.routes.users import copy_name
from deltaglider_proxy.admin.schemas.iam import (
    CannedPolicy,
    CloneGroup,
    GroupChange,
    GroupView,
    Member,
    NewGroup,
    group_view,
    rules_of,
    shown,
)
from deltaglider_proxy.control.model import Group
from deltaglider_proxy.control.unit import Unit

router = APIRouter(prefix="/admin", tags=["groups"])
writable = [Depends(iam_writable)]


@router.get("/policies", response_model_exclude_none=True)
async def list_policies(bucket: str | None = None) -> list[CannedPolicy]:
    """With a bucket, also the policy of its owner."""
    found = (*CANNED, bucket_owner(bucket)) if bucket else CANNED
    return [CannedPolicy(name=p.name, description=p.description, permissions=shown(p.permissions)) for p in found]


@router.get("/groups", response_model_exclude_none=True)
async def list_groups(services: Services, caller: IamReader) -> list[GroupView]:
    del caller
    return [group_view(group) for group in await services.control.read(lambda unit: unit.groups.list())]


@router.post("/groups", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def create_group(services: Services, caller: IamAdmin, given: NewGroup) -> GroupView:
    rules = rules_of(given.permissions)
    await services.auditor.administered(caller.actor, "create_group", given.name)

    def create(unit: Unit) -> Group:
        with keep_an_administrator(unit):
            made = unit.groups.create(given.name, given.description, rules)
            if given.member_ids:
                unit.groups.set_members(made.id, given.member_ids)
        return unit.groups.get(made.id)

    return group_view(await services.control.write(create))


@router.get("/groups/{group_id}", response_model_exclude_none=True)
async def get_group(services: Services, caller: IamReader, group_id: RowId) -> GroupView:
    del caller
    return group_view(await services.control.read(lambda unit: unit.groups.get(group_id)))


@router.put("/groups/{group_id}", response_model_exclude_none=True, dependencies=writable)
async def update_group(services: Services, caller: IamAdmin, group_id: RowId, given: GroupChange) -> GroupView:
    rules = rules_of(given.permissions) if given.permissions is not None else None
    changed = sorted(given.model_fields_set)
    await services.auditor.administered(caller.actor, "update_group", str(group_id), details={"changed": changed})

    def update(unit: Unit) -> Group:
        with keep_an_administrator(unit):
            return unit.groups.update(group_id, name=given.name, description=given.description, rules=rules)

    return group_view(await services.control.write(update))


@router.delete("/groups/{group_id}", status_code=204, dependencies=writable)
async def delete_group(services: Services, caller: IamAdmin, group_id: RowId) -> None:
    await services.auditor.administered(caller.actor, "delete_group", str(group_id))

    def delete(unit: Unit) -> None:
        with keep_an_administrator(unit):
            unit.groups.delete(group_id)

    await services.control.write(delete)


@router.post("/groups/{group_id}/clone", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def clone_group(
    services: Services, caller: IamAdmin, group_id: RowId, given: CloneGroup | None = None
) -> GroupView:
    asked = given or CloneGroup()
    await services.auditor.administered(caller.actor, "clone_group", f"{group_id} -> {asked.name or 'copy'}")

    def clone(unit: Unit) -> Group:
        old = unit.groups.get(group_id)
        name = asked.name or copy_name(old.name, lambda wanted: unit.groups.find(wanted) is not None)
        with keep_an_administrator(unit):
            made = unit.groups.create(name, old.description, old.permissions)
            if asked.copy_members and old.member_ids:
                unit.groups.set_members(made.id, old.member_ids)
        return unit.groups.get(made.id)

    return group_view(await services.control.write(clone))


@router.post("/groups/{group_id}/members", dependencies=writable)
async def add_member(services: Services, caller: IamAdmin, group_id: RowId, given: Member) -> None:
    target = f"group:{group_id}+user:{given.user_id}"
    await services.auditor.administered(caller.actor, "add_member", target)

    def add(unit: Unit) -> None:
        # Rules of a group may also deny.
        with keep_an_administrator(unit):
            unit.groups.add_member(group_id, given.user_id)

    await services.control.write(add)


@router.delete("/groups/{group_id}/members/{user_id}", status_code=204, dependencies=writable)
async def remove_member(services: Services, caller: IamAdmin, group_id: RowId, user_id: RowId) -> None:
    target = f"group:{group_id}+user:{user_id}"
    await services.auditor.administered(caller.actor, "remove_member", target)

    def remove(unit: Unit) -> None:
        with keep_an_administrator(unit):
            unit.groups.remove_member(group_id, user_id)

    await services.control.write(remove)
