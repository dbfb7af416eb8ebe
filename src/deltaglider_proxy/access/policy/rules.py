"""The rules of one principal, compiled: denied unless a rule allows it, and a Deny that matches always wins.

Rules without conditions are merged into one set and one tuple of beginnings per action, so that the cost of a decision
hardly depends on how many there are. Rules with conditions are looked at one by one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


_DENY_FIRST = (Effect.DENY, Effect.ALLOW)
_EVERYTHING = Patterns.of(["*"])


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

    def in_force(self, context: Context) -> Iterator[Patterns]:
        """What the statements are about, but for those of which a condition that is the same for all keys fails."""
        yield self.plain
        for statement in self.conditional:
            if all(condition.about_prefix or condition.holds(context) for condition in statement.conditions):
                yield statement.patterns

    def certain(self, context: Context) -> Iterator[Patterns]:
        """What the statements are about that hold whichever key it is."""
        yield self.plain
        for statement in self.conditional:
            if not any(condition.about_prefix for condition in statement.conditions) and statement.holds(context):
                yield statement.patterns

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
        return Listing.WHOLE if self._covers(bucket, f"{bucket}/{prefix}", context) else Listing.FILTERED

    def _covers(self, bucket: str, beginning: str, context: Context) -> bool:
        """Whether every key that begins so may be seen."""
        for action in ("list", "read"):
            for denied in self._sides[Effect.DENY, action].in_force(context):
                # A Deny on the bucket itself may have a condition on the prefix, and so hide keys.
                if denied.touch(beginning) or denied.match(bucket) or denied.match(bucket + "/"):
                    return False
        listed, read = (list(self._sides[Effect.ALLOW, action].certain(context)) for action in ("list", "read"))
        return any(patterns.cover(beginning) for patterns in (*listed, *read)) or any(
            bucket in patterns.exact for patterns in listed
        )

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


class _Shown:
    """What the statements of one effect say about the listing of one bucket.

    Keys that a condition names by their beginning are one more pattern, so that a key is compared once and not once for
    each statement; `asking` are the statements whose conditions must be asked.
    """

    __slots__ = ("asking", "at_bucket", "at_key", "at_slash")

    def __init__(self, side: _Side, bucket: str, context: Context) -> None:
        beginning = bucket + "/"
        at_key, at_bucket, at_slash = [side.plain], [], []
        self.asking: list[Statement] = []
        for statement in side.conditional:
            if not all(condition.holds(context) for condition in statement.conditions if not condition.about_prefix):
                continue
            keys = _EVERYTHING
            open_ones = tuple(condition for condition in statement.conditions if condition.about_prefix)
            for condition in open_ones:
                if condition.patterns is None:
                    self.asking.append(replace(statement, conditions=open_ones))
                    break
                keys = keys.intersection(condition.patterns)
            else:
                below = keys.below(beginning)
                at_key.append(statement.patterns.intersection(below))
                if statement.patterns.match(bucket):
                    at_bucket.append(below)
                if statement.patterns.match(beginning):
                    at_slash.append(below)
        whole = _EVERYTHING.below(beginning)
        self.at_key = Patterns.union(at_key)
        self.at_bucket = Patterns.union([*at_bucket, *([whole] if side.plain.match(bucket) else [])])
        self.at_slash = Patterns.union([*at_slash, *([whole] if side.plain.match(beginning) else [])])

    def asked(self, resource: str, context: Context) -> bool:
        return any(s.patterns.match(resource) and s.holds(context) for s in self.asking)


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
        sides = self._rules._sides
        self._unread, self._read = (sides[effect, "read"].plain for effect in _DENY_FIRST)
        self._denied, self._allowed = (_Shown(sides[effect, "list"], bucket, context) for effect in _DENY_FIRST)
        self._asks = bool(self._denied.asking or self._allowed.asking)

    def key(self, key: str) -> bool:
        resource = self._beginning + key
        if self._read.match(resource) and not self._unread.match(resource):
            return True
        denied, allowed = self._denied, self._allowed
        if self._asks:
            return self._ask(resource, key)
        # A Deny about the key itself hides it from those who may list the bucket.
        if denied.at_key.match(resource):
            return False
        if allowed.at_key.match(resource):
            return True
        if denied.at_bucket.match(resource):
            return False
        if allowed.at_bucket.match(resource):
            return True
        return allowed.at_slash.match(resource) and not denied.at_slash.match(resource)

    def _ask(self, resource: str, key: str) -> bool:
        context = replace(self._context, prefix=key)
        for about, name in ((resource, "at_key"), (self._bucket, "at_bucket"), (self._beginning, "at_slash")):
            for shown, verdict in ((self._denied, False), (self._allowed, True)):
                patterns: Patterns = getattr(shown, name)
                if patterns.match(resource) or shown.asked(about, context):
                    return verdict
        return False

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
