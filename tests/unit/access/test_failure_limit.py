"""Counts of failures: their windows and lock-outs, and that all processes of a host count together."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.failure_limit import FailureLimit, Limits, Standing
from tests.support.s3_app import captured_log
from tests.unit.access.peers import hear, peer, tell

LIMITS = Limits(attempts=3, window=60.0, lockout=600.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "failures"


@pytest.fixture
def limit(path: Path) -> Iterator[FailureLimit]:
    made = FailureLimit(path, LIMITS, rows=32)
    yield made
    made.close()


def test_the_failure_that_reaches_the_limit_locks(limit: FailureLimit) -> None:
    assert [limit.failed(b"a", 10.0 + n) for n in range(3)] == [
        Standing(1, locked=False),
        Standing(2, locked=False),
        Standing(3, locked=True),
    ]
    assert limit.locked_for(b"a", 12.0) == 600.0
    assert limit.locked_for(b"a", 611.0) == 1.0
    assert limit.locked_for(b"a", 612.0) == 0.0
    assert limit.locked_for(b"b", 12.0) is None


def test_attempts_during_a_lockout_do_not_prolong_it(limit: FailureLimit) -> None:
    for _ in range(3):
        limit.failed(b"a", 10.0)
    assert limit.failed(b"a", 300.0) == Standing(3, locked=True)
    assert limit.locked_for(b"a", 609.0) == 1.0
    assert limit.failed(b"a", 610.0) == Standing(1, locked=False)


def test_the_window_begins_with_the_first_failure_and_does_not_slide(limit: FailureLimit) -> None:
    assert limit.failed(b"a", 10.0).failures == 1
    assert limit.failed(b"a", 69.0).failures == 2
    assert limit.failed(b"a", 70.0).failures == 1


def test_a_success_ends_it(limit: FailureLimit) -> None:
    limit.failed(b"a", 10.0)
    limit.failed(b"b", 10.0)
    limit.succeeded(b"a")
    limit.succeeded(b"unknown")
    assert limit.failed(b"a", 11.0).failures == 1
    assert limit.failed(b"b", 11.0).failures == 2


def test_it_may_be_off(path: Path) -> None:
    limit = FailureLimit(path, Limits(attempts=0))
    assert [limit.failed(b"a", 10.0) for _ in range(200)] == [Standing(0, locked=False)] * 200
    assert limit.locked_for(b"a", 10.0) is None
    limit.succeeded(b"a")
    limit.close()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("later", [700.0, 1e6])
def test_times_of_an_earlier_boot_lock_nobody_for_long(limit: FailureLimit, later: float) -> None:
    for _ in range(3):
        limit.failed(b"a", later)
    assert limit.locked_for(b"a", 5.0) == 0
    assert limit.failed(b"a", 5.0).failures == 1


def test_where_there_is_no_room_locks_stay(limit: FailureLimit) -> None:
    for name in range(31):
        for _ in range(3):
            limit.failed(b"%d" % name, 10.0)
    limit.failed(b"soft", 10.0)
    assert limit.failed(b"another", 10.0) == Standing(1, locked=False)
    assert limit.failed(b"another", 10.0).failures == 2
    assert limit.failed(b"another", 10.0).locked
    with captured_log() as logs:
        assert not limit.failed(b"one more", 10.0).locked
    assert [line["log_level"] for line in logs] == ["warning"]
    assert all(limit.locked_for(b"%d" % name, 10.0) for name in range(31))


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (10, 0), (11, 0.2), (12, 0.4), (13, 0.8), (14, 1.6), (15, 3.2), (16, 5), (99, 5)]
)
def test_answers_are_held_back_longer_and_longer(failures: int, seconds: float) -> None:
    assert Standing(failures, locked=False).delay == pytest.approx(seconds)


@given(st.lists(st.tuples(st.sampled_from(b"abc"), st.booleans(), st.floats(0, 40)), max_size=40))
def test_against_a_model(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, float]]) -> None:
    limit = FailureLimit(tmp_path_factory.mktemp("f") / "failures", Limits(3, 60.0, 90.0), rows=32)
    now = 1000.0
    counts, since, until = dict[int, int](), dict[int, float](), dict[int, float]()
    for name, fails, pause in steps:
        now += pause
        locked = until.get(name, 0.0) > now
        assert bool(limit.locked_for(bytes([name]), now)) is locked
        if locked:
            continue
        if not fails:
            limit.succeeded(bytes([name]))
            counts.pop(name, None)
            until.pop(name, None)
            continue
        if name in until or now - since.get(name, 0.0) >= 60.0:
            counts.pop(name, None)
            until.pop(name, None)
        if name not in counts:
            since[name] = now
        counts[name] = counts.get(name, 0) + 1
        if counts[name] == 3:
            until[name] = now + 90.0
        assert limit.failed(bytes([name]), now) == Standing(counts[name], locked=counts[name] == 3)
    limit.close()


_FAILS = """
import sys
from pathlib import Path
from deltaglider_proxy.access.failure_limit import FailureLimit, Limits
limit = FailureLimit(Path(sys.argv[1]), Limits(attempts=1000))
print("ready", flush=True)
input()
print(sum(not limit.failed(b"a", 10.0).locked for _ in range(600)), flush=True)
"""


def test_all_processes_count_together(path: Path) -> None:
    with ExitStack() as stack:
        peers = [stack.enter_context(peer(_FAILS, str(path))) for _ in range(3)]
        for process in peers:
            tell(process, "go")
        assert sum(int(hear(process)) for process in peers) == 999
