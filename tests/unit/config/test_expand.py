import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.config.expand import escape, expand

ENVIRON = {"NAME": "value", "EMPTY": "", "OTHER": "${env:NAME}", "LIST": "[1, 2]", "TAB": "a\tb"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: ${env:NAME}", "a: value"),
        ("${env:NAME}${env:NAME}", "valuevalue"),
        ("${env:MISSING:-text}", "text"),
        ("${env:EMPTY:-text}", "text"),
        ("${env:NAME:-text}", "value"),
        ("${env:MISSING:-}", ""),
        ("${env:MISSING:-http://h:1/a-:-b}", "http://h:1/a-:-b"),
        ("${iam:username}", "${iam:username}"),
        ("${}", "${}"),
        ("$$", "$"),
        ("$${env:NAME}", "${env:NAME}"),
        ("$$$${env:NAME}", "$${env:NAME}"),
        ("$$$$", "$$"),
        ("$2b$12$abc$", "$2b$12$abc$"),
        ("${env:OTHER}", "${env:NAME}"),
        ("${env:LIST}", "[1, 2]"),
        ("${env:TAB}", "a\tb"),
        ("  # ${env:MISSING} ${", "  # ${env:MISSING} ${"),
        ("a: 1 # ${env:NAME}", "a: 1 # value"),
    ],
)
def test_text_expands(text: str, expected: str) -> None:
    expansion = expand(text, ENVIRON)
    assert (expansion.text, expansion.problems) == (expected, ())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("${env:MISSING}", "MISSING is not set"),
        ("${env:EMPTY}", "EMPTY is empty"),
        ("${env:NAME", "not closed"),
        ("${env:A ${env:NAME}", "not closed"),
        ("${", "not closed"),
        ("${env:}", "no name"),
        ("${env:1A}", "no name"),
        ("${env:A B}", "no name"),
        ("${env:LINES}", "line break"),
        ("${env:NUL:-\x00}", "line break"),
        ("${env:NEL}", "line break"),
    ],
)
def test_what_cannot_be_resolved_is_reported(text: str, word: str) -> None:
    [problem] = expand(text, ENVIRON | {"LINES": "a\nb: c", "NEL": "a\x85b"}).problems
    assert word in problem.message
    assert problem.line == 1
    assert problem.column == 1


def test_every_problem_is_reported_with_its_place() -> None:
    problems = expand("a: ${env:X}\nb: 1\nc: ${env:Y} ${env:Z}\n", {}).problems
    assert [(problem.line, problem.column) for problem in problems] == [(1, 4), (3, 4), (3, 13)]


def test_messages_never_hold_a_value() -> None:
    [problem] = expand("${env:A}", {"A": "hunter2\n"}).problems
    assert "hunter2" not in problem.message + problem.remedy


def test_references_are_recorded_by_their_mark() -> None:
    expansion = expand("a: ${env:NAME}\nb: ${env:MISSING:-x}", ENVIRON)
    assert [(r.text, r.name, r.value) for r in expansion.references.values()] == [
        ("${env:NAME}", "NAME", "value"),
        ("${env:MISSING:-x}", "MISSING", "x"),
    ]
    for mark in expansion.references:
        assert expansion.marked.count(mark) == 1


TEXTS = st.text(st.sampled_from("${}env:NAME-#\n x")) | st.lists(
    st.sampled_from(["$", "{", "}", "${env:NAME}", "${env:", "${iam:u}", "${", "$$", "#", "\n", "a", " "])
).map("".join)


@given(TEXTS)
def test_what_was_escaped_expands_to_itself(text: str) -> None:
    expansion = expand(escape(text), ENVIRON)
    assert expansion.text == text
    assert not expansion.references
    assert not expansion.problems


@pytest.mark.parametrize("text", ["${iam:username}", "$2b$12$abc", "a$", "${}", "no dollar"])
def test_what_needs_no_escape_stays(text: str) -> None:
    assert escape(text) == text
