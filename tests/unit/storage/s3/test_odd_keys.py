"""Which keys are refused is decided kind by kind, by what was seen of the service."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from deltaglider_proxy.storage.backends.s3 import odd_keys
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts

ALL = Verdicts(**{field.name: Verdict.WORKS for field in fields(Verdicts)})
CHARACTERS = {
    "backslashes": "\\",
    "line_breaks": "\t\n\r",
    "control_characters": "\x01\x08\x0b\x0c\x0e\x1f\ufffd\ufffe\uffff",
}


@pytest.mark.parametrize("verdict", [Verdict.LACKING, Verdict.UNTESTED])
@pytest.mark.parametrize("kind", CHARACTERS)
def test_characters_of_a_kind_that_was_not_seen_to_work_count_wherever_they_stand(kind: str, verdict: Verdict) -> None:
    judge = odd_keys.judge_of(replace(ALL, **{kind: verdict}))
    for name, characters in CHARACTERS.items():
        for character in characters:
            for key in (character, f"a/{character}", f"a{character}b"):
                assert judge(key) is (verdict if name == kind else Verdict.WORKS)


@pytest.mark.parametrize(
    "key", ["/", "/a", "a//b", ".", "..", "a/.", "a/..", "a/../b", "./a", "a/./b", "a//", "a\n/./b"]
)
def test_components_that_file_systems_resolve(key: str) -> None:
    assert odd_keys.judge_of(replace(ALL, odd_keys=Verdict.LACKING))(key) is Verdict.LACKING
    assert odd_keys.judge_of(ALL)(key) is Verdict.WORKS


@pytest.mark.parametrize(
    "key", ["a", "a/", "a/b", "...", "a/...", "..a", "a../.b", " ", "~", "é\x7f\x85", "\U0001fffe"]
)
def test_plain_keys_are_held_before_anything_was_tried(key: str) -> None:
    assert odd_keys.judge_of(Verdicts())(key) is Verdict.WORKS


def test_one_reason_to_refuse_is_enough() -> None:
    judge = odd_keys.judge_of(Verdicts(backslashes=Verdict.LACKING))
    assert judge("a\\b//c") is Verdict.LACKING
    assert judge("a//c") is Verdict.UNTESTED


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_what_is_held_without_control_characters_survives_plain_xml(key: str) -> None:
    judge = odd_keys.judge_of(replace(ALL, control_characters=Verdict.LACKING, line_breaks=Verdict.LACKING))
    escaped = key.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    try:
        survives = etree.fromstring(f"<Key>{escaped}</Key>".encode()).text == key
    except etree.XMLSyntaxError:
        survives = False
    assert survives or judge(key) is Verdict.LACKING
