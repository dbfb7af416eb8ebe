"""The window in which a signature counts once: against a model, and over many processes."""

import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.access.replay import ReplayWindow, Sight
from tests.unit.access.peers import hear, peer, tell

FIRST, AGAIN, NO_ROOM = Sight.FIRST, Sight.AGAIN, Sight.NO_ROOM


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replay"


def test_it_counts_from_the_first_sight(path: Path) -> None:
    window = ReplayWindow(path, 2.0)
    assert [window.look(b"a", at) for at in (10.0, 10.0, 11.5, 11.9, 12.0, 13.9)] == [
        FIRST, AGAIN, AGAIN, AGAIN, FIRST, AGAIN,
    ]  # fmt: skip
    assert window.look(b"b", 13.9) is FIRST
    window.close()


def test_it_may_be_off(path: Path) -> None:
    window = ReplayWindow(path, 0)
    assert [window.look(b"a", 1.0) for _ in range(2)] == [FIRST, FIRST]
    window.close()
    assert list(path.parent.iterdir()) == []


def test_it_holds_on_through_a_restart_of_the_server(path: Path) -> None:
    window = ReplayWindow(path, 60.0)
    assert window.look(b"a", 1000.0) is FIRST
    window.close()
    window = ReplayWindow(path, 60.0)
    assert window.look(b"a", 1030.0) is AGAIN
    window.close()


def test_times_of_an_earlier_boot_are_over(path: Path) -> None:
    window = ReplayWindow(path, 60.0, capacity=32)
    for number in range(32):
        assert window.look(b"%d" % number, 1_000_000.0 + number) is FIRST
    assert window.look(b"0", 5.0) is FIRST
    assert window.look(b"new", 5.0) is FIRST
    assert window.look(b"new", 6.0) is AGAIN
    window.close()


def test_a_process_that_read_the_clock_earlier_and_came_later(path: Path) -> None:
    window = ReplayWindow(path, 2.0)
    assert window.look(b"a", 10.0) is FIRST
    assert window.look(b"a", 9.999) is AGAIN
    window.close()


def test_where_there_is_no_room_a_change_is_refused_and_nothing_forgotten(path: Path) -> None:
    window = ReplayWindow(path, 2.0, capacity=32)
    with structlog.testing.capture_logs() as logs:
        for number in range(32):
            assert window.look(b"%d" % number, 10.0) is FIRST
        assert [window.look(b"one more", 10.0 + n / 10) for n in range(10)] == [NO_ROOM] * 10
        assert [window.look(b"%d" % number, 11.9) for number in range(32)] == [AGAIN] * 32
        assert window.look(b"one more", 12.0) is FIRST
    assert [(line["log_level"], line["window_seconds"]) for line in logs] == [("warning", 2.0)]
    window.close()


@given(st.lists(st.tuples(st.sampled_from(b"abcdefgh"), st.floats(0, 3)), max_size=40))
def test_against_a_model(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, float]]) -> None:
    window = ReplayWindow(tmp_path_factory.mktemp("w") / "replay", 4.0, capacity=64)
    now, seen = 1000.0, dict[int, float]()
    for name, pause in steps:
        now += pause
        fresh = name not in seen or now - seen[name] >= 4.0
        assert window.look(bytes([name]), now) is (FIRST if fresh else AGAIN)
        if fresh:
            seen[name] = now
    window.close()


_LOOKS = """
import sys, time
from pathlib import Path
from deltaglider_proxy.access.replay import ReplayWindow, Sight
window = ReplayWindow(Path(sys.argv[1]), 600.0)
print("ready", flush=True)
for line in sys.stdin:
    marks = line.split()
    print(*(m for m in marks if window.look(m.encode(), time.monotonic()) is Sight.FIRST), flush=True)
"""


def test_over_all_processes_a_signature_counts_once(path: Path) -> None:
    marks = [f"mark-{number}" for number in range(3000)]
    rng = random.Random(1)
    with ExitStack() as stack:
        peers = [stack.enter_context(peer(_LOOKS, str(path))) for _ in range(4)]
        for process in peers:
            rng.shuffle(marks)
            tell(process, " ".join(marks))
        firsts = Counter(mark for process in peers for mark in hear(process).split())
    assert firsts == dict.fromkeys(marks, 1)


def test_a_process_that_is_killed_leaves_the_others_a_window_that_works(path: Path) -> None:
    """Killed at whatever instruction it is at: what it had accepted stays known, and nobody waits for it."""
    marks = " ".join(f"mark-{number}" for number in range(20_000))
    for round_ in range(4):
        with peer(_LOOKS, str(path)) as doomed, peer(_LOOKS, str(path)) as survivor:
            tell(doomed, f"accepted-{round_}")
            assert hear(doomed) == f"accepted-{round_}"
            tell(doomed, marks)
            tell(survivor, " ".join(f"other-{round_}-{number}" for number in range(2000)))
            doomed.kill()
            assert len(hear(survivor).split()) == 2000
            tell(survivor, f"accepted-{round_} new-{round_}")
            assert hear(survivor) == f"new-{round_}"
