"""Which rule decides about a request, for whoever wonders why."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.rules import Statement, compile_permission
from deltaglider_proxy.control.model import Effect, Permission


class Reason(StrEnum):
    EXPLICIT_DENY = "explicit_deny"
    EXPLICIT_ALLOW = "explicit_allow"
    NO_RULE = "no_rule"


@dataclass(frozen=True, slots=True)
class Explanation:
    allowed: bool
    reason: Reason
    origin: str = ""
    """`user`, or `group:NAME`."""
    permission: Permission | None = None


def explain(
    sources: Iterable[tuple[str, Permission]],
    action: str,
    bucket: str,
    key: str,
    context: Context,
    *,
    username: str,
    access_key_id: str,
) -> Explanation:
    """`sources` are the rules with their origins. Raises BrokenRules."""
    compiled: list[tuple[str, Permission, Statement]] = []
    for origin, rule in sources:
        said = compile_permission(rule, username, access_key_id).about(action)
        if said is not None:
            compiled.append((origin, rule, said))
    for resource in (f"{bucket}/{key}",) if key else (bucket, f"{bucket}/"):
        matching = [
            (origin, rule)
            for origin, rule, statement in compiled
            if statement.patterns.match(resource) and statement.holds(context)
        ]
        for effect, reason in ((Effect.DENY, Reason.EXPLICIT_DENY), (Effect.ALLOW, Reason.EXPLICIT_ALLOW)):
            for origin, rule in matching:
                if rule.effect is effect:
                    return Explanation(effect is Effect.ALLOW, reason, origin, rule)
    return Explanation(allowed=False, reason=Reason.NO_RULE)
