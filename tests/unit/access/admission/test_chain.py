"""The first block that matches decides; what does not compile is no chain."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.admission.chain import CONTINUE, BadBlock, Chain, Decision, Facts, Verdict
from deltaglider_proxy.access.client_address import Address
from deltaglider_proxy.config.admission import METHODS, Block, Match
from deltaglider_proxy.config.glob import compile_glob

INSIDE, OUTSIDE = ip_address("10.0.0.1"), ip_address("192.0.2.1")
GET = Facts("GET", "box", "shut/a", "", authenticated=True, address=INSIDE)
UNSIGNED = replace(GET, authenticated=False)
LIST = replace(GET, key="", list_prefix="shut/", lists=True)
NOBODY = replace(GET, address=None)
MAINTENANCE = frozenset({"maintenance_mode"})


def block(action: object, name: str = "rule", /, **match: object) -> Block:
    return Block.model_validate({"name": name, "match": match, "action": action})


@pytest.mark.parametrize(
    ("match", "facts", "matches"),
    [
        ({}, GET, True),
        ({"method": ["get", "Put"]}, GET, True),
        ({"method": ["get", "Put"]}, replace(GET, method="PUT"), True),
        ({"method": ["PUT"]}, GET, False),
        ({"method": ["GET"]}, replace(GET, method="HEAD"), False),
        ({"bucket": "BOX"}, GET, True),
        ({"bucket": "box"}, replace(GET, bucket="Box"), True),
        ({"bucket": "bo"}, GET, False),
        ({"bucket": "box"}, replace(GET, bucket=""), False),
        ({"path_glob": "shut/*"}, GET, True),
        ({"path_glob": "shut/*"}, replace(GET, key="shut/a/b"), True),
        ({"path_glob": "shut/*"}, replace(GET, key="SHUT/a"), False),
        ({"path_glob": "shut/*"}, replace(GET, key="open/a", list_prefix="shut/"), False),
        ({"path_glob": "shut/*"}, LIST, True),
        ({"path_glob": "*"}, replace(LIST, list_prefix=""), True),
        ({"path_glob": ""}, replace(LIST, list_prefix=""), True),
        ({"path_glob": "?*"}, replace(LIST, list_prefix=""), False),
        ({"authenticated": True}, GET, True),
        ({"authenticated": True}, UNSIGNED, False),
        ({"authenticated": False}, UNSIGNED, True),
        ({"authenticated": False}, GET, False),
        ({"source_ip": "10.0.0.1"}, GET, True),
        ({"source_ip": "10.0.0.2"}, GET, False),
        ({"source_ip": "::ffff:10.0.0.1"}, GET, True),
        ({"source_ip_list": ["192.0.2.0/24", "10.0.0.0/8"]}, GET, True),
        ({"source_ip_list": ["192.0.2.0/24", "2001:db8::/32"]}, GET, False),
        ({"source_ip_list": []}, GET, False),
        ({"method": ["GET"], "bucket": "box", "path_glob": "shut/*", "source_ip": "10.0.0.1"}, GET, True),
        ({"method": ["GET"], "bucket": "box", "path_glob": "shut/*", "source_ip": "10.0.0.2"}, GET, False),
        ({"method": ["PUT"], "bucket": "box", "path_glob": "shut/*", "source_ip": "10.0.0.1"}, GET, False),
        ({"config_flag": "maintenance_mode"}, GET, False),
        ({"config_flag": "something_else"}, GET, False),
    ],
)
def test_predicates(match: Mapping[str, object], facts: Facts, *, matches: bool) -> None:
    wanted = Decision(Verdict.DENY, "rule") if matches else CONTINUE
    assert Chain([block("deny", **match)]).decide(facts) == wanted


def test_flags() -> None:
    chain = Chain([block("deny", config_flag="maintenance_mode"), block("continue", "other", config_flag="other")])
    assert chain.decide(GET) == CONTINUE
    assert chain.decide(GET, MAINTENANCE).matched == "rule"
    assert chain.decide(GET, frozenset({"other"})).matched == "other"


@pytest.mark.parametrize(
    ("action", "decision"),
    [
        ("deny", Decision(Verdict.DENY, "rule")),
        ("continue", Decision(Verdict.CONTINUE, "rule")),
        ("allow-anonymous", Decision(Verdict.ALLOW_ANONYMOUS, "rule")),
        ({"type": "reject", "status": 503}, Decision(Verdict.REJECT, "rule", 503)),
        ({"type": "reject", "status": 418, "message": "no"}, Decision(Verdict.REJECT, "rule", 418, "no")),
    ],
)
def test_actions(action: object, decision: Decision) -> None:
    assert Chain([block(action), block("deny", "later")]).decide(UNSIGNED) == decision


@pytest.mark.parametrize("match", [{"source_ip": "203.0.113.1"}, {"source_ip_list": ["203.0.113.0/24"]}])
def test_who_is_unknown_is_kept_out_and_let_in_nowhere(match: Mapping[str, object]) -> None:
    for refusing in ("deny", {"type": "reject", "status": 403}):
        assert Chain([block(refusing, **match)]).decide(NOBODY).matched == "rule"
        assert Chain([block(refusing, **match)]).decide(GET) == CONTINUE
    for letting in ("continue", "allow-anonymous"):
        assert Chain([block(letting, **match)]).decide(replace(NOBODY, authenticated=False)) == CONTINUE
    assert Chain([block("deny", method=["PUT"], **match)]).decide(NOBODY) == CONTINUE


def test_whoever_signs_is_taken_for_nobody_else_unless_told_so() -> None:
    assert Chain([block("allow-anonymous")]).decide(GET) == CONTINUE
    assert Chain([block("allow-anonymous")]).decide(UNSIGNED).verdict is Verdict.ALLOW_ANONYMOUS
    assert Chain([block("allow-anonymous", authenticated=True)]).decide(GET).verdict is Verdict.ALLOW_ANONYMOUS
    assert Chain([block("allow-anonymous", authenticated=True)]).decide(UNSIGNED) == CONTINUE


@pytest.mark.parametrize(
    "bad", [{"path_glob": "[a"}, {"source_ip_list": ["10.0.0.0/33"]}, {"source_ip_list": ["10.0.0.1", "x"]}]
)
def test_a_block_that_does_not_compile_is_no_chain(bad: Mapping[str, object]) -> None:
    broken = Block.model_construct(name="broken", match=Match.model_construct(None, **bad), action="deny")
    with pytest.raises(BadBlock, match="'broken'"):
        Chain([block("continue", "good"), broken])


@pytest.mark.parametrize(
    ("facts", "matched"),
    [
        (replace(UNSIGNED, key="pub/x"), True),
        (replace(UNSIGNED, key="pub/x", method="HEAD"), True),
        (replace(UNSIGNED, key="pub/"), True),
        (replace(UNSIGNED, key="pub"), False),
        (replace(UNSIGNED, key="publicity"), False),
        (replace(UNSIGNED, key="other", list_prefix="pub/"), False),
        (replace(UNSIGNED, key="pub/x", bucket="Box"), False),
        (replace(UNSIGNED, key="pub/x", bucket="crate"), False),
        (replace(UNSIGNED, key="pub/x", plain=False), False),
        (replace(GET, key="pub/x"), False),
        (replace(LIST, list_prefix="pub/", authenticated=False), True),
        (replace(LIST, list_prefix="pub/sub/", authenticated=False), True),
        (replace(LIST, list_prefix="pub", authenticated=False), True),
        (replace(LIST, list_prefix="", authenticated=False), True),
        (replace(LIST, list_prefix="publicity", authenticated=False), False),
        (replace(LIST, list_prefix="other/", authenticated=False), False),
        (replace(LIST, list_prefix="pub/", authenticated=False, lists=False), False),
        (replace(LIST, list_prefix="pub/", authenticated=False, plain=False), False),
        (replace(LIST, list_prefix="pub/"), False),
        *(
            (replace(UNSIGNED, key="pub/x", method=method), False)
            for method in METHODS
            if method not in ("GET", "HEAD")
        ),
    ],
)
def test_public_prefixes(facts: Facts, *, matched: bool) -> None:
    chain = Chain([], {"box": ["pub/"], "crate": []})
    assert chain.decide(facts).matched == ("public-prefix:box" if matched else None)


def test_public_prefixes_come_after_the_operator() -> None:
    public = {"box": ["pub/"], "all": [""]}
    wanted = replace(UNSIGNED, key="pub/x")
    assert Chain([block("deny", bucket="box")], public).decide(wanted).verdict is Verdict.DENY
    assert Chain([block("continue", method=["GET"])], public).decide(wanted) == Decision(Verdict.CONTINUE, "rule")
    assert Chain([block("deny", bucket="other")], public).decide(wanted).matched == "public-prefix:box"
    assert Chain([], public).decide(replace(wanted, bucket="all", key="anything")).matched == "public-prefix:all"


PREFIXES = st.sampled_from(["a/", "a/b/", "b/"])
KEYS = st.text("ab/", max_size=5)
NETS = st.sampled_from(["10.0.0.0/8", "10.0.0.1/32", "192.0.2.0/24", "::/0", "0.0.0.0/0"])
FACTS = st.builds(
    Facts,
    method=st.sampled_from(METHODS),
    bucket=st.sampled_from(["box", "crate", ""]),
    key=KEYS,
    list_prefix=KEYS,
    authenticated=st.booleans(),
    address=st.sampled_from([INSIDE, OUTSIDE, ip_address("2001:db8::1"), None]),
    lists=st.booleans(),
    plain=st.booleans(),
)
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "method": st.lists(st.sampled_from([*METHODS, "get"]), min_size=1, max_size=3),
        "source_ip_list": st.lists(NETS, max_size=2),
        "bucket": st.sampled_from(["box", "BOX", "crate"]),
        "path_glob": st.sampled_from(["a*", "*b", "{a,b}/*", "", "**"]),
        "authenticated": st.booleans(),
        "config_flag": st.sampled_from(["maintenance_mode", "other"]),
    },
)
ACTIONS = st.sampled_from(["allow-anonymous", "deny", "continue", {"type": "reject", "status": 503}])


def naive(rule: tuple[Mapping[str, object], object], facts: Facts, flags: frozenset[str]) -> bool:
    match, action = rule
    refuses = action == "deny" or isinstance(action, dict)
    for name, wanted in match.items():
        match name, wanted:
            case "method", list():
                holds = facts.method in [method.upper() for method in wanted]
            case "source_ip_list", list():
                holds = refuses if facts.address is None else lies_in(facts.address, wanted)
            case "bucket", str():
                holds = facts.bucket == wanted.lower()
            case "path_glob", str():
                holds = compile_glob(wanted).fullmatch(facts.key or facts.list_prefix) is not None
            case "authenticated", bool():
                holds = facts.authenticated == wanted
            case _:
                holds = wanted in flags
        if not holds:
            return False
    return not (action == "allow-anonymous" and "authenticated" not in match and facts.authenticated)


def lies_in(address: Address, networks: Sequence[str]) -> bool:
    return any(address in ip_network(network) for network in networks)


@given(
    st.lists(st.tuples(MATCHES, ACTIONS), max_size=5),
    st.dictionaries(st.sampled_from(["box", "crate"]), st.lists(PREFIXES, max_size=2)),
    FACTS,
    st.sampled_from([frozenset(), MAINTENANCE]),
)
def test_the_first_that_matches_decides(
    rules: list[tuple[dict[str, object], object]],
    public: dict[str, list[str]],
    facts: Facts,
    flags: frozenset[str],
) -> None:
    blocks = [block(action, f"b{index}", **match) for index, (match, action) in enumerate(rules)]
    decision = Chain(blocks, public).decide(facts, flags)
    first = next((index for index, rule in enumerate(rules) if naive(rule, facts, flags)), None)
    if first is not None:
        action = rules[first][1]
        assert decision.matched == f"b{first}"
        assert decision.verdict == ("reject" if isinstance(action, dict) else action)
    elif decision != CONTINUE:
        assert decision == Decision(Verdict.ALLOW_ANONYMOUS, f"public-prefix:{facts.bucket}")
        assert facts.method in ("GET", "HEAD")
        assert not facts.authenticated
        assert facts.plain
        near = [prefix for prefix in public[facts.bucket] if facts.path.startswith(prefix) or not facts.key]
        assert near


@given(st.lists(st.tuples(MATCHES, st.just("continue")), max_size=3), FACTS)
def test_a_refusal_in_front_of_everything_cannot_be_passed(
    rules: list[tuple[dict[str, object], object]], facts: Facts
) -> None:
    later = [block(action, f"b{index}", **match) for index, (match, action) in enumerate(rules)]
    chain = Chain([block("deny", "first", source_ip="10.0.0.1"), *later], {"box": [""], "crate": [""]})
    refused = facts.address in (INSIDE, None)
    assert (chain.decide(facts).verdict is Verdict.DENY) is refused
