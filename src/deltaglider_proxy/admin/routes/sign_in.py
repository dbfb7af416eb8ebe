"""Signing in and out, and what the browser of a session signs its S3 requests with."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hmac import compare_digest

from fastapi import APIRouter, Request, Response

from deltaglider_proxy.access.auditor import Actor
from deltaglider_proxy.access.state import Mode
from deltaglider_proxy.admin.guard import (
    LiveSession,
    Services,
    Visitor,
    context_of,
    cookie_name,
    hash_token,
    is_secure,
    keeps_to_https,
    throttle,
)
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.routes.key_pairs import account_of, as_actor
from deltaglider_proxy.admin.schemas.sign_in import (
    Connect,
    KeyPair,
    Ok,
    OpenConnect,
    Password,
    S3Creds,
    SessionState,
)
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.control.audit.record import Outcome
from deltaglider_proxy.control.errors import NotFound
from deltaglider_proxy.control.model import S3Credentials, Session, SessionAuth, SessionKind
from deltaglider_proxy.control.unit import Unit
from deltaglider_proxy.crypto.passwords import verify_password

router = APIRouter(prefix="/admin", tags=["session"])

BOOTSTRAP, OPEN = "bootstrap", "open"
_REGION = "us-east-1"


@router.post("/login")
async def login(request: Request, response: Response, services: Services, visitor: Visitor, given: Password) -> Ok:
    """With the bootstrap password, in every mode."""
    if services.control.locked:
        raise ApiError(
            503,
            "locked",
            "the database cannot be opened with the configured bootstrap password hash",
            hint="POST /_/api/admin/recover-db tells whether a hash opens it",
        )
    attempt = throttle(services, visitor, "admin", BOOTSTRAP)
    hashed = services.control.bootstrap_hash
    async with attempt.while_checked(services.password_checks):
        right = await services.pool.run(verify_password, given.password, hashed)
    if not right:
        await services.auditor.sign_in(visitor, "login_failed", BOOTSTRAP, Outcome.FAILED)
        raise _wrong_password()
    attempt.succeeded()
    actor = as_actor(visitor, "admin", BOOTSTRAP)
    s3 = _configured_pair(services, _endpoint(request, services))

    def unless_changed() -> None:
        # The password may have been replaced since it was read, by another worker too: that is known in a transaction.
        if not compare_digest(hashed, services.control.bootstrap_hash):
            raise _wrong_password()

    try:
        await _begin(
            request,
            response,
            services,
            actor,
            "login",
            SessionKind.ADMIN_GUI,
            SessionAuth.BOOTSTRAP,
            BOOTSTRAP,
            None,
            s3,
            check=unless_changed,
        )
    except ApiError:
        await services.auditor.sign_in(visitor, "login_failed", BOOTSTRAP, Outcome.FAILED)
        raise
    return Ok()


def _wrong_password() -> ApiError:
    return ApiError(401, "wrong_password", "this is not the bootstrap password", extra={"ok": False}, told=True)


@router.post("/login-as")
async def login_as(request: Request, response: Response, services: Services, visitor: Visitor, pair: KeyPair) -> Ok:
    """With the key pair of a user who is an administrator."""
    attempt = throttle(services, visitor, "login_as", pair.access_key_id)
    account = await account_of(services, visitor, attempt, pair, "login_as")
    actor = as_actor(visitor, account.user.name, "iam")
    rules = account.identity(pair.access_key_id).rules
    if not rules.is_admin(context_of(services, actor, is_secure(request))):
        await services.auditor.sign_in(actor, "login_as_denied", pair.access_key_id, Outcome.DENIED)
        raise ApiError(403, "admin_required", "only administrators may sign in here", told=True)
    s3 = _credentials(_endpoint(request, services), pair)
    await _begin(
        request,
        response,
        services,
        actor,
        "login_as",
        SessionKind.ADMIN_GUI,
        SessionAuth.IAM,
        pair.access_key_id,
        account.user.id,
        s3,
    )
    return Ok()


@router.post("/session/browser-connect")
async def browser_connect(
    request: Request, response: Response, services: Services, visitor: Visitor, given: Connect
) -> Ok:
    """With the key pair of any user, for looking at objects."""
    attempt = throttle(services, visitor, "browser_session_connect", given.access_key_id)
    account = await account_of(services, visitor, attempt, given, "browser_session_connect")
    actor = as_actor(visitor, account.user.name, "iam_browser")
    s3 = S3Credentials(
        given.endpoint,
        given.region or _REGION,
        given.bucket or "",
        given.access_key_id,
        Secret(given.secret_access_key),
    )
    await _begin(
        request,
        response,
        services,
        actor,
        "browser_session_connect",
        SessionKind.S3_BROWSER_LIFT,
        SessionAuth.IAM_BROWSER,
        given.access_key_id,
        account.user.id,
        s3,
    )
    return Ok()


@router.post("/session/open-browser-connect")
async def open_browser_connect(
    request: Request, response: Response, services: Services, visitor: Visitor, given: OpenConnect
) -> Ok:
    """Where nobody has to sign in."""
    attempt = throttle(services, visitor, "open_browser_connect", "")
    if services.control.state.mode is not Mode.OPEN:
        attempt.failed()
        await services.auditor.sign_in(visitor, "open_browser_connect_denied", "auth_required", Outcome.DENIED)
        raise ApiError(403, "auth_required", "this server asks for credentials", told=True)
    actor = as_actor(visitor, OPEN, OPEN)
    s3 = S3Credentials(given.endpoint, given.region or _REGION, given.bucket or "", "anonymous", Secret("anonymous"))
    await _begin(
        request,
        response,
        services,
        actor,
        "open_browser_connect",
        SessionKind.S3_BROWSER_LIFT,
        SessionAuth.OPEN,
        OPEN,
        None,
        s3,
    )
    return Ok()


@router.post("/logout")
async def logout(request: Request, response: Response, services: Services, caller: LiveSession) -> Ok:
    """Ends this session."""
    session = _session_of(caller.session)

    def end(unit: Unit) -> None:
        unit.sessions.delete(session.id)

    await services.control.write(end, quiet=True)
    await services.auditor.sign_in(caller.actor, "logout", session.identity, Outcome.OK)
    _set_cookie(request, response, services, "", 0)
    return Ok()


@router.get("/session")
async def session_state(caller: LiveSession) -> SessionState:
    """Whether one has signed in, and may administer."""
    return SessionState(admin_gui=caller.admin_gui)


@router.get("/session/s3-credentials")
async def get_s3_credentials(caller: LiveSession) -> S3Creds:
    """What the browser of this session signs its S3 requests with."""
    s3 = _session_of(caller.session).s3
    if s3 is None:
        raise ApiError(404, "no_credentials", "this session has no S3 credentials")
    return S3Creds(
        endpoint=s3.endpoint,
        region=s3.region,
        bucket=s3.bucket,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key.reveal(),
    )


@router.put("/session/s3-credentials")
async def put_s3_credentials(services: Services, caller: LiveSession, given: S3Creds) -> None:
    """Other credentials for the browser of this session."""
    session = _session_of(caller.session)
    s3 = S3Credentials(given.endpoint, given.region, given.bucket, given.access_key_id, Secret(given.secret_access_key))
    async with services.auditor.change(caller.actor, "set_s3_credentials", given.access_key_id):
        await services.control.write(lambda unit: unit.sessions.set_s3(session.id, s3), quiet=True)


@router.delete("/session/s3-credentials")
async def delete_s3_credentials(services: Services, caller: LiveSession) -> None:
    """Forget the credentials of this session."""
    session = _session_of(caller.session)
    async with services.auditor.change(caller.actor, "delete_s3_credentials", ""):
        await services.control.write(lambda unit: unit.sessions.set_s3(session.id, None), quiet=True)


def _session_of(session: Session | None) -> Session:
    if session is None:
        raise ApiError(400, "session_required", "a token has no session")
    return session


def _endpoint(request: Request, services: AdminServices) -> str:
    return services.settings.endpoint or f"{request.url.scheme}://{request.headers.get('host', '')}"


def _configured_pair(services: AdminServices, endpoint: str) -> S3Credentials | None:
    """What the administrator's browser can sign with, as long as there are no users."""
    match services.control.state.mode:
        case Mode.OPEN:
            return S3Credentials(endpoint, _REGION, "", "anonymous", Secret("anonymous"))
        case Mode.BOOTSTRAP:
            access = services.configuration.settings.access
            if access.access_key_id and access.secret_access_key:
                return S3Credentials(endpoint, _REGION, "", access.access_key_id, access.secret_access_key)
            return None
        case Mode.IAM | Mode.LOCKED:
            return None


def _credentials(endpoint: str, pair: KeyPair) -> S3Credentials:
    return S3Credentials(endpoint, _REGION, "", pair.access_key_id, Secret(pair.secret_access_key))


async def _begin(
    request: Request,
    response: Response,
    services: AdminServices,
    actor: Actor,
    action: str,
    kind: SessionKind,
    auth: SessionAuth,
    identity: str,
    user_id: int | None,
    s3: S3Credentials | None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """A new session in place of the one that the browser had: nobody can plant theirs. `check` may refuse it. Nobody
    can use it before the audit log has it. Raises AuditUnavailable.
    """
    token = secrets.token_hex(32)
    before = request.cookies.get(cookie_name(request, services))
    seconds = services.settings.session_seconds
    ip = str(actor.address) if actor.address is not None else None

    def begin(unit: Unit) -> Session:
        check()
        if before:
            old = unit.sessions.with_token(hash_token(before))
            if old is not None:
                unit.sessions.delete(old.id)
        return unit.sessions.create(hash_token(token), kind, auth, identity, user_id, ip, seconds, s3)

    made = await services.control.write(begin, quiet=True)
    try:
        target = "anonymous" if auth is SessionAuth.OPEN else identity
        await services.auditor.sign_in(replace(actor, session_id=made.id), action, target, Outcome.OK)
    except BaseException:
        # Nobody has its token; left behind, it would take the place of one that is used.
        with suppress(NotFound):
            await services.control.write(lambda unit: unit.sessions.delete(made.id), quiet=True)
        raise
    _set_cookie(request, response, services, token, int(seconds))


def _set_cookie(request: Request, response: Response, services: AdminServices, value: str, seconds: int) -> None:
    response.set_cookie(
        cookie_name(request, services),
        value,
        max_age=seconds,
        path="/",
        secure=keeps_to_https(request, services),
        httponly=True,
        samesite="strict",
    )
