"""Sessions of everyone, the bootstrap password, recovery, and tokens."""

import secrets
from base64 import b64encode

from fastapi import APIRouter

from deltaglider_proxy.admin.guard import SCOPES, IamAdmin, IamReader, Owner, Services, Visitor, hash_token, throttle
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.routes.sign_in import BOOTSTRAP
from deltaglider_proxy.admin.schemas.sign_in import (
    Candidate,
    NewToken,
    PasswordChange,
    PasswordChanged,
    Recovered,
    Revoked,
    RevokedUser,
    RevokeUser,
    Sessions,
    SessionView,
    TokenView,
)
from deltaglider_proxy.admin.schemas.times import sql_time
from deltaglider_proxy.control.audit.record import Outcome
from deltaglider_proxy.control.model import ApiToken
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.crypto.passwords import hash_password, parse_hash, verify_password

router = APIRouter(prefix="/admin", tags=["session"])

_TOKEN_PREFIX = "dgp_"  # noqa: S105 - so that scanners of leaked secrets know one


@router.get("/sessions")
async def list_sessions(services: Services, caller: IamReader) -> Sessions:
    """Everyone's, with where they come from."""
    found = await services.control.read(lambda unit: unit.sessions.list())
    now = services.clock.now()
    mine = caller.session.id if caller.session is not None else None
    return Sessions(
        sessions=[
            SessionView(
                id=session.id,
                ip=session.ip,
                age_secs=int(now - session.created_at),
                admin_gui=session.kind == "admin_gui",
                auth=str(session.auth),
                identity=session.identity,
                current=session.id == mine,
            )
            for session in found
        ]
    )


@router.delete("/sessions/{session_id}")
async def revoke_session(services: Services, caller: IamAdmin, session_id: str) -> Revoked:
    """End the session of somebody else."""
    if caller.session is not None and caller.session.id == session_id:
        raise ApiError(400, "own_session", "this is your own session; sign out instead")

    def revoke(unit: Unit) -> str:
        identity = unit.sessions.get(session_id).identity
        unit.sessions.delete(session_id)
        return identity

    async with services.auditor.change(caller.actor, "session_revoke", session_id) as change:
        change.details["identity"] = await services.control.write(revoke, quiet=True)
    return Revoked()


@router.post("/sessions/revoke-user")
async def revoke_user(services: Services, caller: IamAdmin, given: RevokeUser) -> RevokedUser:
    """All sessions of an identity, on every node that shares the database, and the tokens of the user whose key or name
    it is.
    """
    identity = given.identity or given.access_key_id
    if not identity:
        raise ApiError(400, "invalid_request", "identity: name whose sessions are to end", field="identity")
    accounts = services.control.accounts
    owner = accounts.with_key(identity)
    found = owner.user if owner is not None else None

    def revoke(unit: Unit) -> int:
        user = found or unit.users.find(identity)
        if user is not None:
            unit.tokens.delete_of(user.id)
        return unit.end_sessions(identity)

    async with services.auditor.change(caller.actor, "session_revoke_user", identity) as change:
        ended = await services.control.write(revoke, quiet=True)
        change.details["sessions"] = ended
    pushed, bound = False, None
    if services.sharing is not None:
        pushed = await services.sharing.give()
        bound = services.sharing.poll * (1 if pushed else 2)
    return RevokedUser(
        revoked=ended > 0,
        revoked_local=ended,
        persisted=True,
        pushed=pushed,
        propagation_bound_secs=None if bound is None else int(bound),
    )


@router.put("/password")
async def change_password(services: Services, caller: Owner, given: PasswordChange) -> PasswordChanged:
    """The bootstrap password. The database is re-keyed; every bootstrap session, this one too, and the tokens that were
    made in one end.
    """
    attempt = throttle(services, caller.actor, "admin", BOOTSTRAP)
    async with attempt.while_checked(services.password_checks):
        right = await services.pool.run(verify_password, given.current_password, services.control.bootstrap_hash)
    if not right:
        await services.auditor.sign_in(caller.actor, "change_password", BOOTSTRAP, Outcome.FAILED)
        raise ApiError(
            403, "wrong_password", "current_password is not the bootstrap password", extra={"ok": False}, told=True
        )
    attempt.succeeded()
    configured = services.configuration.settings.advanced.bootstrap_password_hash is not None
    if configured and not given.force:
        raise ApiError(
            409,
            "hash_is_configured",
            "the bootstrap password hash comes from the environment or the configuration file, which this does not "
            "change: the next start would not open the database",
            hint="send force: true, and before the next start set there the hash that is answered",
        )
    new_hash = await services.pool.run(hash_password, given.new_password)
    async with services.auditor.change(caller.actor, "change_password", BOOTSTRAP):
        await services.control.write(Unit.end_bootstrap_access, quiet=True)
        await services.control.change_bootstrap_hash(new_hash)
    hint = "set DGP_BOOTSTRAP_PASSWORD_HASH to this value before the next start" if configured else None
    return PasswordChanged(bootstrap_password_hash_base64=b64encode(new_hash.encode()).decode(), hint=hint)


@router.post("/recover-db")
async def recover(services: Services, visitor: Visitor, given: Candidate) -> Recovered:
    """Whether a hash opens the database that the configured one does not. Changes nothing."""
    if not services.control.locked:
        raise ApiError(404, "not_locked", "the database is open")
    attempt = throttle(services, visitor, "recover_db", BOOTSTRAP)
    candidate = parse_hash(given.candidate_password, "candidate_password")
    async with attempt.while_checked(services.password_checks):
        right = await services.try_hash(candidate)
    if not right:
        await services.auditor.sign_in(visitor, "recover_db_failed", BOOTSTRAP, Outcome.FAILED)
        raise ApiError(401, "wrong_hash", "this hash does not open the database", extra={"success": False}, told=True)
    attempt.succeeded()
    await services.auditor.sign_in(visitor, "recover_db_success", BOOTSTRAP, Outcome.OK)
    return Recovered(correct_hash=candidate, correct_hash_base64=b64encode(candidate.encode()).decode())


@router.get("/tokens", response_model_exclude_none=True)
async def list_tokens(services: Services, caller: IamReader) -> list[TokenView]:
    """Without the tokens themselves, which nobody can read again."""
    del caller
    return [_view(token) for token in await services.control.read(lambda unit: unit.tokens.list())]


@router.post("/tokens", status_code=201, response_model_exclude_none=True)
async def create_token(services: Services, caller: Owner, given: NewToken) -> TokenView:
    """For programs: `Authorization: Bearer`. It has the rights of whoever makes it, within its scopes."""
    unknown = sorted(set(given.scopes) - set(SCOPES))
    if unknown:
        raise ApiError(400, "invalid_request", f"scopes: {unknown[0]!r}: use {', '.join(SCOPES)}", field="scopes")
    secret = _TOKEN_PREFIX + secrets.token_urlsafe(32)
    user_id = caller.account.user.id if caller.account is not None else None
    expires = services.clock.now() + given.expires_in_days * 86_400
    details = {"scopes": sorted(given.scopes)}
    async with services.auditor.change(caller.actor, "create_token", given.name, details) as change:
        made = await services.control.write(
            lambda unit: unit.tokens.create(
                given.name, hash_token(secret), given.scopes, caller.actor.user, user_id, expires
            ),
            quiet=True,
        )
        change.details["token_id"] = made.id
    return _view(made, secret)


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(services: Services, caller: Owner, token_id: str) -> None:
    """It opens nothing from now on."""

    def revoke(unit: Unit) -> str:
        name = unit.tokens.get(token_id).name
        unit.tokens.delete(token_id)
        return name

    async with services.auditor.change(caller.actor, "revoke_token", token_id) as change:
        change.details["token"] = await services.control.write(revoke, quiet=True)


def _view(token: ApiToken, secret: str | None = None) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        scopes=list(token.scopes),
        created_by=token.created_by,
        created_at=sql_time(token.created_at),
        expires_at=sql_time(token.expires_at),
        last_used=sql_time(token.last_used) if token.last_used is not None else None,
        token=secret,
    )
