"""Who one is, told to everyone; what this server is, told to those who have signed in."""

from typing import Annotated

from fastapi import APIRouter, Depends

from deltaglider_proxy.access.accounts import Account
from deltaglider_proxy.admin.guard import Live, Services, Visitor, live_or_none, throttle
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.routes.key_pairs import account_of
from deltaglider_proxy.admin.schemas.iam import shown
from deltaglider_proxy.admin.schemas.sign_in import ExternalProvider, KeyPair, Me, Whoami
from deltaglider_proxy.control.model import Effect, Permission

router = APIRouter(tags=["identity"])

_EVERYTHING = Permission(Effect.ALLOW, ("*",), ("*",))


@router.get("/whoami", response_model_exclude_none=True)
async def whoami(services: Services, found: Annotated[Live | None, Depends(live_or_none)]) -> Whoami:
    """Who one is, told to everyone; the version only to those who have signed in."""
    answer = await _answer(services)
    if found is not None:
        answer.version = services.settings.version
        answer.user = _me(found)
    return answer


@router.post("/iam/identity", response_model_exclude_none=True)
async def identity(services: Services, visitor: Visitor, pair: KeyPair) -> Whoami:
    """Whose key pair this is; makes no session."""
    attempt = throttle(services, visitor, "resolve_iam_identity", pair.access_key_id)
    account = await account_of(services, visitor, attempt, pair, "iam_identity")
    answer = await _answer(services)
    answer.user = _user(account, pair.access_key_id, is_admin=False)
    return answer


async def _answer(services: AdminServices) -> Whoami:
    control = services.control
    if control.locked:
        return Whoami(mode=str(control.base.mode), config_db_mismatch=True, lock_state="locked")
    providers = await control.read(lambda unit: unit.providers.list())
    listed = [
        ExternalProvider(name=p.name, type=p.provider_type, display_name=p.display_name or p.name)
        for p in providers
        if p.enabled
    ]
    return Whoami(mode=str(control.state.mode), external_providers=listed or None)


def _me(found: Live) -> Me:
    if found.account is None:
        name = found.actor.user
        return Me(name=name, access_key_id="bootstrap", is_admin=True, permissions=shown((_EVERYTHING,)))
    key_id = found.account.user.keys[0].access_key_id
    if found.session is not None and found.session.identity in {k.access_key_id for k in found.account.user.keys}:
        key_id = found.session.identity
    return _user(found.account, key_id, is_admin=found.is_admin)


def _user(account: Account, access_key_id: str, *, is_admin: bool) -> Me:
    rules = (*account.user.permissions, *(rule for group in account.groups for rule in group.permissions))
    return Me(name=account.user.name, access_key_id=access_key_id, is_admin=is_admin, permissions=shown(rules))
