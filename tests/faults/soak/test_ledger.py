"""The judge itself: it must let pass whatever an honest store does, and nothing that loses or invents a state."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.ledger import ABSENT, Journal, Ledger, Version, replayed


def test_nothing_was_ever_asked_for() -> None:
    assert Ledger().allowed("a", 0) == {ABSENT}


def test_until_it_is_acknowledged_both_may_be_seen_and_then_only_the_new() -> None:
    ledger = Ledger()
    version = ledger.begin("a", ["1"])
    assert ledger.allowed("a", ledger.now) == {ABSENT, "1"}
    before = ledger.now
    ledger.acknowledged(version)
    assert ledger.allowed("a", ledger.now) == {"1"}
    assert ledger.allowed("a", before) == {ABSENT, "1"}, "this read began before the answer"


def test_what_was_refused_is_never_seen() -> None:
    ledger = Ledger()
    ledger.refused(ledger.begin("a", ["1"]))
    assert ledger.allowed("a", ledger.now) == {ABSENT}


def test_what_was_lost_may_be_seen_until_something_later_is_acknowledged() -> None:
    ledger = Ledger()
    ledger.acknowledged(ledger.begin("a", ["1"]))
    ledger.lost(ledger.begin("a", ["2"]), lasting=False)
    assert ledger.allowed("a", ledger.now) == {"1", "2"}
    ledger.acknowledged(ledger.begin("a", ["3"]))
    assert ledger.allowed("a", ledger.now) == {"3"}


def test_what_may_still_be_done_is_possible_until_all_is_settled() -> None:
    ledger = Ledger()
    ledger.lost(ledger.begin("a", ["1"]), lasting=True)
    ledger.acknowledged(ledger.begin("a", ["2"]))
    assert ledger.allowed("a", ledger.now) == {"1", "2"}
    ledger.settle("a", "2")
    assert ledger.allowed("a", ledger.now) == {"2"}


def test_of_two_at_once_either_may_be_the_last() -> None:
    ledger = Ledger()
    one, two = ledger.begin("a", ["1"]), ledger.begin("a", ["2"])
    ledger.acknowledged(one)
    ledger.acknowledged(two)
    assert ledger.allowed("a", ledger.now) == {"1", "2"}


def test_a_deletion_is_a_state_like_others() -> None:
    ledger = Ledger()
    ledger.acknowledged(ledger.begin("a", ["1"]))
    ledger.acknowledged(ledger.begin("a", [ABSENT]))
    assert ledger.allowed("a", ledger.now) == {ABSENT}


class Store:
    """A register that does each thing at one moment of its time, or, where the answer is lost, perhaps never."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.ledger = Ledger()
        self.value = ABSENT
        self.waiting: list[tuple[Version, str]] = []
        self.done: list[Version] = []
        self.reads: list[int] = []
        self.made = 0

    def step(self) -> None:
        match self.dice.choice(("begin", "do", "do", "answer", "lose", "read")):
            case "begin":
                self.made += 1
                state = self.dice.choice((ABSENT, str(self.made)))
                self.waiting.append((self.ledger.begin("a", [state]), state))
            case "do" if self.waiting:
                version, self.value = self.waiting.pop(self.dice.randrange(len(self.waiting)))
                self.done.append(version)
            case "answer" if self.done:
                self.ledger.acknowledged(self.done.pop(self.dice.randrange(len(self.done))))
            case "lose" if self.done:
                self.ledger.lost(self.done.pop(), lasting=False)
            case "lose" if self.waiting:
                self.ledger.lost(self.waiting.pop()[0], lasting=False)
            case "read":
                assert self.value in self.ledger.allowed("a", self.ledger.now)
            case _:
                pass


@given(st.integers(0, 1 << 30))
def test_an_honest_store_is_never_accused(seed: int) -> None:
    store = Store(seed)
    for _ in range(80):
        store.step()


@pytest.mark.parametrize("seed", range(10))
def test_a_store_that_forgets_an_acknowledged_write_is_found_out(seed: int) -> None:
    store = Store(seed)
    for _ in range(40):
        store.step()
    for version in [*store.done, *(version for version, _ in store.waiting)]:
        store.ledger.lost(version, lasting=False)
    store.ledger.acknowledged(store.ledger.begin("a", ["kept"]))
    assert store.value not in store.ledger.allowed("a", store.ledger.now)


@given(st.integers(0, 1 << 30), st.integers(0, 60))
def test_the_journal_makes_the_same_ledger_again(seed: int, cut: int) -> None:
    lines: list[str] = []
    store = Store(seed)
    store.ledger = Ledger(lines.append)
    for _ in range(60):
        store.step()
    again = replayed(lines)
    open_ = [version.begin for version in store.done] + [version.begin for version, _ in store.waiting]
    if not open_:
        assert again.allowed("a", again.now) == store.ledger.allowed("a", store.ledger.now)
    assert store.value in again.allowed("a", again.now)
    if lines:
        replayed([*lines[:-1], lines[-1][: min(cut, len(lines[-1]) - 1)]])


def test_a_journal_that_is_broken_in_the_middle_is_refused() -> None:
    lines: list[str] = []
    ledger = Ledger(lines.append)
    ledger.acknowledged(ledger.begin("a", ["1"]))
    with pytest.raises(ValueError, match="broken line"):
        replayed(["{", *lines])


def test_the_journal_has_the_intent_before_anything_is_sent(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    ledger = Ledger(journal.write)
    version = ledger.begin("a", ["1"], "put")
    assert '"do": "begin"' in (tmp_path / "journal").read_text()
    ledger.acknowledged(version)
    journal.close()
    assert replayed((tmp_path / "journal").read_text().splitlines()).allowed("a", 9) == {"1"}
