"""Each operator against facts that are there, that differ, and that are missing."""

import fnmatch
import re
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.policy.conditions import BadCondition, compile_condition, glob
from deltaglider_proxy.access.policy.context import Context, Fact
from deltaglider_proxy.access.policy.rules import Rules, compile_rules
from deltaglider_proxy.control.model import Conditions, Effect, Permission

NOON = 1_769_860_800.0
"""2026-01-31T12:00:00Z"""


@pytest.mark.parametrize(
    ("operator", "key", "values", "fact", "holds"),
    [
        ("StringEquals", "s3:prefix", ["a", "b"], "b", True),
        ("StringEquals", "s3:prefix", ["a"], "A", False),
        ("StringEquals", "s3:prefix", ["a*"], "ab", False),
        ("StringEquals", "s3:prefix", ["a"], None, False),
        ("StringEqualsIfExists", "s3:prefix", ["a"], None, True),
        ("StringEqualsIfExists", "s3:prefix", ["a"], "b", False),
        ("StringNotEquals", "s3:prefix", ["a", "b"], "b", False),
        ("StringNotEquals", "s3:prefix", ["a", "b"], "c", True),
        ("StringNotEquals", "s3:prefix", ["a"], None, True),
        ("StringLike", "s3:prefix", ["a*c"], "a/b/c", True),
        ("StringLike", "s3:prefix", ["a*c"], "a/b/cd", False),
        ("StringLike", "s3:prefix", ["a?c"], "abc", True),
        ("StringLike", "s3:prefix", ["a?c"], "ac", False),
        ("StringLike", "s3:prefix", ["a.c"], "abc", False),
        ("StringLike", "s3:prefix", ["[ab]*"], "a", False),
        ("StringLike", "s3:prefix", ["*"], "a\nb", True),
        ("StringLike", "s3:prefix", ["*"], None, False),
        ("StringNotLike", "s3:prefix", ["a*", "b*"], "bx", False),
        ("StringNotLike", "s3:prefix", ["a*", "b*"], "c", True),
        ("StringNotLike", "s3:prefix", ["a*"], None, True),
        ("IpAddress", "aws:SourceIp", ["10.0.0.0/8"], ip_address("10.9.9.9"), True),
        ("IpAddress", "aws:SourceIp", ["10.0.0.0/8"], ip_address("11.0.0.1"), False),
        ("IpAddress", "aws:SourceIp", ["192.0.2.1"], ip_address("192.0.2.1"), True),
        ("IpAddress", "aws:SourceIp", ["192.0.2.1"], ip_address("192.0.2.2"), False),
        ("IpAddress", "aws:SourceIp", ["2001:db8::/32"], ip_address("2001:db8::7"), True),
        ("IpAddress", "aws:SourceIp", ["::/0"], ip_address("192.0.2.1"), False),
        ("IpAddress", "aws:SourceIp", ["::ffff:10.0.0.0/104"], ip_address("10.1.1.1"), True),
        ("IpAddress", "aws:SourceIp", ["0.0.0.0/0"], None, False),
        ("IpAddressIfExists", "aws:SourceIp", ["10.0.0.0/8"], None, True),
        ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.0.2.1"], ip_address("192.0.2.1"), False),
        ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.0.2.1"], ip_address("192.0.2.2"), True),
        ("NotIpAddress", "aws:SourceIp", ["10.0.0.0/8"], None, True),
        ("Bool", "aws:SecureTransport", ["TRUE"], "true", True),
        ("Bool", "aws:SecureTransport", ["true"], "false", False),
        ("Null", "s3:prefix", ["true"], None, True),
        ("Null", "s3:prefix", ["true"], "", False),
        ("Null", "s3:prefix", ["false"], None, False),
        ("Null", "s3:prefix", ["false"], "", True),
        ("NumericEquals", "s3:max-keys", ["10"], "010", True),
        ("NumericNotEquals", "s3:max-keys", ["10", "20"], "20", False),
        ("NumericNotEquals", "s3:max-keys", ["10", "20"], None, True),
        ("NumericLessThanEquals", "s3:max-keys", ["10"], "10", True),
        ("NumericLessThan", "s3:max-keys", ["10"], "10", False),
        ("NumericGreaterThan", "s3:max-keys", ["10"], "many", False),
        ("DateLessThan", "aws:CurrentTime", ["2026-01-31T12:00:01Z"], NOON, True),
        ("DateLessThan", "aws:CurrentTime", ["2026-01-31T12:00:00Z"], NOON, False),
        ("DateGreaterThanEquals", "aws:CurrentTime", ["2026-01-31T13:00:00+01:00"], NOON, True),
        ("DateGreaterThan", "aws:EpochTime", ["1769860799"], NOON, True),
        ("DateNotEquals", "aws:CurrentTime", ["2026-01-31"], NOON, True),
    ],
)
def test_operators(operator: str, key: str, values: list[str], fact: Fact, holds: bool) -> None:
    assert compile_condition(operator, key, values).holds_for(fact) is holds


@pytest.mark.parametrize(
    ("operator", "key", "value", "named"),
    [
        ("StringEqualsIgnoreCase", "s3:prefix", "a", "StringEqualsIgnoreCase"),
        ("ForAllValues:StringLike", "s3:prefix", "a", "ForAllValues:StringLike"),
        ("NullIfExists", "s3:prefix", "true", "NullIfExists"),
        ("StringLike", "s3:nothing", "a", "s3:nothing"),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/33", "10.0.0.0/33"),
        ("IpAddress", "aws:SourceIp", "010.0.0.1", "010.0.0.1"),
        ("IpAddress", "s3:prefix", "10.0.0.0/8", "s3:prefix"),
        ("StringEquals", "aws:SourceIp", "10.0.0.1", "aws:SourceIp"),
        ("Bool", "aws:SecureTransport", "yes", "yes"),
        ("Bool", "aws:UserAgent", "true", "aws:UserAgent"),
        ("Null", "s3:prefix", "maybe", "Null"),
        ("NumericEquals", "s3:max-keys", "ten", "ten"),
        ("NumericEquals", "s3:max-keys", "nan", "nan"),
        ("DateLessThan", "aws:CurrentTime", "tomorrow", "tomorrow"),
    ],
)
def test_what_could_never_be_meant_is_refused(operator: str, key: str, value: str, named: str) -> None:
    with pytest.raises(BadCondition, match=re.escape(named)):
        compile_condition(operator, key, [value])


@given(st.text("ab*?[", max_size=8), st.text("ab[\n", max_size=10))
def test_globs_match_as_those_of_the_standard_library(pattern: str, text: str) -> None:
    wanted = fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
    assert (glob(pattern).fullmatch(text) is not None) is wanted


def test_no_text_takes_ages_to_compare() -> None:
    """Backtracking would outlive the time limit of any test."""
    condition = compile_condition("StringLike", "s3:prefix", ["*a" * 12 + "*b"])
    assert not condition.holds_for("a" * 1024)
    assert condition.holds_for("a" * 1024 + "b")


def rules(effect: str, actions: str, conditions: Conditions) -> Rules:
    everything = Permission(Effect.ALLOW, ("*",), ("box", "box/*"))
    rule = Permission(Effect(effect), tuple(actions.split()), ("*",), conditions)
    return compile_rules([rule] if effect == "Allow" else [everything, rule], username="ana", access_key_id="AK")


BELOW_PUB: Conditions = {"StringLike": {"s3:prefix": ("pub/*",)}}


@pytest.mark.parametrize("action", ["read", "write", "delete", "admin"])
def test_nobody_gains_by_giving_other_requests_the_parameters_of_a_listing(action: str) -> None:
    asked = Context(0.0, prefix="pub/x", delimiter="/", max_keys="1")
    allowing = rules("Allow", "*", BELOW_PUB)
    assert not allowing.allows(action, "box", "secret", asked)
    assert not allowing.allows(action, "box", "", asked)
    assert not allowing.may_delete_some("box", asked)
    assert not allowing.is_admin(asked)
    assert allowing.allows("list", "box", "", asked)
    denying = rules("Deny", "*", {"StringNotLike": {"s3:prefix": ("pub/*",)}})
    assert not denying.allows(action, "box", "secret", asked)
    assert denying.allows("list", "box", "", asked)


def test_a_listing_shows_what_can_be_read_without_a_delimiter() -> None:
    reading = Permission(Effect.ALLOW, ("read",), ("box/*",), {"StringEquals": {"s3:delimiter": ("/",)}})
    some = Permission(Effect.ALLOW, ("write",), ("box/*",))
    found = compile_rules([reading, some], username="ana", access_key_id="AK")
    assert not found.shows("box", "secret", Context(0.0, prefix="", delimiter="/"))


def test_no_folder_is_shown_for_the_sake_of_what_is_denied() -> None:
    rule = Permission(Effect.ALLOW, ("read",), ("box/secret/x", "box/open/x"))
    denial = Permission(Effect.DENY, ("read", "list"), ("box/secret/*",))
    found = compile_rules([rule, denial], username="ana", access_key_id="AK")
    here = Context(0.0, prefix="", delimiter="/")
    assert not found.shows_prefix("box", "secret/", here)
    assert found.shows_prefix("box", "open/", here)
