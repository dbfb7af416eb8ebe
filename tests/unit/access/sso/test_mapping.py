"""Who joins which group."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.sso.mapping import groups_for
from deltaglider_proxy.control.model import MappingRule, MatchType


def rule(match_type: str, value: str, field: str = "email", provider: int | None = None, group: int = 7) -> MappingRule:
    return MappingRule(1, provider, 0, MatchType(match_type), field, value, group, 0.0)


@pytest.mark.parametrize(
    ("given_rule", "email", "claims", "joins"),
    [
        (rule("email_exact", "Ana@Example.com"), "ana@example.COM", {}, True),
        (rule("email_exact", "ana@example.com"), "anna@example.com", {}, False),
        (rule("email_domain", "example.com"), "a@example.com", {}, True),
        (rule("email_domain", "example.com"), "a@sub.example.com", {}, False),
        (rule("email_domain", "example.com"), "a@badexample.com", {}, False),
        (rule("email_glob", "*@*.example.com"), "a@sub.example.com", {}, True),
        (rule("email_glob", "ops-*@example.com"), "ops-1@example.com", {}, True),
        (rule("email_glob", "ops-*@example.com"), "xops-1@example.com", {}, False),
        (rule("email_regex", "^ops"), "ops@example.com", {}, True),
        (rule("email_regex", "("), "ops@example.com", {}, False),
        (rule("email_regex", "(a+)+$"), "a" * 10_000 + "!", {}, False),
        (rule("email_regex", r"(?i)^(ana|bo)@EXAMPLE\.com$"), "bo@example.com", {}, True),
        (rule("email_regex", r"^(.)\1@"), "aa@example.com", {}, False),
        (rule("claim_value", "admins", "groups"), None, {"groups": ["users", "Admins"]}, True),
        (rule("claim_value", "admins", "groups"), None, {"groups": "admins"}, True),
        (rule("claim_value", "admins", "groups"), None, {"groups": {"admins": True}}, False),
        (rule("claim_value", "a@example.com", "Email"), "a@example.com", {"Email": "a@example.com"}, True),
        (rule("claim_value", "admins", "groups", provider=2), None, {"groups": "admins"}, False),
    ],
)
def test_rules(given_rule: MappingRule, email: str | None, claims: dict[str, object], *, joins: bool) -> None:
    found = groups_for([given_rule], 1, claims, email=email, email_verified=True)
    assert found == ([7] if joins else [])


@pytest.mark.parametrize("match_type", ["email_exact", "email_domain", "email_glob", "email_regex"])
def test_an_unverified_address_joins_nothing(match_type: str) -> None:
    value = "example.com" if match_type == "email_domain" else "a@example.com"
    assert groups_for([rule(match_type, value)], 1, {}, email="a@example.com", email_verified=False) == []
    claim = rule("claim_value", "a@example.com", "EMAIL")
    assert groups_for([claim], 1, {"EMAIL": "a@example.com"}, email="a@example.com", email_verified=False) == []


def test_all_that_match_apply_once() -> None:
    rules = [
        rule("email_domain", "x.org", group=1),
        rule("email_exact", "a@x.org", group=2),
        rule("email_glob", "*", group=1),
    ]
    assert groups_for(rules, 1, {}, email="a@x.org", email_verified=True) == [1, 2]


@given(st.text("ab@*", max_size=8), st.text("ab@", min_size=1, max_size=8))
def test_globs_are_those_of_a_regular_expression(pattern: str, address: str) -> None:
    wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), address) is not None
    assert bool(groups_for([rule("email_glob", pattern)], 1, {}, email=address, email_verified=True)) is wanted
