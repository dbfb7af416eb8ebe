"""Every kind of principal, operation and resource under every policy of a table, against the oracle."""

from dataclasses import replace
from ipaddress import ip_address
from itertools import product

import pytest

from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.rules import (
    ACTIONS,
    EVERYTHING,
    NOTHING,
    BrokenRules,
    Listing,
    Rules,
    compile_rules,
)
from deltaglider_proxy.access.policy.strangers import anonymous_rules
from deltaglider_proxy.control.model import Conditions, Effect, Permission
from tests.support import policy_oracle as oracle
from tests.support.policy_oracle import Asked


def rule(effect: str, actions: str, *resources: str, conditions: Conditions | None = None) -> Permission:
    return Permission(Effect(effect), tuple(actions.split()), resources, conditions or {})


def allow(actions: str, *resources: str, conditions: Conditions | None = None) -> Permission:
    return rule("Allow", actions, *resources, conditions=conditions)


def deny(actions: str, *resources: str, conditions: Conditions | None = None) -> Permission:
    return rule("Deny", actions, *resources, conditions=conditions)


OFFICE = {"IpAddress": {"aws:SourceIp": ("10.0.0.0/8", "2001:db8::/32")}}
ELSEWHERE = {"NotIpAddress": {"aws:SourceIp": ("10.0.0.0/8", "2001:db8::/32")}}
PUBLIC_PREFIX = {"StringLike": {"s3:prefix": ("pub/*", "pub")}}
NOT_PUBLIC = {"StringNotLike": {"s3:prefix": ("pub/*", "pub")}}
SECURE = {"Bool": {"aws:SecureTransport": ("false",)}}

POLICIES: dict[str, list[Permission]] = {
    "nothing": [],
    "everything": [allow("*", "*")],
    "read only": [allow("read list", "*")],
    "no delete": [allow("*", "*"), deny("delete", "*")],
    "one bucket": [allow("*", "box", "box/*")],
    "objects of one bucket": [allow("*", "box/*")],
    "the bucket alone": [allow("*", "box")],
    "a prefix": [allow("read list write delete", "box/pub/*")],
    "a beginning": [allow("read list", "box/p*")],
    "buckets that begin so": [allow("read list", "bo*")],
    "a key": [allow("read", "box/pub/a"), allow("write", "box/top")],
    "listing but for private": [allow("list", "box/*"), deny("read list", "box/private/*")],
    "reading but for private": [allow("read list", "*"), deny("read", "box/private/*")],
    "deny wins in any order": [deny("read", "box/pub/*"), allow("*", "*")],
    "own home": [allow("*", "box/home/${iam:username}/*")],
    "own key": [allow("read", "box/keys/${iam:access_key_id}")],
    "from the office": [allow("*", "*", conditions=OFFICE)],
    "not from elsewhere": [allow("*", "*"), deny("*", "*", conditions=ELSEWHERE)],
    "list below pub": [allow("list", "box", conditions=PUBLIC_PREFIX), allow("read", "box/pub/*")],
    "deny lists but of pub": [allow("*", "*"), deny("list", "box", conditions=NOT_PUBLIC)],
    "only over tls": [allow("*", "*"), deny("*", "*", conditions=SECURE)],
    "write only": [allow("write", "box/*")],
    "admin": [allow("admin", "*")],
    "admin denied": [allow("*", "*"), deny("admin", "*")],
    "null prefix": [allow("read list", "box/*", conditions={"Null": {"s3:prefix": ("true",)}})],
    "if exists": [allow("list read", "box/*", conditions={"StringEqualsIfExists": {"s3:prefix": ("pub/",)}})],
}
BUCKETS = ["box", "boy", "other"]
KEYS = ["", "pub/a", "pub", "pub/", "private/s", "top", "home/ana/x", "home/ann/x", "keys/AKANA", "p?b", "pub/*"]
PLACES = [Asked(), Asked(ip="10.1.2.3"), Asked(ip="192.0.2.7", prefix="pub/"), Asked(ip="2001:db8::1", secure=True)]


def context(asked: Asked) -> Context:
    address = ip_address(asked.ip) if asked.ip is not None else None
    return Context(0.0, address, asked.secure, username=asked.username, prefix=asked.prefix)


def compiled(rules: list[Permission], asked: Asked) -> Rules:
    return compile_rules(rules, username=asked.username, access_key_id=asked.key_id)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("place", range(len(PLACES)))
def test_decisions(name: str, place: int) -> None:
    """26 policies x 4 places x 5 actions x 3 buckets x 11 keys."""
    asked, rules = PLACES[place], POLICIES[name]
    found = compiled(rules, asked)
    for action, bucket, key in product(ACTIONS, BUCKETS, KEYS):
        wanted = oracle.allowed(rules, action, bucket, key, asked)
        assert found.allows(action, bucket, key, context(asked)) is wanted, (action, bucket, key)
    assert found.is_admin(context(asked)) is oracle.is_admin(rules, asked)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("place", range(len(PLACES)))
def test_listings(name: str, place: int) -> None:
    """What a filtered listing shows is what the oracle shows key by key, and a whole one hides nothing."""
    rules = POLICIES[name]
    for bucket, prefix in product(BUCKETS, ["", "pub/", "pub", "private/", "p", "home/ana/"]):
        asked = replace(PLACES[place], prefix=prefix)
        found = compiled(rules, asked)
        listing = found.listing(bucket, prefix, context(asked))
        below = [key for key in KEYS if key and key.startswith(prefix)]
        wanted = [key for key in below if oracle.shown(rules, bucket, key, asked)]
        match listing:
            case Listing.WHOLE:
                assert wanted == below, (bucket, prefix)
            case Listing.FILTERED:
                shown = found.filter(bucket, context(asked))
                assert [key for key in below if shown.key(key)] == wanted, (bucket, prefix)
            case Listing.DENIED:
                assert not oracle.allowed(rules, "list", bucket, "", asked)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_two_ends(action: str) -> None:
    here = Context(0.0)
    for bucket, key in product(BUCKETS, KEYS):
        assert EVERYTHING.allows(action, bucket, key, here)
        assert not NOTHING.allows(action, bucket, key, here)
    assert EVERYTHING.is_admin(here)
    assert not NOTHING.is_admin(here)
    assert EVERYTHING.listing("box", "", here) is Listing.WHOLE
    assert NOTHING.listing("box", "", here) is Listing.DENIED


@pytest.mark.parametrize(
    ("prefix", "shown"),
    [
        ("pub/", ["pub/a"]),
        ("pub/a", ["pub/a"]),
        ("pub", ["pub", "pub/a"]),
        ("", None),
        ("pu", None),
        ("publicity", None),
        ("private/", None),
    ],
)
def test_strangers(prefix: str, shown: list[str] | None) -> None:
    rules = anonymous_rules({"box": ["pub/"]})
    here = Context(0.0, prefix=prefix)
    universe = ["pub", "pub/a", "publicity", "private/s"]
    if shown is None:
        assert rules.listing("box", prefix, here) is Listing.DENIED
    else:
        assert rules.listing("box", prefix, here) is not Listing.DENIED
        visible = rules.filter("box", here)
        assert [key for key in universe if key.startswith(prefix) and visible.key(key)] == shown
    assert rules.allows("read", "box", "pub/a", here)
    assert not rules.allows("read", "box", "publicity", here)
    for action in ("write", "delete", "admin"):
        assert not rules.allows(action, "box", "pub/a", here)
    assert not rules.sees_bucket("other")
    assert anonymous_rules({"open": [""]}).listing("open", "", Context(0.0, prefix="")) is Listing.WHOLE


@pytest.mark.parametrize(
    ("policy", "seen"),
    [
        ("one bucket", ["box"]),
        ("a prefix", ["box"]),
        ("a key", ["box"]),
        ("buckets that begin so", ["box", "boy"]),
        ("everything", BUCKETS),
        ("write only", ["box"]),
        ("nothing", []),
    ],
)
def test_which_buckets_are_seen(policy: str, seen: list[str]) -> None:
    found = compiled(POLICIES[policy], Asked())
    assert [bucket for bucket in BUCKETS if found.sees_bucket(bucket)] == seen


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("dana", "home/dana/"),
        ("a@b.com", "home/a@b.com/"),
        ("dana/team*", "home/dana%2Fteam%2A/"),
        ("a?b", "home/a%3Fb/"),
    ],
)
def test_names_in_templates(name: str, place: str) -> None:
    rules = [allow("read", "box/home/${iam:username}/*")]
    found = compile_rules(rules, username=name, access_key_id="AK")
    assert found.allows("read", "box", place + "x", Context(0.0))
    assert not found.allows("read", "box", "home/other/x", Context(0.0))


@pytest.mark.parametrize(
    "broken",
    [
        allow("read", "box/${nope}"),
        allow("read", "box/${iam:username"),
        allow("fly", "*"),
        allow("read", "*", conditions={"IpAddress": {"aws:SourceIp": ("nonsense",)}}),
        allow("read", "*", conditions={"Nope": {"aws:SourceIp": ("10.0.0.0/8",)}}),
        allow("read", "*", conditions={"StringLike": {"aws:Nope": ("x",)}}),
    ],
)
def test_a_broken_rule_gives_nothing_at_all(broken: Permission) -> None:
    with pytest.raises(BrokenRules):
        compiled([allow("*", "*"), broken], Asked())
