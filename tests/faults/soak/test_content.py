"""Bodies are made again from their tags, resemble their family, and can be told from all others."""

import pytest

from tests.integration.wire import Answer
from tests.soak.administrator import config_document, config_state, user_document, user_state
from tests.soak.content import PART, SIZES, Content, digest, digest_of
from tests.soak.findings import Findings
from tests.soak.objects import seen


@pytest.mark.parametrize("family", range(len(SIZES)))
def test_a_body_is_made_again_from_its_tag(family: int) -> None:
    content = Content(family, 7)
    again = Content.of(content.tag)
    assert again.data() == content.data()
    assert len(content.data()) == content.size
    assert digest(content.data()) == digest_of(content.tag)
    assert content.data() != Content(family, 8).data() != Content(family + len(SIZES), 8).data()


def test_a_family_is_alike() -> None:
    one, other = Content(4, 1).data(), Content(4, 2).data()
    same = sum(a == b for a, b in zip(one, other, strict=False))
    assert 0.9 < same / len(one) < 1


def test_parts_make_the_body() -> None:
    content = Content(3, 5, parts=2)
    assert b"".join(content.pieces()) == content.data()
    assert [len(piece) for piece in content.pieces()] == [PART, content.size - PART]
    assert Content(3, 5, parts=1).pieces() == [Content(3, 5, parts=1).data()]


def test_bytes_of_another_are_found_out() -> None:
    findings = Findings()
    mine, other = Content(2, 1), Content(2, 2)
    headers = {"x-amz-meta-tag": mine.tag}
    assert seen(Answer(200, headers, mine.data()), findings, "k") == mine.tag
    assert findings.found == []
    for body in (other.data(), mine.data()[:-1], b""):
        assert seen(Answer(200, headers, body), findings, "k") is None
    assert [found.kind for found in findings.found] == ["wrong bytes"] * 3
    assert other.tag in findings.found[0].what
    assert seen(Answer(200, {}, mine.data()), findings, "k") is None


def test_half_of_a_change_shows() -> None:
    user, other = user_document(4), user_document(5)
    assert user_state(user) == "4"
    mixed = {**user, "permissions": [user["permissions"][0], other["permissions"][1]]}
    assert user_state(mixed).startswith("half")
    assert user_state({**user, "enabled": not user["enabled"]}).startswith("half")
    assert user_state({**user, "permissions": user["permissions"][:1]}).startswith("half")
    assert config_state(config_document(7)) == "7"
    assert config_state({**config_document(7), "max_delta_ratio": 0.6}).startswith("half")
