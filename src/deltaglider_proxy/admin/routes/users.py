"""Users and their access keys."""

import secrets
import string
from collections.abc import Callable
from itertools import count
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from deltaglider_proxy.admin.guard import IamAdmin, IamReader, RowId, Services, iam_writable
from deltaglider_proxy.admin.last_admin import keep_an_administrator
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.schemas.iam import (
    AddedKey,
    CloneUser,
    KeyChange,
    NewKeys,
    NewUser,
    UserChange,
    UserView,
    rules_of,
    user_view,
)
from deltaglider_proxy.control.model import Effect, MembershipSource, Permission, User
from deltaglider_proxy.control.repositories.users import NewKey
from deltaglider_proxy.control.unit import Unit

router = APIRouter(prefix="/admin/users", tags=["users"])
writable = [Depends(iam_writable)]

LEGACY_ADMIN = "legacy-admin"
_KEY_LETTERS = string.digits + string.ascii_uppercase
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


def named(services: AdminServices, user_id: int) -> dict[str, object]:
    """For the audit log, in which a number says little once the user is gone."""
    account = services.control.accounts.get(user_id)
    return {"user": account.user.name} if account is not None else {}


def new_key(access_key_id: str | None = None, secret: str | None = None, expires_at: float | None = None) -> NewKey:
    """What is not given is made up: 93 and 240 random bits."""
    return NewKey(
        access_key_id or "AK" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(18)),
        secret or "".join(secrets.choice(_SECRET_LETTERS) for _ in range(40)),
        expires_at,
    )


@router.get("", response_model_exclude_none=True)
async def list_users(services: Services, caller: IamReader) -> list[UserView]:
    """All users, without secrets."""
    del caller
    return [user_view(user) for user in await services.control.read(lambda unit: unit.users.list())]


@router.post("", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def create_user(services: Services, caller: IamAdmin, given: NewUser) -> UserView:
    """The secret is in this answer only. The first user ends the time of the configured key pair: it becomes the user
    `legacy-admin`, so that clients go on working.
    """
    rules = rules_of(given.permissions)
    key = new_key(given.access_key_id, given.secret_access_key)
    pair = _configured_pair(services)

    def create(unit: Unit) -> User:
        if pair is not None and not unit.users.count() and key.access_key_id != pair.access_key_id:
            everything = Permission(Effect.ALLOW, ("*",), ("*",))
            unit.users.create(LEGACY_ADMIN, pair, rules=(everything,))
        return unit.users.create(given.name, key, enabled=given.enabled, rules=rules)

    details = {"access_key_id": key.access_key_id}
    async with services.auditor.change(caller.actor, "create_user", given.name, details) as change:
        made = await services.control.write(create)
        change.details["user_id"] = made.id
    return user_view(made, key.secret, key.access_key_id)


def _configured_pair(services: AdminServices) -> NewKey | None:
    access = services.configuration.settings.access
    if not access.access_key_id or not access.secret_access_key:
        return None
    return NewKey(access.access_key_id, access.secret_access_key.reveal())


@router.get("/{user_id}", response_model_exclude_none=True)
async def get_user(services: Services, caller: IamReader, user_id: RowId) -> UserView:
    """One user, without secrets."""
    del caller
    return user_view(await services.control.read(lambda unit: unit.users.get(user_id)))


@router.put("/{user_id}", response_model_exclude_none=True, dependencies=writable)
async def update_user(services: Services, caller: IamAdmin, user_id: RowId, given: UserChange) -> UserView:
    """What is left out stays. Disabling ends the user's sessions."""
    rules = rules_of(given.permissions) if given.permissions is not None else None

    def update(unit: Unit) -> User:
        with keep_an_administrator(unit):
            user = unit.users.update(user_id, name=given.name, enabled=given.enabled, rules=rules)
        if not user.enabled:
            unit.end_access_of(user)
        return user

    details = {**named(services, user_id), "changed": sorted(given.model_fields_set)}
    async with services.auditor.change(caller.actor, "update_user", str(user_id), details) as change:
        made = await services.control.write(update)
        change.details["user"] = made.name
    return user_view(made)


@router.delete("/{user_id}", status_code=204, dependencies=writable)
async def delete_user(
    services: Services,
    caller: IamAdmin,
    user_id: RowId,
    allow_open: Annotated[bool, Query(description="Also the last administrator")] = False,
) -> None:
    """With keys, memberships and sessions. After the last user the configured key pair counts again."""

    def delete(unit: Unit) -> None:
        with keep_an_administrator(unit, even_if_none=allow_open):
            unit.end_access_of(unit.users.get(user_id))
            unit.users.delete(user_id)

    async with services.auditor.change(caller.actor, "delete_user", str(user_id), named(services, user_id)):
        await services.control.write(delete)


@router.post("/{user_id}/rotate-keys", response_model_exclude_none=True, dependencies=writable)
async def rotate_keys(services: Services, caller: IamAdmin, user_id: RowId, given: NewKeys | None = None) -> UserView:
    """New keys in place of all old ones, which open nothing from now on."""
    asked = given or NewKeys()
    key = new_key(asked.access_key_id, asked.secret_access_key)

    def rotate(unit: Unit) -> User:
        unit.end_access_of(unit.users.get(user_id))
        return unit.users.replace_keys(user_id, [key])

    details = {**named(services, user_id), "access_key_id": key.access_key_id}
    async with services.auditor.change(caller.actor, "rotate_keys", str(user_id), details):
        changed = await services.control.write(rotate)
    return user_view(changed, key.secret, key.access_key_id)


@router.post("/{user_id}/access-keys", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def add_key(services: Services, caller: IamAdmin, user_id: RowId, given: AddedKey | None = None) -> UserView:
    """Another key beside those that the user has, so that clients can change over one by one."""
    asked = given or AddedKey()
    key = new_key(asked.access_key_id, asked.secret_access_key, asked.expires_at)
    details = {**named(services, user_id), "access_key_id": key.access_key_id}
    async with services.auditor.change(caller.actor, "add_access_key", str(user_id), details):
        changed = await services.control.write(lambda unit: unit.users.add_key(user_id, key))
    return user_view(changed, key.secret, key.access_key_id)


@router.put("/{user_id}/access-keys/{access_key_id}", response_model_exclude_none=True, dependencies=writable)
async def change_key(
    services: Services, caller: IamAdmin, user_id: RowId, access_key_id: str, given: KeyChange
) -> UserView:
    """Enable or disable one key; disabling ends the sessions that it has opened."""
    details = {**named(services, user_id), "access_key_id": access_key_id, "enabled": given.enabled}

    def switch(unit: Unit) -> User:
        if not given.enabled:
            unit.end_sessions(access_key_id)
        with keep_an_administrator(unit):
            return unit.users.change_key(user_id, access_key_id, enabled=given.enabled)

    async with services.auditor.change(caller.actor, "change_access_key", str(user_id), details):
        changed = await services.control.write(switch)
    return user_view(changed)


@router.delete("/{user_id}/access-keys/{access_key_id}", status_code=204, dependencies=writable)
async def remove_key(services: Services, caller: IamAdmin, user_id: RowId, access_key_id: str) -> None:
    """It opens nothing from now on, and its sessions end."""

    def remove(unit: Unit) -> None:
        with keep_an_administrator(unit):
            unit.users.remove_key(user_id, access_key_id)
        unit.end_sessions(access_key_id)

    details = {**named(services, user_id), "access_key_id": access_key_id}
    async with services.auditor.change(caller.actor, "remove_access_key", str(user_id), details):
        await services.control.write(remove)


@router.post("/{user_id}/clone", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def clone_user(services: Services, caller: IamAdmin, user_id: RowId, given: CloneUser | None = None) -> UserView:
    """The same rights under fresh keys."""
    asked = given or CloneUser()
    key = new_key()

    def clone(unit: Unit) -> User:
        old = unit.users.get(user_id)
        name = asked.name or copy_name(old.name, lambda wanted: unit.users.find(wanted) is not None)
        made = unit.users.create(name, key, enabled=old.enabled, rules=old.permissions)
        if asked.copy_group_memberships:
            for group_id in old.group_ids:
                unit.groups.add_member(group_id, made.id, MembershipSource.MANUAL)
        return unit.users.get(made.id)

    target = f"{user_id} -> {asked.name or 'copy'}"
    details = {**named(services, user_id), "access_key_id": key.access_key_id}
    async with services.auditor.change(caller.actor, "clone_user", target, details) as change:
        made = await services.control.write(clone)
        change.details |= {"copy": made.name, "copy_id": made.id}
    return user_view(made, key.secret, key.access_key_id)


def copy_name(name: str, taken: Callable[[str], bool]) -> str:
    """`X copy1`, `X copy2`, …"""
    for number in count(1):
        ending = f" copy{number}"
        wanted = name[: 64 - len(ending)] + ending
        if not taken(wanted):
            return wanted
    raise AssertionError("there is always another number")
