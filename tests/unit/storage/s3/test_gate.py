"""A service that is away is asked once in a while, not by everyone."""

import pytest

from deltaglider_proxy.storage.backends.s3.gate import REFUSED, SILENT, UNREACHABLE, Gate
from deltaglider_proxy.storage.errors import Away
from deltaglider_proxy.telemetry.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def gate(clock: ManualClock) -> Gate:
    return Gate("far", clock)


def is_open(gate: Gate) -> bool:
    try:
        gate.check()
    except Away:
        return False
    return True


@pytest.mark.parametrize(("weight", "times"), [(REFUSED, 5), (SILENT, 3), (UNREACHABLE, 1)])
def test_closes_after_enough_failures_in_a_row(gate: Gate, weight: int, times: int) -> None:
    for _ in range(times):
        assert is_open(gate)
        gate.failed(weight)
    assert not is_open(gate)


def test_an_answer_in_between_counts(gate: Gate) -> None:
    for _ in range(20):
        gate.failed(SILENT)
        gate.reached()
        assert is_open(gate)


def test_one_tries_after_a_pause_that_grows(gate: Gate, clock: ManualClock) -> None:
    gate.failed(UNREACHABLE)
    for pause in (1, 2, 4, 8, 15, 15):
        clock.advance(pause - 0.01)
        assert not is_open(gate)
        clock.advance(0.02)
        assert is_open(gate)
        assert not is_open(gate), "only one"
        gate.failed(REFUSED)


def test_opens_with_the_first_answer(gate: Gate, clock: ManualClock) -> None:
    gate.failed(UNREACHABLE)
    clock.advance(1.1)
    assert is_open(gate)
    gate.reached()
    assert is_open(gate)
    assert is_open(gate)


def test_who_is_refused_learns_which_backend_it_is(gate: Gate) -> None:
    gate.failed(UNREACHABLE)
    with pytest.raises(Away, match="'far'") as caught:
        gate.check()
    assert caught.value.backend == "far"
