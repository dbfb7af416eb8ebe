"""Which rule decides, and whose it is."""

import pytest

from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.policy.explain import Explanation, Reason, explain
from deltaglider_proxy.access.policy.rules import BrokenRules
from deltaglider_proxy.control.model import Effect, Permission

READING = Permission(Effect.ALLOW, ("read", "list"), ("box/*",))
WRITING = Permission(Effect.ALLOW, ("write",), ("box/*",), {"StringLike": {"s3:prefix": ("pub/*",)}})
PRIVATE = Permission(Effect.DENY, ("*",), ("box/private/*",))
SOURCES = [("user", READING), ("group:staff", PRIVATE), ("group:press", WRITING)]


def asked(action: str, key: str) -> Explanation:
    here = Context(0.0, prefix="pub/")
    return explain(SOURCES, action, "box", key, here, username="ana", access_key_id="AK")


def test_which_rule_decides() -> None:
    assert asked("read", "top") == Explanation(True, Reason.EXPLICIT_ALLOW, "user", READING)
    assert asked("read", "private/x") == Explanation(False, Reason.EXPLICIT_DENY, "group:staff", PRIVATE)
    assert asked("list", "") == Explanation(True, Reason.EXPLICIT_ALLOW, "user", READING)
    assert asked("delete", "top") == Explanation(False, Reason.NO_RULE)
    assert asked("write", "top") == Explanation(False, Reason.NO_RULE)


def test_rules_that_nobody_understands_explain_nothing() -> None:
    broken = Permission(Effect.ALLOW, ("read",), ("box/${nope}",))
    with pytest.raises(BrokenRules, match="nope"):
        explain([("user", broken)], "write", "box", "k", Context(0.0), username="ana", access_key_id="AK")
