"""Conditions of rules, in the words and with the meaning of IAM policies.

Each is checked and compiled when it is stored, so that evaluating cannot fail. A fact that is missing makes a positive
operator false and a negated one true; of several values one must match, or, negated, none may. Source: AWS IAM User
Guide, "IAM JSON policy elements: Condition operators".
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_network

from deltaglider_proxy.access.policy.context import FACTS, KEY_NAMES, LISTING_KEYS, PREFIX_KEY, Context, Fact
from deltaglider_proxy.access.policy.resources import Patterns

Test = Callable[[Fact], bool]
"""Whether a fact that is there matches one value."""

_IF_EXISTS = "IfExists"
_GLOB = re.compile(r"[*?]")


class BadCondition(ValueError):
    """Names operator, key and value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One key under one operator."""

    key: str
    """Lower-case."""
    tests: tuple[Test, ...]
    negated: bool
    when_missing: bool
    patterns: Patterns | None = None
    """Exactly the facts for which it holds, where they can be said so."""

    def holds(self, context: Context) -> bool:
        return self.holds_for(FACTS[self.key](context))

    def holds_for(self, fact: Fact) -> bool:
        if fact is None:
            return self.when_missing
        return any(test(fact) for test in self.tests) is not self.negated

    @property
    def about_prefix(self) -> bool:
        return self.key == PREFIX_KEY

    @property
    def about_listing(self) -> bool:
        return self.key in LISTING_KEYS


@dataclass(frozen=True, slots=True)
class _Operator:
    compile: Callable[[str], Test]
    negated: bool = False


def _equals(value: str) -> Test:
    return lambda fact: fact == value


def glob(pattern: str) -> re.Pattern[str]:
    """`*` stands for any characters, `?` for one; everything else for itself.

    A piece between two `*` is taken where it first fits, for good: who sends the text must not be able to choose one
    that takes ages to compare.
    """
    first, *rest = ("".join("." if char == "?" else re.escape(char) for char in piece) for piece in pattern.split("*"))
    if not rest:
        return re.compile(first, re.DOTALL)
    *middle, last = rest
    return re.compile(first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + ".*" + last, re.DOTALL)


def _like(value: str) -> Test:
    if not _GLOB.search(value):
        return _equals(value)
    compiled = glob(value)
    return lambda fact: isinstance(fact, str) and compiled.fullmatch(fact) is not None


def _network(value: str) -> Test:
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise ValueError("is no address or network") from None
    if network.version == 6 and network.prefixlen >= 96 and (mapped := network.network_address.ipv4_mapped):
        network = ip_network((mapped, network.prefixlen - 96), strict=False)
    return lambda fact: isinstance(fact, IPv4Address | IPv6Address) and fact in network


def _boolean(value: str) -> Test:
    if value.lower() not in ("true", "false"):
        raise ValueError("is neither true nor false")
    return _equals(value.lower())


def _number(compare: Callable[[float, float], bool], value: str) -> Test:
    wanted = _to_number(value)
    if wanted is None:
        raise ValueError("is no number")

    def test(fact: Fact) -> bool:
        given = fact if isinstance(fact, float) else _to_number(fact) if isinstance(fact, str) else None
        return given is not None and compare(given, wanted)

    return test


def _to_number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?", text) else None


def _date(compare: Callable[[float, float], bool], value: str) -> Test:
    wanted = _to_number(value)
    if wanted is None:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("is no date such as 2026-01-31T00:00:00Z") from None
        wanted = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    fixed = wanted
    return lambda fact: isinstance(fact, float) and compare(fact, fixed)


def _comparisons(
    family: str, compile_value: Callable[[Callable[[float, float], bool], str], Test]
) -> Iterator[tuple[str, _Operator]]:
    for name, compare in (
        ("Equals", operator.eq),
        ("LessThan", operator.lt),
        ("LessThanEquals", operator.le),
        ("GreaterThan", operator.gt),
        ("GreaterThanEquals", operator.ge),
    ):
        yield family + name, _Operator(partial(compile_value, compare))
    yield f"{family}NotEquals", _Operator(partial(compile_value, operator.eq), negated=True)


OPERATORS: Mapping[str, _Operator] = {
    "StringEquals": _Operator(_equals),
    "StringNotEquals": _Operator(_equals, negated=True),
    "StringLike": _Operator(_like),
    "StringNotLike": _Operator(_like, negated=True),
    "IpAddress": _Operator(_network),
    "NotIpAddress": _Operator(_network, negated=True),
    "Bool": _Operator(_boolean),
    **dict(_comparisons("Numeric", _number)),
    **dict(_comparisons("Date", _date)),
}
"""Each also with `IfExists` behind it. `Null` is beside them, because it asks whether there is a fact at all."""

_ADDRESS_KEYS = frozenset({"aws:sourceip"})
_TIME_KEYS = frozenset({"aws:currenttime", "aws:epochtime"})


def compile_condition(name: str, key: str, values: Sequence[str]) -> Condition:
    """Raises BadCondition."""
    lower = key.lower()
    if lower not in FACTS:
        raise BadCondition(f"{name!r}: {key!r} is no condition key; use one of {', '.join(KEY_NAMES)}")
    if not values:
        raise BadCondition(f"{name!r} {key}: no value")
    if name == "Null":
        return _null(lower, key, values)
    base = name.removesuffix(_IF_EXISTS)
    found = OPERATORS.get(base)
    if found is None:
        raise BadCondition(f"{name!r} is no condition operator; use one of {', '.join((*OPERATORS, 'Null'))}")
    if not _fits(base, lower):
        raise BadCondition(f"{name} {key}: the operator does not go with this key")
    tests = []
    for value in values:
        try:
            tests.append(found.compile(value))
        except ValueError as error:
            raise BadCondition(f"{name} {key}: {value!r} {error}") from None
    return Condition(
        lower, tuple(tests), found.negated, found.negated or name.endswith(_IF_EXISTS), _patterns(base, values)
    )


def _patterns(base: str, values: Sequence[str]) -> Patterns | None:
    if base == "StringEquals":
        return Patterns(frozenset(values), ())
    if base == "StringLike" and not any(_GLOB.search(value.removesuffix("*")) for value in values):
        return Patterns.of(values)
    return None


def _fits(base: str, key: str) -> bool:
    """An operator that could never match would make a rule mean less, or a Deny nothing, in silence."""
    if base in ("IpAddress", "NotIpAddress"):
        return key in _ADDRESS_KEYS
    if base.startswith("Date"):
        return key in _TIME_KEYS
    if base == "Bool":
        return key == "aws:securetransport"
    if base.startswith("Numeric"):
        return key in ("s3:max-keys", "aws:epochtime")
    return key not in _ADDRESS_KEYS | _TIME_KEYS


def _null(lower: str, key: str, values: Sequence[str]) -> Condition:
    if len(values) != 1 or values[0].lower() not in ("true", "false"):
        raise BadCondition(f"Null {key}: use one value, true or false")
    missing = values[0].lower() == "true"
    return Condition(lower, (), negated=not missing, when_missing=missing)


def compile_conditions(conditions: Mapping[str, Mapping[str, Sequence[str]]]) -> tuple[Condition, ...]:
    """All must hold. Raises BadCondition."""
    return tuple(
        compile_condition(name, key, values) for name, keys in conditions.items() for key, values in keys.items()
    )
