"""`storage.lifecycle`: rules that delete or move objects by age, or keep only the newest."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from deltaglider_proxy.config.duration import Duration, format_duration, parse_duration
from deltaglider_proxy.config.findings import Finding, Keys, dropped, warning
from deltaglider_proxy.config.model import Many, Model, Positive, Uint
from deltaglider_proxy.config.replication import Location, RuleName, bad_globs, check_rule_name, within


class Delete(Model):
    type: Literal["delete"]
    """Delete the object."""


class Move(Model):
    type: Literal["transition", "archive"]
    """Copy the object to another place."""
    destination: Location
    """Where to."""
    delete_source_after_success: bool = False
    """Delete the original when the copy is complete."""


class Qualify(Model):
    min_size_bytes: Uint | None = None
    """Smaller objects neither count nor go."""
    min_age: Duration | None = None
    """Younger objects neither count nor go."""


class RetainNewest(Model):
    type: Literal["retain-newest"]
    """Keep the newest objects of a folder and delete the others."""
    count: Positive
    """How many are kept."""
    qualify: Qualify = Qualify()
    """Which objects count."""
    protect_younger_than: Duration | None = None
    """Never delete younger objects."""


def _tag(value: object) -> object:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", value)
    return "move" if kind in ("transition", "archive") else kind if isinstance(value, dict | Model) else "name"


Action = Annotated[
    Annotated[Literal["delete"], Tag("name")]
    | Annotated[Delete, Tag("delete")]
    | Annotated[Move, Tag("move")]
    | Annotated[RetainNewest, Tag("retain-newest")],
    Discriminator(_tag),
]


class LifecycleRule(Model):
    name: RuleName
    """Unique; 1 to 64 letters, digits, `_`, `.` or `-`."""
    enabled: bool = False
    """Whether the rule runs."""
    bucket: str
    """Bucket name as clients know it."""
    prefix: str = ""
    """Only keys that begin with this."""
    action: Action = "delete"
    """delete, or a mapping of type transition, archive or retain-newest."""
    expire_after: str | None = None
    """Age, as a duration, from which the rule applies."""
    include_globs: Many[str] = ()
    """Only keys that match one of these; all if empty."""
    exclude_globs: Many[str] = (".deltaglider/**",)
    """Never keys that match one of these."""
    batch_size: int = 100
    """Objects per step; 1 to 10000."""


class Lifecycle(Model):
    enabled: bool = False
    """Whether rules run at all."""
    tick_interval: Duration = timedelta(hours=1)
    """How often rules run; at least 60s."""
    max_failures_retained: Uint = 100
    """Failures kept per rule; 0 hides them."""
    rules: Many[LifecycleRule] = ()
    """In any order."""


def destinations(rule: LifecycleRule) -> tuple[str, ...]:
    """Buckets that the rule writes to, in lower case."""
    return (rule.action.destination.bucket.lower(),) if isinstance(rule.action, Move) else ()


def check(section: Lifecycle, keys: Keys) -> Iterator[Finding]:
    if section.tick_interval < timedelta(seconds=60):
        place = (*keys, "tick_interval")
        yield warning(place, "60s is used instead, the least that works", value=format_duration(section.tick_interval))
    if section.max_failures_retained == 0:
        yield warning((*keys, "max_failures_retained"), "no failure is kept, so none can be seen")
    seen: set[str] = set()
    for index, rule in enumerate(section.rules):
        yield from _check_rule(rule, seen, (*keys, "rules", index))


def _check_rule(rule: LifecycleRule, seen: set[str], keys: Keys) -> Iterator[Finding]:
    yield from check_rule_name(rule.name, seen, keys)
    yield from within((*keys, "batch_size"), rule.batch_size, 10_000)
    if isinstance(rule.action, RetainNewest):
        if rule.expire_after is not None:
            yield warning((*keys, "expire_after"), "has no effect on retain-newest", "use qualify.min_age")
    elif rule.expire_after is None:
        remedy = "write a duration such as 30d"
        yield dropped((*keys, "expire_after"), "is needed, or every object would expire at once", remedy, drop=keys)
    else:
        try:
            parse_duration(rule.expire_after)
        except ValueError as problem:
            yield dropped((*keys, "expire_after"), str(problem), drop=keys, value=rule.expire_after)
    if isinstance(rule.action, Move) and not rule.action.destination.bucket:
        yield dropped((*keys, "action", "destination", "bucket"), "must not be empty", drop=keys)
    for field, globs in (("include_globs", rule.include_globs), ("exclude_globs", rule.exclude_globs)):
        for number, reason in bad_globs(globs):
            yield dropped((*keys, field, number), f"is no glob: it {reason}", drop=keys, value=globs[number])
