"""Groups, and the policies to begin with."""

from fastapi import APIRouter, Depends

from deltaglider_proxy.access.policy.canned import CANNED, bucket_owner
from deltaglider_proxy.admin.guard import IamAdmin, IamReader, RowId, Services, iam_writable
from deltaglider_proxy.admin.last_admin import keep_an_administrator
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.routes.users import copy_name, named
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


def _named_group(services: AdminServices, group_id: int) -> dict[str, object]:
    group = services.control.accounts.groups.get(group_id)
    return {"group": group.name} if group is not None else {}


@router.get("/policies", response_model_exclude_none=True)
async def list_policies(bucket: str | None = None) -> list[CannedPolicy]:
    """With a bucket, also the policy of its owner."""
    found = (*CANNED, bucket_owner(bucket)) if bucket else CANNED
    return [CannedPolicy(name=p.name, description=p.description, permissions=shown(p.permissions)) for p in found]


@router.get("/groups", response_model_exclude_none=True)
async def list_groups(services: Services, caller: IamReader) -> list[GroupView]:
    """All groups, with who is in them."""
    del caller
    return [group_view(group) for group in await services.control.read(lambda unit: unit.groups.list())]


@router.post("/groups", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def create_group(services: Services, caller: IamAdmin, given: NewGroup) -> GroupView:
    """A group, with its rules and its first members."""
    rules = rules_of(given.permissions)

    def create(unit: Unit) -> Group:
        with keep_an_administrator(unit):
            made = unit.groups.create(given.name, given.description, rules)
            if given.member_ids:
                unit.groups.set_members(made.id, given.member_ids)
        return unit.groups.get(made.id)

    async with services.auditor.change(caller.actor, "create_group", given.name) as change:
        made = await services.control.write(create)
        change.details["group_id"] = made.id
    return group_view(made)


@router.get("/groups/{group_id}", response_model_exclude_none=True)
async def get_group(services: Services, caller: IamReader, group_id: RowId) -> GroupView:
    """One group."""
    del caller
    return group_view(await services.control.read(lambda unit: unit.groups.get(group_id)))


@router.put("/groups/{group_id}", response_model_exclude_none=True, dependencies=writable)
async def update_group(services: Services, caller: IamAdmin, group_id: RowId, given: GroupChange) -> GroupView:
    """What is left out stays."""
    rules = rules_of(given.permissions) if given.permissions is not None else None

    def update(unit: Unit) -> Group:
        with keep_an_administrator(unit):
            return unit.groups.update(group_id, name=given.name, description=given.description, rules=rules)

    details = {**_named_group(services, group_id), "changed": sorted(given.model_fields_set)}
    async with services.auditor.change(caller.actor, "update_group", str(group_id), details) as change:
        made = await services.control.write(update)
        change.details["group"] = made.name
    return group_view(made)


@router.delete("/groups/{group_id}", status_code=204, dependencies=writable)
async def delete_group(services: Services, caller: IamAdmin, group_id: RowId) -> None:
    """Its members stay, without its rules."""

    def delete(unit: Unit) -> None:
        with keep_an_administrator(unit):
            unit.groups.delete(group_id)

    details = _named_group(services, group_id)
    async with services.auditor.change(caller.actor, "delete_group", str(group_id), details):
        await services.control.write(delete)


@router.post("/groups/{group_id}/clone", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def clone_group(
    services: Services, caller: IamAdmin, group_id: RowId, given: CloneGroup | None = None
) -> GroupView:
    """The same rules under another name."""
    asked = given or CloneGroup()

    def clone(unit: Unit) -> Group:
        old = unit.groups.get(group_id)
        name = asked.name or copy_name(old.name, lambda wanted: unit.groups.find(wanted) is not None)
        with keep_an_administrator(unit):
            made = unit.groups.create(name, old.description, old.permissions)
            if asked.copy_members and old.member_ids:
                unit.groups.set_members(made.id, old.member_ids)
        return unit.groups.get(made.id)

    target = f"{group_id} -> {asked.name or 'copy'}"
    async with services.auditor.change(caller.actor, "clone_group", target, _named_group(services, group_id)) as change:
        made = await services.control.write(clone)
        change.details |= {"copy": made.name, "copy_id": made.id}
    return group_view(made)


@router.post("/groups/{group_id}/members", dependencies=writable)
async def add_member(services: Services, caller: IamAdmin, group_id: RowId, given: Member) -> None:
    """Whoever is in it already stays so."""

    def add(unit: Unit) -> None:
        # Rules of a group may also deny.
        with keep_an_administrator(unit):
            unit.groups.add_member(group_id, given.user_id)

    target = f"group:{group_id}+user:{given.user_id}"
    details = {**_named_group(services, group_id), **named(services, given.user_id)}
    async with services.auditor.change(caller.actor, "add_member", target, details):
        await services.control.write(add)


@router.delete("/groups/{group_id}/members/{user_id}", status_code=204, dependencies=writable)
async def remove_member(services: Services, caller: IamAdmin, group_id: RowId, user_id: RowId) -> None:
    """The user loses what the rules of the group allow."""

    def remove(unit: Unit) -> None:
        with keep_an_administrator(unit):
            unit.groups.remove_member(group_id, user_id)

    target = f"group:{group_id}+user:{user_id}"
    details = {**_named_group(services, group_id), **named(services, user_id)}
    async with services.auditor.change(caller.actor, "remove_member", target, details):
        await services.control.write(remove)
