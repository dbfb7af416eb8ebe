import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.config.yaml_text import Plain, parse, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("n", "n"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("=", "="),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("-5", -5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_unquoted_scalars_follow_the_core_schema(text: str, value: Plain) -> None:
    found = resolve(text)
    assert (type(found), found) == (type(value), value)


def test_not_a_number() -> None:
    found = resolve(".nan")
    assert isinstance(found, float)
    assert found != found


def test_quoted_scalars_are_text() -> None:
    assert parse("a: '1'\nb: \"true\"\nc: |\n  2\nd: !!str 3").value == {"a": "1", "b": "true", "c": "2\n", "d": "3"}


def test_keys_are_text() -> None:
    assert parse("1: a\ntrue: b\nnull: c").value == {"1": "a", "true": "b", "null": "c"}


def test_places_count_from_one() -> None:
    positions = parse("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n").positions
    assert positions["a", "b"] == (2, 3)
    assert positions["a", "c", 1] == (5, 7)
    assert positions["a", "c", 1, "y"] == (5, 7)


def test_all_duplicate_keys_are_reported() -> None:
    findings = parse("a: 1\nb: {c: 1, c: 2}\na: 3\n").findings
    assert [(finding.path, finding.line) for finding in findings] == [("b.c", 2), ("a", 3)]


def test_aliases_stand_for_their_anchor() -> None:
    assert parse("a: &x {k: [1]}\nb: *x").value == {"a": {"k": [1]}, "b": {"k": [1]}}


def test_aliases_cannot_multiply_without_end() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))
    [finding] = parse(f"a0: &a0 [x]\n{levels}").findings
    assert "aliases" in finding.message


def test_nesting_is_limited() -> None:
    [finding] = parse("[" * 100 + "]" * 100).findings
    assert "deep" in finding.message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<<: {a: 1}", "merge keys"),
        ("a: &a [*a]", "anchor"),
        ("a: *missing", "anchor"),
        ("a: !thing x", "tags"),
        ("a: !!python/object:os.system x", "tags"),
        ("a: !!int 3", "tags"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("? [a]\n: 1", "key must be plain"),
        ("a: [1", "not valid YAML"),
        ("a: 'x", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("a: @x", "not valid YAML"),
        ("\ta: 1", "not valid YAML"),
    ],
)
def test_what_is_refused(text: str, word: str) -> None:
    [finding] = parse(text).findings
    assert word in finding.message
    assert finding.line is not None


@pytest.mark.parametrize("text", ["a: *hunter2", "a: !hunter2!x y", "a: !hunter2 y", "a: [hunter2", "hunter2: b: c"])
def test_errors_quote_nothing_that_could_be_secret(text: str) -> None:
    assert not [finding for finding in parse(text).findings if "hunter2" in str(finding)]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_text_holds_nothing(text: str) -> None:
    result = parse(text)
    assert (result.value, result.findings) == (None, [])


@given(st.text(max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    parse(text)


@pytest.mark.parametrize("text", ['a: "\\ud800"', '"\\udfff": a', 'a: "\\ud83d\\ude00"'])
def test_half_a_character_is_refused(text: str) -> None:
    [finding] = parse(text).findings
    assert "surrogate" in finding.message
