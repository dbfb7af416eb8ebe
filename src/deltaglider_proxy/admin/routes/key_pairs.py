"""Checking a key pair that somebody types in."""

import hmac
from dataclasses import replace

from deltaglider_proxy.access.accounts import Account
from deltaglider_proxy.access.auditor import Actor
from deltaglider_proxy.access.errors import AccessError
from deltaglider_proxy.access.state import Mode
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.schemas.sign_in import KeyPair
from deltaglider_proxy.admin.throttle import Throttle
from deltaglider_proxy.control.audit.record import Outcome


async def account_of(services: AdminServices, actor: Actor, attempt: Throttle, pair: KeyPair, action: str) -> Account:
    """Whose pair it is. Raises ApiError(403), the same for an unknown key, a wrong secret and a disabled user."""
    if services.control.state.mode is not Mode.IAM:
        await services.auditor.sign_in(actor, f"{action}_denied", "non_iam_mode", Outcome.DENIED)
        raise ApiError(403, "not_iam_mode", "key pairs of users are accepted once there are users", told=True)
    accounts = services.control.accounts
    try:
        secret = accounts.secret_for(pair.access_key_id, services.clock.now())
    except AccessError:
        secret = None
    given = pair.secret_access_key.encode()
    if not hmac.compare_digest(secret or b"", given) or secret is None:
        attempt.failed()
        await services.auditor.sign_in(actor, "login_failed", pair.access_key_id[:128], Outcome.FAILED)
        raise ApiError(403, "wrong_credentials", "no user has this key pair", told=True)
    attempt.succeeded()
    account = accounts.with_key(pair.access_key_id)
    assert account is not None, "it has a secret"
    return account


def as_actor(actor: Actor, user: str, method: str) -> Actor:
    return replace(actor, user=user, auth_method=method)
