"""Sign-in providers, mapping rules and identities."""

from ipaddress import ip_network

from fastapi import APIRouter, Depends

from deltaglider_proxy.access.sso.discovery import DiscoveryFailed, discover
from deltaglider_proxy.access.sso.mapping import groups_for
from deltaglider_proxy.admin.guard import IamAdmin, IamReader, RowId, Services, iam_writable
from deltaglider_proxy.admin.last_admin import keep_an_administrator
from deltaglider_proxy.admin.problems import ApiError
from deltaglider_proxy.admin.schemas.sso import (
    MASK,
    IdentityView,
    MappingChange,
    MappingView,
    NewMapping,
    NewProvider,
    PreviewAnswer,
    PreviewRequest,
    ProviderChange,
    ProviderTest,
    ProviderView,
    SyncAnswer,
    check_match,
    check_provider,
    identity_view,
    mapping_view,
    provider_view,
)
from deltaglider_proxy.control.model import AuthProvider, MappingRule, MembershipSource
from deltaglider_proxy.control.unit import Unit

router = APIRouter(prefix="/admin/ext-auth", tags=["sign-in providers"])
writable = [Depends(iam_writable)]


@router.get("/providers", response_model_exclude_none=True)
async def list_providers(services: Services, caller: IamReader) -> list[ProviderView]:
    """All providers, without their secrets."""
    del caller
    return [provider_view(found) for found in await services.control.read(lambda unit: unit.providers.list())]


@router.post("/providers", status_code=201, response_model_exclude_none=True, dependencies=writable)
async def create_provider(services: Services, caller: IamAdmin, given: NewProvider) -> ProviderView:
    """An OpenID Connect provider."""
    check_provider(given.provider_type, given.issuer_url)
    secret = given.client_secret if given.client_secret != MASK else None

    def create(unit: Unit) -> AuthProvider:
        return unit.providers.create(
            given.name,
            given.provider_type,
            enabled=given.enabled,
            priority=given.priority,
            display_name=given.display_name,
            client_id=given.client_id,
            client_secret=secret,
            issuer_url=given.issuer_url,
            scopes=given.scopes,
            extra_config=given.extra_config,
        )

    async with services.auditor.change(caller.actor, "create_auth_provider", given.name) as change:
        made = await services.control.write(create)
        change.details["provider_id"] = made.id
    return provider_view(made)


@router.put("/providers/{provider_id}", response_model_exclude_none=True, dependencies=writable)
async def update_provider(
    services: Services, caller: IamAdmin, provider_id: RowId, given: ProviderChange
) -> ProviderView:
    """What is left out stays, the secret too."""
    values = given.model_dump(exclude_unset=True, exclude={"client_secret"})
    check_provider(given.provider_type, given.issuer_url)
    for name in ("name", "provider_type", "enabled", "priority", "scopes"):
        if name in values and values[name] is None:
            raise ApiError(400, "invalid_request", f"{name}: must not be null", field=name)
    secret = given.client_secret if given.client_secret != MASK else None
    details = {"changed": sorted(given.model_fields_set)}
    async with services.auditor.change(caller.actor, "update_auth_provider", str(provider_id), details) as change:
        made = await services.control.write(lambda unit: unit.providers.update(provider_id, values, secret))
        change.details["provider"] = made.name
    return provider_view(made)


@router.delete("/providers/{provider_id}", status_code=204, dependencies=writable)
async def delete_provider(services: Services, caller: IamAdmin, provider_id: RowId) -> None:
    """With the rules and identities that came through it."""

    def delete(unit: Unit) -> str:
        name = unit.providers.get(provider_id).name
        unit.providers.delete(provider_id)
        return name

    async with services.auditor.change(caller.actor, "delete_auth_provider", str(provider_id)) as change:
        change.details["provider"] = await services.control.write(delete)


@router.post("/providers/{provider_id}/test", response_model_exclude_none=True, dependencies=writable)
async def test_provider(services: Services, caller: IamAdmin, provider_id: RowId) -> ProviderTest:
    """Whether the provider's metadata can be read and is its own."""
    provider = await services.control.read(lambda unit: unit.providers.get(provider_id))
    allow = [ip_network(text, strict=False) for text in services.configuration.settings.advanced.outbound_allow_cidrs]
    async with services.auditor.change(caller.actor, "test_auth_provider", provider.name) as change:
        if provider.issuer_url is None:
            change.failed("no_issuer_url")
            return ProviderTest(success=False, error="issuer_url is not set")
        try:
            found = await discover(provider.issuer_url, allow)
        except DiscoveryFailed as error:
            change.failed("discovery_failed")
            return ProviderTest(success=False, error=str(error))
    return ProviderTest(success=True, issuer=found.issuer, authorization_endpoint=found.authorization_endpoint)


@router.get("/mappings")
async def list_mappings(services: Services, caller: IamReader) -> list[MappingView]:
    """All rules, by priority."""
    del caller
    return [mapping_view(rule) for rule in await services.control.read(lambda unit: unit.rules.list())]


@router.post("/mappings", status_code=201, dependencies=writable)
async def create_mapping(services: Services, caller: IamAdmin, given: NewMapping) -> MappingView:
    """Who signs in through a provider and matches joins the group."""
    check_match(given.match_type, given.match_value)

    def create(unit: Unit) -> MappingRule:
        return unit.rules.create(
            given.provider_id,
            given.priority,
            given.match_type,
            given.match_field,
            given.match_value,
            given.group_id,
        )

    target = f"{given.match_type}:{given.match_value}"
    async with services.auditor.change(caller.actor, "create_mapping_rule", target) as change:
        made = await services.control.write(create)
        change.details["rule_id"] = made.id
    return mapping_view(made)


@router.put("/mappings/{rule_id}", dependencies=writable)
async def update_mapping(services: Services, caller: IamAdmin, rule_id: RowId, given: MappingChange) -> MappingView:
    """What is left out stays."""
    values = given.model_dump(exclude_unset=True)
    for name, value in values.items():
        if value is None and name != "provider_id":
            raise ApiError(400, "invalid_request", f"{name}: must not be null", field=name)

    def update(unit: Unit) -> MappingRule:
        before = unit.rules.get(rule_id)
        check_match(given.match_type or before.match_type, given.match_value or before.match_value)
        if "match_type" in values:
            values["match_type"] = str(values["match_type"])
        return unit.rules.update(rule_id, values)

    details = {"changed": sorted(values)}
    async with services.auditor.change(caller.actor, "update_mapping_rule", str(rule_id), details):
        made = await services.control.write(update)
    return mapping_view(made)


@router.delete("/mappings/{rule_id}", status_code=204, dependencies=writable)
async def delete_mapping(services: Services, caller: IamAdmin, rule_id: RowId) -> None:
    """Memberships that it gave end when memberships are synchronised."""
    async with services.auditor.change(caller.actor, "delete_mapping_rule", str(rule_id)):
        await services.control.write(lambda unit: unit.rules.delete(rule_id))


@router.post("/mappings/preview", dependencies=writable)
async def preview(services: Services, caller: IamReader, given: PreviewRequest) -> PreviewAnswer:
    """Which groups somebody would join; the address counts as verified."""
    del caller
    claims = dict(given.claims or {})
    claimed = claims.get("email")
    email = given.email or (claimed if isinstance(claimed, str) else None)

    def look(unit: Unit) -> PreviewAnswer:
        ids = groups_for(unit.rules.list(), given.provider_id, claims, email=email, email_verified=True)
        return PreviewAnswer(group_ids=ids, group_names=[unit.groups.get(number).name for number in ids])

    return await services.control.read(look)


@router.get("/identities", response_model_exclude_none=True)
async def list_identities(services: Services, caller: IamReader) -> list[IdentityView]:
    """Who has signed in through which provider."""
    del caller
    return [identity_view(found) for found in await services.control.read(lambda unit: unit.identities.list())]


@router.post("/sync-memberships", dependencies=writable)
async def sync_memberships(services: Services, caller: IamAdmin) -> SyncAnswer:
    """Apply today's rules to everyone who has signed in through a provider. Groups that were given by hand stay."""

    def sync(unit: Unit) -> SyncAnswer:
        rules = unit.rules.list()
        wanted: dict[int, set[int]] = {}
        for identity in unit.identities.list():
            given = groups_for(
                rules,
                identity.provider_id,
                identity.raw_claims,
                email=identity.email,
                email_verified=identity.email_verified,
            )
            wanted.setdefault(identity.user_id, set()).update(given)
        users = changes = 0
        with keep_an_administrator(unit):
            for user_id, group_ids in wanted.items():
                before = set(unit.users.get(user_id).group_ids)
                unit.users.set_groups(user_id, group_ids, MembershipSource.MAPPING)
                changed = len(before ^ set(unit.users.get(user_id).group_ids))
                users += changed > 0
                changes += changed
        return SyncAnswer(users_updated=users, memberships_changed=changes)

    async with services.auditor.change(caller.actor, "sync_memberships", "") as change:
        found = await services.control.write(sync)
        change.details |= {"users_updated": found.users_updated, "memberships_changed": found.memberships_changed}
    return found
