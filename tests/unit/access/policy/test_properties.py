"""What must hold for any rules whatever."""

from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.access.policy.conditions import BadCondition, compile_condition
from deltaglider_proxy.access.policy.context import KEY_NAMES, Context
from deltaglider_proxy.access.policy.explain import explain
from deltaglider_proxy.access.policy.rules import ACTIONS, Listing, Rules, compile_rules
from deltaglider_proxy.access.policy.validate import InvalidPermissions, as_json, parse_permissions
from deltaglider_proxy.control.model import Effect, Permission
from tests.support import policy_oracle as oracle
from tests.support.policy_oracle import Asked

PIECES = ["a", "ab", "b", "p", "p/", "/", "x"]
names = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join)
buckets = st.sampled_from(["a", "ab", "b"])
prefixes = st.lists(st.sampled_from(PIECES), max_size=2).map("".join)
patterns = st.one_of(
    st.just("*"),
    buckets,
    st.builds(lambda bucket, key, star: f"{bucket}/{key}{star}", buckets, prefixes, st.sampled_from(["", "*", "*"])),
    st.builds(lambda bucket: bucket + "*", buckets),
    st.just("a/${iam:username}/*"),
)
prefix_conditions = st.builds(
    lambda operator, values: {operator: {"s3:prefix": tuple(values)}},
    st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringLikeIfExists"]),
    st.lists(st.one_of(prefixes, prefixes.map(lambda text: text + "*")), min_size=1, max_size=2),
)
address_conditions = st.builds(
    lambda operator, values: {operator: {"aws:SourceIp": tuple(values)}},
    st.sampled_from(["IpAddress", "NotIpAddress"]),
    st.lists(st.sampled_from(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]), min_size=1, max_size=2),
)
delimiter_conditions = st.sampled_from(["StringEquals", "StringNotEquals", "StringEqualsIfExists"]).map(
    lambda operator: {operator: {"s3:delimiter": ("/",)}}
) | st.sampled_from(["true", "false"]).map(lambda missing: {"Null": {"s3:delimiter": (missing,)}})
conditions = st.one_of(st.just({}), prefix_conditions, address_conditions, delimiter_conditions)
permissions = st.builds(
    Permission,
    st.sampled_from(list(Effect)),
    st.lists(st.sampled_from([*ACTIONS, "*"]), min_size=1, max_size=2).map(tuple),
    st.lists(patterns, min_size=1, max_size=2).map(tuple),
    conditions,
)
policies = st.lists(permissions, max_size=5)
requests = st.builds(
    Asked,
    st.sampled_from([None, "10.0.0.1", "192.0.2.1", "2001:db8::5"]),
    st.none() | prefixes,
    delimiter=st.sampled_from([None, "/"]),
)


def rules_of(policy: list[Permission]) -> Rules:
    return compile_rules(policy, username="ana", access_key_id="AKANA")


def context(asked: Asked) -> Context:
    address = ip_address(asked.ip) if asked.ip else None
    return Context(0.0, address, username="ana", prefix=asked.prefix, delimiter=asked.delimiter)


@given(policies, st.sampled_from(ACTIONS), buckets, st.just("") | names, requests)
@settings(max_examples=1500, deadline=None)
def test_compiled_rules_decide_as_the_oracle(
    policy: list[Permission], action: str, bucket: str, key: str, asked: Asked
) -> None:
    wanted = oracle.allowed(policy, action, bucket, key, asked)
    assert rules_of(policy).allows(action, bucket, key, context(asked)) is wanted
    sources = [("user", rule) for rule in policy]
    found = explain(sources, action, bucket, key, context(asked), username="ana", access_key_id="AKANA")
    assert found.allowed is wanted
    assert rules_of(policy).is_admin(context(asked)) is oracle.is_admin(policy, asked)


@given(policies, buckets, prefixes, st.sets(names, max_size=8), requests)
@settings(max_examples=1500, deadline=None)
def test_listings_show_what_the_oracle_shows(
    policy: list[Permission], bucket: str, prefix: str, universe: set[str], asked: Asked
) -> None:
    listed = replace(asked, prefix=prefix)
    here = context(listed)
    rules = rules_of(policy)
    below = sorted(key for key in universe if key.startswith(prefix))
    wanted = [key for key in below if oracle.shown(policy, bucket, key, listed)]
    match rules.listing(bucket, prefix, here):
        case Listing.WHOLE:
            assert wanted == below
        case Listing.FILTERED:
            shown = rules.filter(bucket, here)
            assert [key for key in below if shown.key(key)] == wanted
            for key in wanted:
                # What is visible must not disappear behind a common prefix that is hidden; one that is denied may.
                rolled = key[: key.find("/", len(prefix)) + 1]
                if rolled and not shown.prefix(rolled):
                    assert any(rule.effect is Effect.DENY for rule in policy) or any(r.conditions for r in policy)
        case Listing.DENIED:
            assert not oracle.allowed(policy, "list", bucket, "", listed)


@given(policies, permissions, st.sampled_from(ACTIONS), buckets, st.just("") | names, requests)
@settings(max_examples=400, deadline=None)
def test_a_deny_never_gives_and_order_means_nothing(
    policy: list[Permission], more: Permission, action: str, bucket: str, key: str, asked: Asked
) -> None:
    here = context(asked)
    before = rules_of(policy).allows(action, bucket, key, here)
    after = rules_of([more, *policy]).allows(action, bucket, key, here)
    assert after is rules_of([*reversed(policy), more]).allows(action, bucket, key, here)
    if more.effect is Effect.DENY:
        assert not after or before
    if more.effect is Effect.ALLOW:
        assert not before or after


@given(policies)
def test_what_is_shown_is_read_again(policy: list[Permission]) -> None:
    shown = [as_json(rule, number) for number, rule in enumerate(policy)]
    again = parse_permissions(shown)
    assert [as_json(rule, number) for number, rule in enumerate(again)] == shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
hostile_rules = st.fixed_dictionaries(
    {},
    optional={
        "effect": json_values,
        "actions": json_values | st.lists(st.sampled_from(["read", "*", "fly"]), max_size=2),
        "resources": json_values | st.lists(st.text(max_size=6), max_size=2),
        "conditions": json_values
        | st.dictionaries(
            st.sampled_from(["StringLike", "IpAddress", "Null", "Bool", "DateLessThan", "NumericEquals", "X"]),
            st.dictionaries(st.sampled_from([*KEY_NAMES, "x"]), json_values, max_size=2),
            max_size=2,
        ),
        "id": json_values,
    },
)


@given(st.lists(hostile_rules | json_values, max_size=3) | json_values)
@settings(max_examples=600, deadline=None)
def test_nothing_that_is_sent_breaks_the_parser(sent: object) -> None:
    try:
        parsed = parse_permissions(sent)
    except InvalidPermissions:
        return
    rules_of(list(parsed)).allows("read", "a", "k", Context(0.0))


@given(st.text(max_size=12), st.text(max_size=12), st.lists(st.text(max_size=12), max_size=3))
def test_conditions_are_refused_in_one_way(operator: str, key: str, values: list[str]) -> None:
    with suppress(BadCondition):
        compile_condition(operator, key, values)
