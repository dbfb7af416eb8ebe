"""Maintenance mode, version counters, and what would be decided about a request."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from deltaglider_proxy.access.client_address import Address, parse_address
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.explain import explain
from deltaglider_proxy.access.policy.rules import BrokenRules
from deltaglider_proxy.admin.guard import ConfigAdmin, ConfigReader, IamReader, Services
from deltaglider_proxy.admin.ports import AdminServices
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.schemas.iam import Input, Number, Rule, shown

router = APIRouter(prefix="/admin", tags=["operation"])

MAINTENANCE = "maintenance"


class Version(BaseModel):
    version: int


class Maintenance(Input):
    enabled: bool
    reason: str = Field(default="", max_length=512, examples=["moving house"])


class TraceRequest(Input):
    method: str = Field(default="GET", max_length=16)
    path: str = Field(default="/", max_length=4096, examples=["/releases/app-1.4.0.tar"])
    query: str | None = Field(default=None, max_length=8192)
    authenticated: bool = False
    source_ip: str | None = Field(default=None, max_length=64)


class Trace(BaseModel):
    resolved: Mapping[str, object]
    admission: Mapping[str, object]


class Simulation(Input):
    user_id: Number
    action: str = Field(pattern="^(read|write|delete|list|admin)$")
    bucket: str = Field(min_length=1, max_length=63, examples=["releases"])
    key: str = Field(default="", max_length=1024)
    source_ip: str | None = Field(default=None, max_length=64)


class Simulated(BaseModel):
    allowed: bool
    reason: str
    origin: str | None = None
    rule: Rule | None = None


@router.get("/iam/version")
async def iam_version(services: Services) -> Version:
    """Grows each time this worker lives by other users."""
    return Version(version=services.control.iam_version)


@router.get("/ext-auth/version")
async def ext_auth_version(services: Services) -> Version:
    """The same as the version of users, in which sign-in providers count."""
    return Version(version=services.control.iam_version)


@router.get("/maintenance")
async def get_maintenance(services: Services, caller: ConfigReader) -> Maintenance:
    """Whether changes are refused for now, and why."""
    del caller
    found = await services.control.read(lambda unit: unit.state.get(MAINTENANCE)) or {}
    return Maintenance(enabled=found.get("enabled") is True, reason=str(found.get("reason", "")))


@router.put("/maintenance")
async def put_maintenance(services: Services, caller: ConfigAdmin, given: Maintenance) -> Maintenance:
    """While it is on, S3 clients can read, and changes are answered 503 SlowDown."""
    action = "maintenance_on" if given.enabled else "maintenance_off"
    document: dict[str, object] = {"enabled": given.enabled, "reason": given.reason}
    async with services.auditor.change(caller.actor, action, "", {"reason": given.reason}):
        await services.control.write(lambda unit: unit.state.set(MAINTENANCE, document))
    return given


@router.post("/config/trace", response_model_exclude_none=True)
async def trace(services: Services, caller: ConfigReader, given: TraceRequest) -> Trace:
    """What the admission chain decides about such a request."""
    del caller
    return _trace(services, given)


@router.get("/config/trace", response_model_exclude_none=True)
async def trace_get(
    services: Services,
    caller: ConfigReader,
    method: Annotated[str, Query(max_length=16)] = "GET",
    path: Annotated[str, Query(max_length=4096)] = "/",
    query: Annotated[str | None, Query(max_length=8192)] = None,
    authenticated: bool = False,
    source_ip: Annotated[str | None, Query(max_length=64)] = None,
) -> Trace:
    """What the admission chain decides about such a request."""
    del caller
    asked = TraceRequest(method=method, path=path, query=query, authenticated=authenticated, source_ip=source_ip)
    return _trace(services, asked)


def _trace(services: AdminServices, given: TraceRequest) -> Trace:
    facts = services.resolve_request(
        given.method.upper(),
        given.path,
        (given.query or "").removeprefix("?"),
        authenticated=given.authenticated,
        address=_address(given.source_ip),
    )
    decision = services.control.state.admission.decide(facts, services.control.state.flags)
    resolved: dict[str, object] = {
        "method": facts.method,
        "bucket": facts.bucket,
        "key": facts.key or None,
        "list_prefix": facts.list_prefix or None,
        "authenticated": facts.authenticated,
    }
    admission: dict[str, object] = {"decision": str(decision.verdict)}
    if decision.matched is not None:
        admission["matched"] = decision.matched
    if decision.status:
        admission |= {"status": decision.status, "message": decision.message or ""}
    return Trace(resolved=resolved, admission=admission)


@router.post("/simulate", response_model_exclude_none=True)
async def simulate(services: Services, caller: IamReader, given: Simulation) -> Simulated:
    """Whether a user may do something, and which rule says so."""
    del caller
    account = services.control.accounts.get(given.user_id)
    if account is None:
        raise ApiError(404, "not_found", f"there is no user {given.user_id}", field="user_id")
    user = account.user
    sources = [("user", rule) for rule in user.permissions]
    sources += [(f"group:{group.name}", rule) for group in account.groups for rule in group.permissions]
    context = Context(
        now=services.clock.now(),
        source_ip=_address(given.source_ip),
        username=user.name,
        prefix=given.key if given.action == "list" else None,
    )
    try:
        found = explain(
            sources,
            given.action,
            given.bucket,
            given.key,
            context,
            username=user.name,
            access_key_id=user.keys[0].access_key_id,
        )
    except BrokenRules as error:
        return Simulated(allowed=False, reason=f"broken_rules: {error}")
    if not user.enabled:
        return Simulated(allowed=False, reason="user_disabled")
    rule = shown((found.permission,))[0] if found.permission is not None else None
    return Simulated(allowed=found.allowed, reason=str(found.reason), origin=found.origin or None, rule=rule)


def _address(text: str | None) -> Address | None:
    """Raises ApiError(400)."""
    if text is None or not text:
        return None
    address = parse_address(text)
    if address is None:
        raise ApiError(400, "invalid_request", f"source_ip: {text!r} is no address", field="source_ip")
    return address
