"""What is refused in rules, and where it is said to be."""

import pytest

from deltaglider_proxy.access.policy.canned import CANNED, Canned, bucket_owner
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.resources import problem_of
from deltaglider_proxy.access.policy.rules import compile_rules
from deltaglider_proxy.access.policy.validate import MOST_PERMISSIONS, InvalidPermissions, as_json, parse_permissions
from deltaglider_proxy.control.model import Effect, Permission

RULE = {"effect": "allow", "actions": ["read"], "resources": ["box/*"]}


def test_what_is_read() -> None:
    sent = [RULE | {"conditions": {"Bool": {"aws:SecureTransport": True}, "NumericLessThan": {"s3:max-keys": 10}}}]
    conditions = {"Bool": {"aws:SecureTransport": ("true",)}, "NumericLessThan": {"s3:max-keys": ("10",)}}
    assert parse_permissions(sent) == (Permission(Effect.ALLOW, ("read",), ("box/*",), conditions),)
    assert parse_permissions([{"actions": "read", "resources": "box"}])[0].effect is Effect.ALLOW


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"effect": "Maybe"}, "permissions[1].effect"),
        ({"effect": 1 << 40_000}, "permissions[1].effect"),
        ({"actions": []}, "permissions[1].actions"),
        ({"actions": ["read", "fly"]}, "permissions[1].actions[1]"),
        ({"resources": []}, "permissions[1].resources"),
        ({"resources": ["box", ""]}, "permissions[1].resources[1]"),
        ({"resources": ["a*b"]}, "permissions[1].resources[0]"),
        ({"resources": ["box/**"]}, "permissions[1].resources[0]"),
        ({"resources": ["box/a b"]}, "permissions[1].resources[0]"),
        ({"resources": ["box/\x07"]}, "permissions[1].resources[0]"),
        ({"resources": ["box/\ud800"]}, "permissions[1].resources[0]"),
        ({"resources": ["box/${aws:username}"]}, "permissions[1].resources[0]"),
        ({"resources": ["box/${iam:username"]}, "permissions[1].resources[0]"),
        ({"conditions": []}, "permissions[1].conditions"),
        ({"conditions": {"StringLike": {}}}, "permissions[1].conditions.StringLike"),
        ({"conditions": {"Like": {"s3:prefix": "a"}}}, "permissions[1].conditions.Like.s3:prefix"),
        ({"conditions": {"StringLike": {"s3:prefix": []}}}, "permissions[1].conditions.StringLike.s3:prefix"),
        ({"conditions": {"StringLike": {"s3:prefix": [None]}}}, "permissions[1].conditions.StringLike.s3:prefix"),
        ({"conditions": {"StringLike": {"s3:prefix": "\ud800"}}}, "permissions[1].conditions.StringLike.s3:prefix"),
        ({"conditions": {"StringLike": {"s3:prefix": "\0"}}}, "permissions[1].conditions.StringLike.s3:prefix"),
        ({"conditions": {"StringLike": {"s3:prefix": "${x}"}}}, "permissions[1].conditions.StringLike.s3:prefix"),
        (
            {"conditions": {"NumericEquals": {"s3:max-keys": 1 << 40_000}}},
            "permissions[1].conditions.NumericEquals.s3:max-keys",
        ),
        ({"conditions": {"IpAddress": {"aws:SourceIp": "x"}}}, "permissions[1].conditions.IpAddress.aws:SourceIp"),
        ({"principal": "*"}, "permissions[1].principal"),
        ({"\ud800": "*"}, "permissions[1].?"),
        ({"conditions": {"\ud800": {"a": "b"}}}, "permissions[1].conditions.?.a"),
        ({"conditions": {1 << 40_000: {"a": "b"}}}, "permissions[1].conditions.int"),
    ],
)
def test_where_it_is_wrong(change: dict[str, object], path: str) -> None:
    with pytest.raises(InvalidPermissions) as raised:
        parse_permissions([RULE, RULE | change])
    assert [problem.path for problem in raised.value.problems] == [path]
    assert str(raised.value).encode()


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidPermissions) as raised:
        parse_permissions([RULE | {"effect": "no", "actions": ["fly"]}, "rule", RULE | {"resources": [""]}])
    assert [problem.path for problem in raised.value.problems] == [
        "permissions[0].effect",
        "permissions[0].actions[0]",
        "permissions[1]",
        "permissions[2].resources[0]",
    ]


def test_how_many_rules_there_may_be() -> None:
    assert len(parse_permissions([RULE] * MOST_PERMISSIONS)) == MOST_PERMISSIONS
    with pytest.raises(InvalidPermissions, match=r"^permissions: holds 101 rules"):
        parse_permissions([RULE] * (MOST_PERMISSIONS + 1))


@pytest.mark.parametrize("canned", [*CANNED, bucket_owner("box")], ids=lambda canned: canned.name)
def test_canned_policies_can_be_sent_back(canned: Canned) -> None:
    assert parse_permissions([as_json(rule, 0) for rule in canned.permissions]) == canned.permissions


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("Full Access", {"read", "write", "delete", "list", "admin"}),
        ("Read Only", {"read", "list"}),
        ("Read/Write", {"read", "write", "list"}),
        ("Read/Write (No Delete)", {"read", "write", "list", "admin"}),
    ],
)
def test_what_canned_policies_allow(name: str, actions: set[str]) -> None:
    [found] = [policy for policy in CANNED if policy.name == name]
    rules = compile_rules(found.permissions, username="ana", access_key_id="AK")
    every = ("read", "write", "delete", "list", "admin")
    assert {action for action in every if rules.allows(action, "box", "k", Context(0.0))} == actions


def test_the_owner_of_a_bucket_owns_no_other() -> None:
    rules = compile_rules(bucket_owner("box").permissions, username="ana", access_key_id="AK")
    here = Context(0.0)
    assert all(rules.allows("admin", "box", key, here) for key in ("", "k"))
    assert not any(rules.allows("read", bucket, "k", here) for bucket in ("boxes", "bo", "other"))
    assert not rules.is_admin(here)


@pytest.mark.parametrize("resource", ["arn:aws:s3:::releases/*", "arn:aws:s3:::releases", "/releases/*"])
def test_a_resource_that_could_never_match_is_refused(resource: str) -> None:
    assert "nothing begins so" in (problem_of(resource) or "")
