"""`storage.replication`: rules that copy new and changed objects from one bucket to another."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from deltaglider_proxy.config.duration import Duration, format_duration
from deltaglider_proxy.config.findings import Finding, Keys, dropped, warning
from deltaglider_proxy.config.glob import GlobError, compile_glob
from deltaglider_proxy.config.model import Many, Model, Uint

_RULE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

RuleName = Annotated[str, Field(json_schema_extra={"pattern": f"^{_RULE_NAME.pattern}$"})]


class Location(Model):
    bucket: str
    """Bucket name as clients know it."""
    prefix: str = ""
    """Only keys that begin with this, taken as a folder."""

    @property
    def folder(self) -> str:
        """The prefix as keys begin: empty, or `a/b/`."""
        parts = [part for part in self.prefix.split("/") if part]
        return "/".join(parts) + "/" if parts else ""


class ReplicationRule(Model):
    name: RuleName
    """Unique; 1 to 64 letters, digits, `_`, `.` or `-`."""
    enabled: bool = True
    """Whether the rule runs."""
    source: Location
    """What is copied."""
    destination: Location
    """Where it is copied to."""
    interval: Duration = timedelta(hours=24)
    """Time between two runs; at least 30s."""
    batch_size: int = 100
    """Objects per step; 1 to 10000."""
    replicate_deletes: bool = False
    """Delete at the destination what was deleted at the source."""
    conflict: Literal["newer-wins", "content-diff", "skip-if-dest-exists"] = "newer-wins"
    """What happens when the destination has the object already."""
    strict_content_diff: bool = False
    """Compare contents even where dates and sizes agree."""
    include_globs: Many[str] = ()
    """Only keys that match one of these; all if empty."""
    exclude_globs: Many[str] = (".deltaglider/**",)
    """Never keys that match one of these."""


class Replication(Model):
    enabled: bool = True
    """Whether rules run at all."""
    tick_interval: Duration = timedelta(seconds=30)
    """How often due rules are looked for; at least 5s."""
    lease_ttl: Duration = timedelta(seconds=300)
    """After which a silent worker loses its rule; at least 15s."""
    heartbeat_interval: Duration = timedelta(seconds=60)
    """How often a worker shows that it lives; at least 5s, and less than lease_ttl."""
    max_failures_retained: Uint = 100
    """Failures kept per rule."""
    object_timeout: Duration = timedelta(minutes=30)
    """For one object; 0s means no limit."""
    object_skip_after_failures: Uint = 5
    """Failures after which an object is left out; 0 means never."""
    transfers: int = 4
    """Objects copied at once; 1 to 64."""
    upload_concurrency: int = 4
    """Parts of one object copied at once; 1 to 16."""
    dir_concurrency: int = 4
    """Folders listed at once; 1 to 16."""
    rules: Many[ReplicationRule] = ()
    """In any order."""


def check(section: Replication, keys: Keys) -> Iterator[Finding]:
    floors = (("tick_interval", 5, section.tick_interval), ("lease_ttl", 15, section.lease_ttl))
    for field, floor, interval in (*floors, ("heartbeat_interval", 5, section.heartbeat_interval)):
        yield from at_least((*keys, field), interval, floor)
    if section.heartbeat_interval >= section.lease_ttl:
        yield warning(
            (*keys, "heartbeat_interval"), "must be less than lease_ttl, or leases run out while work goes on"
        )
    limits = (("transfers", section.transfers, 64), ("upload_concurrency", section.upload_concurrency, 16))
    for field, value, highest in (*limits, ("dir_concurrency", section.dir_concurrency, 16)):
        yield from within((*keys, field), value, highest)
    seen: set[str] = set()
    for index, rule in enumerate(section.rules):
        place = (*keys, "rules", index)
        yield from check_rule_name(rule.name, seen, place)
        yield from at_least((*place, "interval"), rule.interval, 30)
        yield from within((*place, "batch_size"), rule.batch_size, 10_000)
        for field, globs in (("include_globs", rule.include_globs), ("exclude_globs", rule.exclude_globs)):
            for number, problem in bad_globs(globs):
                yield warning((*place, field, number), f"is no glob: it {problem}", value=globs[number])
    yield from _check_paths(section, keys)


def _check_paths(section: Replication, keys: Keys) -> Iterator[Finding]:
    rules = [(index, rule) for index, rule in enumerate(section.rules) if rule.enabled]
    for index, rule in rules:
        place = (*keys, "rules", index, "destination")
        if _overlap(rule.source, rule.destination):
            yield warning(place, "the rule copies to itself")
        for _, other in rules[: index + 1]:
            if other is rule:
                break
            if _overlap(rule.destination, other.destination):
                yield warning(place, f"overlaps the destination of the rule {other.name}")
        if _returns(rule, [other for _, other in rules]):
            yield warning(place, "other rules copy from here back to the source")


def _overlap(one: Location, other: Location) -> bool:
    same = one.bucket.lower() == other.bucket.lower()
    return same and (one.folder.startswith(other.folder) or other.folder.startswith(one.folder))


def _returns(start: ReplicationRule, rules: list[ReplicationRule]) -> bool:
    reached = [start]
    for rule in reached:
        for follower in rules:
            if _overlap(rule.destination, follower.source) and follower not in reached:
                if _overlap(follower.destination, start.source):
                    return True
                reached.append(follower)
    return False


def at_least(keys: Keys, interval: timedelta, seconds: int) -> Iterator[Finding]:
    if interval < timedelta(seconds=seconds):
        yield warning(keys, f"{seconds}s is used instead, the least that works", value=format_duration(interval))


def within(keys: Keys, value: int, highest: int) -> Iterator[Finding]:
    if not 1 <= value <= highest:
        yield warning(keys, f"the nearest of 1 to {highest} is used", value=value)


def bad_globs(globs: tuple[str, ...]) -> Iterator[tuple[int, GlobError]]:
    for index, glob in enumerate(globs):
        try:
            compile_glob(glob)
        except GlobError as problem:
            yield index, problem


def check_rule_name(name: str, seen: set[str], keys: Keys) -> Iterator[Finding]:
    """`seen` is added to. A rule whose name is taken is left out at a start, since state is kept by name."""
    if not _RULE_NAME.fullmatch(name):
        yield dropped((*keys, "name"), "is no rule name", "use 1-64 of A-Z a-z 0-9 _ . -", drop=keys, value=name)
    elif name in seen:
        yield dropped((*keys, "name"), "another rule has this name", "rename one of them", drop=keys, value=name)
    seen.add(name)
