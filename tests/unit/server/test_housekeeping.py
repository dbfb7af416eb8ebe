"""When garbage is collected, over restarts."""

from pathlib import Path

import pytest

from deltaglider_proxy.server.housekeeping import Housekeeping
from deltaglider_proxy.telemetry import worker_slots
from deltaglider_proxy.telemetry.clock import ManualClock
from deltaglider_proxy.telemetry.metrics import Metrics

DAY = 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def made(run_dir: Path, clock: ManualClock) -> Housekeeping:
    def nothing() -> object:
        raise AssertionError("nothing is done here")

    worker_slots.prepare(run_dir, clock.now())
    metrics = Metrics(run_dir, clock, "1", "filesystem", 1)
    return Housekeeping(nothing, metrics, clock, run_dir, 3600.0, DAY)  # type: ignore[arg-type]  # no engine is needed


def test_a_server_that_starts_anew_each_night_collects_too(tmp_path: Path, clock: ManualClock) -> None:
    due = []
    for _ in range(4):
        due.append(made(tmp_path, clock).collection_is_due())
        clock.advance(0.6 * DAY)
    assert due == [False, False, True, False]


@pytest.mark.parametrize("moved", [-2 * DAY, 5 * DAY])
def test_a_clock_that_was_wrong_does_not_put_it_off_for_ever(tmp_path: Path, clock: ManualClock, moved: float) -> None:
    made(tmp_path, clock).collection_is_due()
    clock.wall += moved
    assert made(tmp_path, clock).collection_is_due()
    assert not made(tmp_path, clock).collection_is_due()


def test_what_nobody_can_read_is_written_anew(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "last-collection").write_text("1.7e")
    assert made(tmp_path, clock).collection_is_due()
    assert not made(tmp_path, clock).collection_is_due()
