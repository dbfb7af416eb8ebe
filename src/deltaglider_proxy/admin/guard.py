"""Who calls, and whether they may: the dependencies of every route that is not public.

A session proves who somebody is; what they may do is decided by the users of now, on every request. A request that
changes something must come from our own pages, or from a program that is no browser.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Path, Request

from deltaglider_proxy.access.accounts import Account
from deltaglider_proxy.access.auditor import Actor
from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.rules import EVERYTHING, NOTHING, Rules
from deltaglider_proxy.access.state import Mode
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.schemas.iam import MOST
from deltaglider_proxy.admin.throttle import Throttle
from deltaglider_proxy.control.model import ApiToken, Session, SessionAuth, SessionKind

COOKIE: Final = "dgp_session"
HOST_COOKIE: Final = "__Host-dgp_session"
"""What a browser takes from this very host over HTTPS only."""

SCOPES: Final = ("read", "iam", "config", "storage", "audit", "admin")
"""Of tokens. `read` looks at everything but secrets; `admin` is all of them."""

RowId = Annotated[int, Path(ge=1, le=MOST)]
"""In a path."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SEEN_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Live:
    """Somebody who has signed in, as they are now."""

    session: Session | None
    token: ApiToken | None
    account: Account | None
    """None: the administrator of the bootstrap password, or of open mode."""
    rules: Rules
    actor: Actor
    context: Context

    @property
    def admin_gui(self) -> bool:
        return self.session is None or self.session.kind is SessionKind.ADMIN_GUI

    @property
    def is_admin(self) -> bool:
        return self.rules.is_admin(self.context)

    def has_scope(self, scope: str) -> bool:
        """Only tokens are narrowed."""
        return self.token is None or not {scope, "admin"}.isdisjoint(self.token.scopes)


def services_of(request: Request) -> AdminServices:
    services: AdminServices = request.app.state.services
    return services


Services = Annotated[AdminServices, Depends(services_of)]


def is_secure(request: Request) -> bool:
    """The client speaks HTTPS, to us or to a proxy that we trust."""
    return request.url.scheme == "https"


def keeps_to_https(request: Request, services: AdminServices) -> bool:
    """Whether the cookie of the session is to be sent over HTTPS only."""
    return services.settings.secure_cookies or is_secure(request)


def cookie_name(request: Request, services: AdminServices) -> str:
    return HOST_COOKIE if keeps_to_https(request, services) else COOKIE


def hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def address_of(request: Request, services: AdminServices) -> Address | None:
    client = request.client.host if request.client is not None else ""
    headers: dict[bytes, bytes] = {}
    for name, value in request.scope["headers"]:
        if name in (b"x-forwarded-for", b"x-real-ip"):  # some proxies append a line, not to the line
            headers[name] = headers[name] + b"," + value if name in headers else value
    return services.addresses.of(client, headers)


def visitor(request: Request, services: Services) -> Actor:
    """Somebody who need not have signed in."""
    return Actor(
        address=address_of(request, services),
        agent=request.headers.get("user-agent", ""),
        request_id=request.scope.get("dgp_request_id", ""),
    )


Visitor = Annotated[Actor, Depends(visitor)]


def report_refusal(request: Request, refusal: ApiError) -> None:
    """To the audit log, unless nobody has tried anything: a browser that is not signed in asks who it is."""
    services = services_of(request)
    if refusal.status == 401 and _bearer(request) is None and cookie_name(request, services) not in request.cookies:
        return
    known: Actor | None = getattr(request.state, "actor", None)
    services.auditor.refused(
        known or visitor(request, services),
        "admin_denied",
        refusal.code,
        "",
        f"{request.method} {request.url.path}",
        by_stranger=known is None,
    )


def throttle(services: AdminServices, actor: Actor, prefix: str, account: str) -> Throttle:
    """Raises ApiError(429)."""
    return Throttle(
        services.addresses_limit,
        services.accounts_limit,
        services.known_addresses,
        prefix,
        actor.address,
        account,
        services.clock.monotonic(),
    )


def context_of(services: AdminServices, actor: Actor, secure: bool) -> Context:
    return Context(
        now=services.clock.now(),
        source_ip=actor.address,
        secure=secure,
        user_agent=actor.agent,
        username=actor.user,
    )


def _unauthorized() -> ApiError:
    return ApiError(401, "unauthorized", "sign in first", hint="POST /_/api/admin/login, or send a bearer token")


async def live_or_none(request: Request, services: Services, actor: Visitor) -> Live | None:
    bearer = _bearer(request)
    if bearer is not None:
        return await _by_token(request, services, actor, bearer)
    cookie = request.cookies.get(cookie_name(request, services))
    if not cookie or services.control.locked:
        return None
    now = services.clock.now()
    hashed = hash_token(cookie)
    session = await services.control.read(lambda unit: unit.sessions.with_token(hashed))
    if session is None or session.ip != (str(actor.address) if actor.address is not None else None):
        return None
    idle = services.settings.idle_seconds
    if idle and now - session.last_seen > idle:
        return None
    if now - session.last_seen > _SEEN_EVERY:
        name = session.id
        await services.control.write(lambda unit: unit.sessions.seen(name), quiet=True)
    found = _as_now(request, services, actor, session)
    if found is not None:
        request.state.actor = found.actor
    _refuse_forged(request)
    return found


def _bearer(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip() else None


async def _by_token(request: Request, services: AdminServices, actor: Actor, bearer: str) -> Live | None:
    if services.control.locked:
        return None
    hashed, now = hash_token(bearer), services.clock.now()
    token = await services.control.read(lambda unit: unit.tokens.with_hash(hashed))
    if token is None:
        # A program with an old token must not lock out those behind the same address whose tokens are good.
        throttle(services, actor, "token", "").failed()
        return None
    if token.last_used is None or now - token.last_used > _SEEN_EVERY:
        name = token.id
        await services.control.write(lambda unit: unit.tokens.used(name), quiet=True)
    account = services.control.accounts.get(token.user_id) if token.user_id is not None else None
    if token.user_id is not None and (account is None or not account.user.enabled):
        return None
    named = replace(actor, user=f"token:{token.name}", auth_method="token", session_id=token.id)
    request.state.actor = named
    rules = _rules(account) if token.user_id is not None else EVERYTHING
    return Live(None, token, account, rules, named, context_of(services, named, is_secure(request)))


def _as_now(request: Request, services: AdminServices, actor: Actor, session: Session) -> Live | None:
    """What the identity of the session is by now. None: it is gone, or may not sign in any more."""
    accounts = services.control.accounts
    account: Account | None = None
    name, rules = session.identity, NOTHING
    match session.auth:
        case SessionAuth.BOOTSTRAP:
            rules, name = EVERYTHING, "admin"
        case SessionAuth.OPEN:
            if services.control.state.mode is not Mode.OPEN:
                return None
            rules, name = EVERYTHING, "open"
        case SessionAuth.IAM | SessionAuth.IAM_BROWSER:
            account = accounts.with_key(session.identity)
            if account is None or not account.key(session.identity).usable(services.clock.now()):
                return None
            rules = account.identity(session.identity).rules
        case SessionAuth.EXTERNAL:
            account = accounts.get(session.user_id) if session.user_id is not None else None
            if account is None:
                return None
            rules = _rules(account)
    if account is not None:
        if not account.user.enabled:
            return None
        name = account.user.name
    named = replace(actor, user=name, auth_method=str(session.auth), session_id=session.id)
    return Live(session, None, account, rules, named, context_of(services, named, is_secure(request)))


def _rules(account: Account | None) -> Rules:
    if account is None:
        return NOTHING
    return account.identity(account.user.keys[0].access_key_id).rules


def _refuse_forged(request: Request) -> None:
    """A browser says from where a request comes; another site's page must not act with our cookie."""
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        if site in ("same-origin", "none"):
            return
    elif origin is None or urlsplit(origin).netloc == request.headers.get("host"):
        return
    raise ApiError(403, "cross_site_request", "this request was made by a page of another site")


async def live(found: Annotated[Live | None, Depends(live_or_none)]) -> Live:
    if found is None:
        raise _unauthorized()
    return found


LiveSession = Annotated[Live, Depends(live)]


class Admin:
    """Dependency of the routes of administrators. A token needs the scope; for reading, `read` is enough unless the
    route shows what not every reader may see.
    """

    def __init__(self, scope: str, *, readable: bool = True) -> None:
        self._scope = scope
        self._readable = readable

    async def __call__(self, request: Request, caller: LiveSession) -> Live:
        if not caller.admin_gui:
            raise ApiError(403, "admin_session_required", "this session may browse objects, not administer")
        if not caller.is_admin:
            raise ApiError(403, "admin_required", "only administrators may do this")
        if caller.token is not None:
            reads = self._readable and request.method in _SAFE and "read" in caller.token.scopes
            if not reads and not caller.has_scope(self._scope):
                hint = f"make a token with the scope {self._scope}"
                raise ApiError(403, "scope_required", f"the token lacks the scope {self._scope}", hint=hint)
        return caller


async def iam_writable(services: Services) -> None:
    """Users that the configuration file declares are changed there."""
    if services.configuration.settings.access.iam_mode == "declarative":
        raise ApiError(
            403,
            "iam_declarative",
            "users, groups and providers are declared in the configuration (access.iam_mode: declarative)",
            hint="change the configuration instead, or set access.iam_mode: gui",
            extra={"message": "IAM is declarative"},
        )


IamReader = Annotated[Live, Depends(Admin("iam"))]
IamAdmin = Annotated[Live, Depends(Admin("iam", readable=False))]
ConfigReader = Annotated[Live, Depends(Admin("config"))]
ConfigAdmin = Annotated[Live, Depends(Admin("config", readable=False))]
StorageReader = Annotated[Live, Depends(Admin("storage"))]
StorageAdmin = Annotated[Live, Depends(Admin("storage", readable=False))]
AuditReader = Annotated[Live, Depends(Admin("audit", readable=False))]
Owner = Annotated[Live, Depends(Admin("admin", readable=False))]
