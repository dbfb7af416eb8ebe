"""The rules of one principal, compiled: denied unless a rule allows it, and a Deny that matches always wins.

Rules without conditions are merged into one set and one tuple of beginnings per action, so that the cost of a decision
hardly depends on how many there are. Rules with conditions are looked at one by one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from deltaglider_proxy.access.policy.conditions import BadCondition, Condition, compile_conditions
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.resources import Patterns, UnknownTemplate, expand
from deltaglider_proxy.control.model import Conditions, Effect, Permission

ACTIONS = ("read", "write", "delete", "list", "admin")
EVERY_ACTION = "*"


class BrokenRules(ValueError):
    """A stored rule cannot be understood; its owner must get no rights from any of them."""


class Listing(Enum):
    DENIED = "denied"
    FILTERED = "filtered"
    """Some of it may be shown; see `Rules.filter`."""
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Statement:
    effect: Effect
    actions: frozenset[str]
    """Of ACTIONS."""
    patterns: Patterns
    conditions: tuple[Condition, ...] = ()

    def about(self, action: str) -> "Statement | None":
        """What it says of one action; None: nothing."""
        if action not in self.actions:
            return None
        if action == "list" or not any(condition.about_listing for condition in self.conditions):
            return self
        if not all(condition.when_missing for condition in self.conditions if condition.about_listing):
            return None
        return replace(self, conditions=tuple(c for c in self.conditions if not c.about_listing))

    def holds(self, context: Context) -> bool:
        return all(condition.holds(context) for condition in self.conditions)


class _Side:
    """The statements of one effect about one action."""

    __slots__ = ("conditional", "plain")

    def __init__(self, statements: Iterable[Statement]) -> None:
        listed = list(statements)
        self.plain = Patterns.union(statement.patterns for statement in listed if not statement.conditions)
        self.conditional = [statement for statement in listed if statement.conditions]

    def match(self, resource: str, context: Context) -> bool:
        if self.plain.match(resource):
            return True
        return bool(self.conditional) and any(
            statement.patterns.match(resource) and statement.holds(context) for statement in self.conditional
        )

    def __iter__(self) -> Iterator[Patterns]:
        yield self.plain
        yield from (statement.patterns for statement in self.conditional)

    def touch(self, beginning: str) -> bool:
        return self.plain.touch(beginning) or any(s.patterns.touch(beginning) for s in self.conditional)

    def name_bucket(self, bucket: str) -> bool:
        return self.plain.name_bucket(bucket) or any(s.patterns.name_bucket(bucket) for s in self.conditional)


class Rules:
    def __init__(self, statements: Iterable[Statement], *, shows_by_name: bool = True) -> None:
        """`shows_by_name`: whoever may do anything in a bucket may list it, and sees what they may see; strangers may
        not.
        """
        self._statements = tuple(statements)
        self._shows_by_name = shows_by_name
        self._sides = {
            (effect, action): _Side(
                said for s in self._statements if s.effect is effect and (said := s.about(action)) is not None
            )
            for effect in Effect
            for action in ACTIONS
        }
        self._any_allow = _Side(s for s in self._statements if s.effect is Effect.ALLOW)

    def allows(self, action: str, bucket: str, key: str, context: Context) -> bool:
        """Whether the action on the key, or on the bucket itself for the empty key, is allowed."""
        if key:
            return self._verdict(action, f"{bucket}/{key}", context) is True
        return self._bucket_verdict(action, bucket, context) is True

    def _verdict(self, action: str, resource: str, context: Context) -> bool | None:
        """None: no rule says anything."""
        if self._sides[Effect.DENY, action].match(resource, context):
            return False
        return True if self._sides[Effect.ALLOW, action].match(resource, context) else None

    def _bucket_verdict(self, action: str, bucket: str, context: Context) -> bool | None:
        """`bucket/*` is about the bucket too, where nothing else is."""
        verdict = self._verdict(action, bucket, context)
        return self._verdict(action, bucket + "/", context) if verdict is None else verdict

    def listing(self, bucket: str, prefix: str, context: Context) -> Listing:
        """`context.prefix` is the prefix too."""
        verdict = self._bucket_verdict("list", bucket, context)
        if verdict is False:
            return Listing.DENIED
        if verdict is None:
            return Listing.FILTERED if self._shows_by_name and self.sees_bucket(bucket) else Listing.DENIED
        return Listing.WHOLE if self._covers(bucket, f"{bucket}/{prefix}") else Listing.FILTERED

    def _covers(self, bucket: str, beginning: str) -> bool:
        """Whether every key that begins so may be seen, whatever the request's other facts."""
        for action in ("list", "read"):
            denied = self._sides[Effect.DENY, action]
            if denied.touch(beginning) or self._denies_bucket(denied, bucket):
                return False
        listed, read = (self._sides[Effect.ALLOW, action].plain for action in ("list", "read"))
        return bucket in listed.exact or listed.cover(beginning) or read.cover(beginning)

    @staticmethod
    def _denies_bucket(denied: _Side, bucket: str) -> bool:
        """A Deny on the bucket itself may have a condition on the prefix, and so hide keys."""
        return any(patterns.match(bucket) or patterns.match(bucket + "/") for patterns in denied)

    def filter(self, bucket: str, context: Context) -> "ListFilter":
        return ListFilter(self, bucket, context)

    def shows(self, bucket: str, key: str, context: Context) -> bool:
        return self.filter(bucket, context).key(key)

    def shows_prefix(self, bucket: str, common_prefix: str, context: Context) -> bool:
        return self.filter(bucket, context).prefix(common_prefix)

    def sees_bucket(self, bucket: str) -> bool:
        """Whether any rule allows anything in it, whatever other rules deny."""
        return self._any_allow.name_bucket(bucket)

    def is_admin(self, context: Context) -> bool:
        """Whether everything may be administered, from there and now."""
        about = [said for statement in self._statements if (said := statement.about("admin")) is not None]
        admins = [statement for statement in about if statement.patterns.everything and statement.holds(context)]
        return any(s.effect is Effect.ALLOW for s in admins) and not any(s.effect is Effect.DENY for s in admins)

    def may_delete_some(self, bucket: str, context: Context) -> bool:
        """Whether there can be a key in the bucket that may be deleted."""
        allowed = self._sides[Effect.ALLOW, "delete"]
        beginning = bucket + "/"
        return allowed.plain.touch(beginning) or any(
            statement.patterns.touch(beginning) and statement.holds(context) for statement in allowed.conditional
        )

    def settled(self, context: Context) -> "Rules":
        """The same rules with every condition decided but those on facts that only listings have."""
        if all(condition.about_listing for statement in self._statements for condition in statement.conditions):
            return self
        kept = []
        for statement in self._statements:
            fixed = [condition for condition in statement.conditions if not condition.about_listing]
            if all(condition.holds(context) for condition in fixed):
                open_ones = tuple(condition for condition in statement.conditions if condition.about_listing)
                kept.append(replace(statement, conditions=open_ones))
        return Rules(kept, shows_by_name=self._shows_by_name)

    def allowed_below(self, beginning: str) -> bool:
        """Whether a rule without conditions lets something that begins so be read or listed."""
        return any(
            self._sides[Effect.ALLOW, action].plain.name_below(beginning)
            and not self._sides[Effect.DENY, action].plain.cover(beginning)
            for action in ("list", "read")
        )


class ListFilter:
    """What of a listing may be shown: a key that may be read or listed, and a common prefix above such a key.

    A condition on the prefix is asked about each key, never about the prefix that the client chose: who may list
    `releases` must not learn of `releases-internal/`.
    """

    def __init__(self, rules: Rules, bucket: str, context: Context) -> None:
        self._rules = rules.settled(context)
        self._bucket = bucket
        self._beginning = bucket + "/"
        self._context = context
        self._verdict: Callable[[str, str, Context], bool | None] = self._rules._verdict
        self._whole_bucket: bool | None = None
        self._asks_prefix = any(
            condition.about_prefix for statement in self._rules._statements for condition in statement.conditions
        )

    def key(self, key: str) -> bool:
        resource = self._beginning + key
        if self._verdict("read", resource, self._context):
            return True
        context = replace(self._context, prefix=key) if self._asks_prefix else self._context
        verdict = self._verdict("list", resource, context)
        # A Deny about the key itself hides it from those who may list the bucket.
        return self._lists_bucket(context) if verdict is None else verdict

    def _lists_bucket(self, context: Context) -> bool:
        if self._whole_bucket is None or self._asks_prefix:
            self._whole_bucket = self._rules._bucket_verdict("list", self._bucket, context) is True
        return self._whole_bucket

    def prefix(self, common_prefix: str) -> bool:
        return self.key(common_prefix) or self._rules.allowed_below(self._beginning + common_prefix)


def compile_rules(permissions: Iterable[Permission], *, username: str, access_key_id: str) -> Rules:
    """Raises BrokenRules."""
    return Rules([compile_permission(permission, username, access_key_id) for permission in permissions])


def compile_permission(permission: Permission, username: str, access_key_id: str) -> Statement:
    """Raises BrokenRules."""
    try:
        resources = [expand(resource, username, access_key_id) for resource in permission.resources]
        conditions = compile_conditions(_expanded(permission.conditions, username, access_key_id))
    except (UnknownTemplate, BadCondition) as error:
        raise BrokenRules(str(error)) from error
    return Statement(permission.effect, _actions(permission.actions), Patterns.of(resources), conditions)


def _actions(actions: Sequence[str]) -> frozenset[str]:
    unknown = [action for action in actions if action not in ACTIONS and action != EVERY_ACTION]
    if unknown:
        raise BrokenRules(f"{unknown[0]!r} is no action")
    return frozenset(ACTIONS) if EVERY_ACTION in actions else frozenset(actions)


def _expanded(conditions: Conditions, username: str, access_key_id: str) -> Mapping[str, Mapping[str, list[str]]]:
    return {
        name: {key: [expand(value, username, access_key_id) for value in values] for key, values in keys.items()}
        for name, keys in conditions.items()
    }


EVERYTHING = Rules([Statement(Effect.ALLOW, frozenset(ACTIONS), Patterns.of(["*"]))])
NOTHING = Rules([])
