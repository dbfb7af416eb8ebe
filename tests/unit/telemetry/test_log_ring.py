import fcntl
import multiprocessing
import os
import stat
import threading
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.telemetry.log_lines import LogEntry
from deltaglider_proxy.telemetry.log_ring import PLACE, LogQuery, LogRing, query_level

SPAWN = multiprocessing.get_context("spawn")


def entry(number: int, level: int = 20, target: str = "deltaglider_proxy.s3", **fields: str) -> LogEntry:
    return LogEntry(float(number), level, target, f"message {number}", fields)


class MakeRing(Protocol):
    def __call__(self, size: int = 2000, floor: int = 20) -> LogRing: ...


@pytest.fixture
def make_ring(tmp_path: Path) -> MakeRing:
    return lambda size=2000, floor=20: ring_at(tmp_path / "ring", size, floor)


def ring_at(path: Path, size: int = 2000, floor: int = 20) -> LogRing:
    LogRing.create(path, size)
    return LogRing(path, floor)


def times(ring: LogRing, query: LogQuery | None = None, limit: int = 200) -> list[float]:
    return [kept.entry.time for kept in ring.search(query or LogQuery(), limit)]


def test_the_newest_come_first_and_old_ones_fall_out(make_ring: MakeRing) -> None:
    ring = make_ring(3)
    ring.keep([entry(0), entry(1)])
    ring.keep([entry(number) for number in range(2, 5)])
    assert times(ring) == [4.0, 3.0, 2.0]
    assert ring.count == 5


def test_what_was_kept_comes_back_as_it_was(make_ring: MakeRing) -> None:
    ring = make_ring()
    full = LogEntry(1.5, 40, "a.b", "häh?\n", {"a": [1, None, {"b": True}], "c": "\x00"}, "Traceback\n  x")
    ring.keep([full])
    [kept] = ring.search(LogQuery())
    assert (kept.number, kept.entry) == (1, full)


def test_a_new_ring_has_nothing_of_the_one_before_and_is_for_its_owner_only(
    make_ring: MakeRing, tmp_path: Path
) -> None:
    make_ring().keep([entry(1)])
    assert times(make_ring()) == []
    assert stat.S_IMODE((tmp_path / "ring").stat().st_mode) == 0o600
    assert LogRing.create(tmp_path / "ring", 0) is None
    assert times(LogRing(tmp_path / "ring")) == []


def test_below_the_floor_is_not_kept(make_ring: MakeRing) -> None:
    ring = make_ring(floor=30)
    ring.keep([entry(1, 20), entry(2, 30)])
    assert times(ring) == [2.0]


def test_the_whole_ring_is_searched_even_when_it_is_larger_than_the_limit(make_ring: MakeRing) -> None:
    ring = make_ring(10_000)
    ring.keep([entry(0, target="rare"), *map(entry, range(1, 9_000))])
    assert times(ring, LogQuery(target="rare"), 1) == [0.0]


def test_the_limit_is_clamped(make_ring: MakeRing) -> None:
    ring = make_ring(3000)
    ring.keep([entry(number) for number in range(3000)])
    assert [len(ring.search(LogQuery(), limit)) for limit in (0, 10**9)] == [1, 2000]
    assert len(ring.search(LogQuery())) == 200


def test_pages_meet_without_gap_or_double_while_lines_are_added(make_ring: MakeRing) -> None:
    ring = make_ring(100)
    ring.keep([entry(number) for number in range(50)])
    seen: list[int] = []
    before: int | None = None
    while page := ring.search(LogQuery(), 7, before):
        seen += [kept.number for kept in page]
        before = seen[-1]
        ring.keep([entry(99)])
    assert seen == list(range(50, 0, -1))


def test_whoever_follows_is_told_what_was_too_fast(make_ring: MakeRing) -> None:
    ring = make_ring(4)
    ring.keep(list(map(entry, range(3))))
    kept, lost, seen = ring.since(1)
    assert ([each.entry.time for each in kept], lost, seen) == ([1.0, 2.0], 0, 3)
    ring.keep(list(map(entry, range(3, 10))))
    kept, lost, seen = ring.since(seen)
    assert ([each.number for each in kept], lost, seen) == ([7, 8, 9, 10], 3, 10)
    assert ring.since(seen) == ([], 0, 10)
    assert ring.since(10**6) == ([], 0, 10), "the number of a server before"


@pytest.mark.parametrize(
    "long",
    [
        LogEntry(1.0, 20, "t", "m" * 10_000),
        LogEntry(1.0, 20, "t", "m", {"key": "k" * 10_000, "status": 200}),
        LogEntry(1.0, 20, "t", "m", {f"field{n}": "x" * 40 for n in range(200)}),
        LogEntry(1.0, 20, "t", "m", {"deep": {"a": ["y" * 100] * 100}}),
        LogEntry(1.0, 20, "t", "m", {}, "Traceback" + "z" * 10_000 + "ValueError: why"),
        LogEntry(1.0, 20, "t", "\x00" * 5_000, {"n" * 5_000: 1}),
        LogEntry(1.0, 20, "t" * 5_000, "ü" * 5_000, {"k" * 5_000: "v" * 5_000}, "€" * 5_000),
    ],
)
def test_a_line_too_long_for_its_place_is_cut_and_harms_no_other(make_ring: MakeRing, long: LogEntry) -> None:
    ring = make_ring(3)
    ring.keep([entry(1), long, entry(3)])
    newest, cut, oldest = ring.search(LogQuery())
    assert (newest.entry, oldest.entry) == (entry(3), entry(1))
    assert cut.entry != long
    assert cut.entry.time == 1.0
    if "why" in long.exception:
        assert cut.entry.exception.startswith("Traceback")
        assert cut.entry.exception.endswith("ValueError: why")
    if "status" in long.fields:
        assert cut.entry.fields["status"] == 200
        assert str(cut.entry.fields["key"]).startswith("kkk")


@given(
    message=st.text(st.characters(), max_size=3000),
    fields=st.dictionaries(st.text(max_size=50), st.text(max_size=800) | st.integers() | st.none(), max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_any_line_can_be_kept(tmp_path_factory: pytest.TempPathFactory, message: str, fields: dict[str, str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    ring = ring_at(path, 2)
    ring.keep([LogEntry(1.0, 20, "t", message, fields), entry(2)])
    assert times(ring) == [2.0, 1.0]
    assert path.stat().st_size <= 16 + 2 * PLACE
    ring.close()


def test_half_a_surrogate_is_no_reason_to_lose_a_line(make_ring: MakeRing) -> None:
    ring = make_ring()
    ring.keep([LogEntry(1.0, 20, "t", "key \udcff", {"n": 1 << 70})])
    [kept] = ring.search(LogQuery())
    assert kept.entry.message == "key ?"


def test_a_torn_line_is_left_out(make_ring: MakeRing, tmp_path: Path) -> None:
    ring = make_ring()
    ring.keep([entry(1), entry(2), entry(3)])
    with (tmp_path / "ring").open("r+b") as file:
        file.seek(16 + PLACE + 12)
        file.write(b"\xff\xff")
    assert times(ring) == [3.0, 1.0]


def keep_in_a_process(path: Path, worker: int, batches: int) -> None:
    ring = LogRing(path)
    for batch in range(batches):
        ring.keep([entry(batch, target=f"worker.{worker}"), entry(batch, target=f"worker.{worker}")])


def test_processes_and_threads_lose_no_line_and_no_reader_sees_half_a_batch(
    make_ring: MakeRing, tmp_path: Path
) -> None:
    ring = make_ring(1000)
    processes = [SPAWN.Process(target=keep_in_a_process, args=(tmp_path / "ring", n, 100)) for n in range(2)]
    done = threading.Event()
    odd: list[int] = []

    def read() -> None:
        while not done.is_set():
            odd.extend(n for n in [len(ring.since(0)[0])] if n % 2)

    reader = threading.Thread(target=read)
    reader.start()
    for process in processes:
        process.start()
    for batch in range(100):
        ring.keep([entry(batch, target="worker.9"), entry(batch, target="worker.9")])
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    done.set()
    reader.join(10)
    assert odd == []
    for worker in ("worker.0", "worker.1", "worker.9"):
        found = [kept.entry.time for kept in reversed(ring.search(LogQuery(target=worker), 1000))]
        assert found == [float(batch) for batch in range(100) for _ in range(2)]


def test_a_writer_waits_for_readers_of_its_own_process_too(make_ring: MakeRing, tmp_path: Path) -> None:
    ring = make_ring()
    descriptor = os.open(tmp_path / "ring", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    writer = threading.Thread(target=ring.keep, args=([entry(1)],))
    writer.start()
    writer.join(0.1)
    assert writer.is_alive()
    os.close(descriptor)
    writer.join(10)
    assert times(ring) == [1.0]


def test_the_parts_of_a_query_all_hold() -> None:
    shown = entry(1, 30, "deltaglider_proxy.engine", bucket="Releases")
    assert LogQuery(30, "engine", "RELEASES").matches(shown)
    assert LogQuery(text="Message 1").matches(shown)
    assert not LogQuery(40).matches(shown)
    assert not LogQuery(target="Engine").matches(shown)
    assert not LogQuery(text="absent").matches(shown)


def test_level_names_in_queries() -> None:
    assert [query_level(name) for name in ("warn", "WARNING", "error", "nonsense", "")] == [30, 30, 40, 0, 0]


@given(st.lists(st.sampled_from([10, 20, 30, 40])), st.sampled_from([0, 10, 20, 30, 40]), st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_a_search_is_filter_then_limit(
    tmp_path_factory: pytest.TempPathFactory, levels: list[int], least: int, limit: int
) -> None:
    ring = ring_at(tmp_path_factory.getbasetemp() / "filtered", 10, 0)
    entries = [entry(number, level) for number, level in enumerate(levels)]
    ring.keep(entries)
    expected = [kept for kept in reversed(entries[-10:]) if kept.level >= least][:limit]
    assert [kept.entry for kept in ring.search(LogQuery(least), limit)] == expected
    ring.close()
