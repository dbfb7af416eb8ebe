import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.telemetry.log_filter import (
    DEFAULT_FILTER,
    ERROR,
    OFF,
    TRACE,
    FilterError,
    Source,
    parse,
    resolve,
)

LEVELS = {"off": OFF, "error": 40, "warn": 30, "info": 20, "debug": 10, "trace": 5, "warning": 30, "critical": 50}


@pytest.mark.parametrize(("name", "level"), LEVELS.items())
def test_a_bare_level_holds_for_everything(name: str, level: int) -> None:
    for text in (name, name.upper(), f" {name} ,,"):
        assert parse(text).level_for("some.library") == level
        assert parse(text).level_for("deltaglider_proxy.engine") == level


@pytest.mark.parametrize(("digit", "level"), [("0", OFF), ("1", 40), ("2", 30), ("3", 20), ("4", 10), ("5", 5)])
def test_levels_have_numbers(digit: str, level: int) -> None:
    assert parse(digit).level_for("x") == level
    assert parse(f"x={digit}").level_for("x") == level


@pytest.mark.parametrize(
    ("text", "logger", "level"),
    [
        ("deltaglider_proxy=info", "deltaglider_proxy", 20),
        ("deltaglider_proxy=info", "deltaglider_proxy.engine.put", 20),
        ("deltaglider_proxy=info", "deltaglider_proxying", ERROR),
        ("deltaglider_proxy=info,deltaglider_proxy::engine=trace", "deltaglider_proxy.engine.put", TRACE),
        ("deltaglider_proxy::engine=trace,deltaglider_proxy=info", "deltaglider_proxy.engine", TRACE),
        ("deltaglider_proxy.engine=trace,deltaglider_proxy=info", "deltaglider_proxy.engines", 20),
        ("info,deltaglider_proxy=off", "deltaglider_proxy.s3", OFF),
        ("info,deltaglider_proxy=off", "granian", 20),
        ("deltaglider_proxy", "deltaglider_proxy.s3", TRACE),
        ("deltaglider_proxy=", "deltaglider_proxy.s3", TRACE),
        ("x=info,x=warn", "x", 30),
        ("", "deltaglider_proxy", ERROR),
        ("", "botocore", ERROR),
        ("granian=debug", "deltaglider_proxy.s3", OFF),
        ("granian=debug", "botocore.endpoint", ERROR),
        (DEFAULT_FILTER, "deltaglider_proxy.access", 10),
        ("deltaglider_proxy=info,tower_http=warn", "deltaglider_proxy.access", 30),
        ("deltaglider_proxy=info,tower_http::trace::on_request=debug", "deltaglider_proxy.access", 10),
        ("tower_http=info", "deltaglider_proxy.engine", OFF),
        ("hyper=debug", "_granian", 10),
        ("axum=debug", "granian.access", 10),
        ("aws_sdk_s3=info", "botocore.endpoint", 20),
        ("aws_smithy_runtime=info", "botocore", 20),
        ("s3s=info", "deltaglider_proxy.s3.app", 20),
    ],
)
def test_the_longest_target_wins_on_component_boundaries(text: str, logger: str, level: int) -> None:
    assert parse(text).level_for(logger) == level


@pytest.mark.parametrize(
    "text", ["!!!x", "a=loud", "a=b=info", "a[span]=info", "a[span{k=v}]=info", "x{y}", "a b=info", "=info", "a/b"]
)
def test_what_is_no_filter_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(FilterError, match=r"is not a directive; .*TARGET=LEVEL"):
        parse(text)


def test_span_filters_are_named_as_unsupported() -> None:
    with pytest.raises(FilterError, match="spans and fields are not supported"):
        parse("info,a[span{k=v}]=debug")


def test_a_misspelt_target_is_noticed() -> None:
    loggers = ["deltaglider_proxy.engine.put", "granian"]
    assert parse("verbose,deltaglider_proxy=info").unknown_targets(loggers) == ("verbose",)
    assert parse("deltaglider_proxy::engine=info,granian.access=off").unknown_targets(loggers) == ()


GOOD = {Source.RUST_LOG: "error", Source.DGP_LOG_LEVEL: "warn", Source.FILE: "info", Source.VERBOSE: "trace"}
ORDER = list(GOOD)


@pytest.mark.parametrize("states", list(itertools.product(["absent", "good", "bad"], repeat=3)))
@pytest.mark.parametrize("verbose", [False, True])
def test_precedence_over_every_combination_of_sources(states: tuple[str, str, str], verbose: bool) -> None:
    texts = {"absent": None, "bad": "!!!"}
    rust, environment, file = (texts.get(state, GOOD[source]) for state, source in zip(states, ORDER[:3], strict=True))
    resolution = resolve(rust, environment, file, verbose=verbose)

    first_good = states.index("good") if "good" in states else None
    if first_good is not None:
        assert resolution.source is ORDER[first_good]
        assert resolution.filter.text == GOOD[ORDER[first_good]]
    else:
        assert resolution.source is (Source.VERBOSE if verbose else Source.DEFAULT)
        level = TRACE if verbose else 10
        assert resolution.filter.level_for("deltaglider_proxy.access") == level
        assert resolution.filter.level_for("deltaglider_proxy.engine") == level
    looked_at = states if first_good is None else states[:first_good]
    bad = [source for source, state in zip(ORDER, looked_at, strict=False) if state == "bad"]
    assert [warning.split(" is ignored")[0] for warning in resolution.warnings] == bad


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(".".join)


@given(st.dictionaries(NAMES, st.sampled_from(list(LEVELS)), min_size=1), NAMES)
def test_matching_is_the_longest_prefix(targets: dict[str, str], logger: str) -> None:
    found = parse(",".join(f"{target}={level}" for target, level in targets.items())).level_for(logger)
    prefixes = [target for target in targets if (logger + ".").startswith(target + ".")]
    assert found == (LEVELS[targets[max(prefixes, key=len)]] if prefixes else ERROR)


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except FilterError:
        return
    assert parsed.level_for("deltaglider_proxy.access") >= TRACE
