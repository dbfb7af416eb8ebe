from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.telemetry.log_lines import LogEntry
from deltaglider_proxy.telemetry.log_ring import LogQuery, LogRing, query_level


def entry(number: int, level: int = 20, target: str = "deltaglider_proxy.s3", **fields: str) -> LogEntry:
    return LogEntry(float(number), level, target, f"message {number}", fields)


def test_the_newest_come_first_and_old_ones_fall_out() -> None:
    ring = LogRing(3)
    for number in range(5):
        ring.add(entry(number))
    assert [found.time for found in ring.search(LogQuery())] == [4.0, 3.0, 2.0]


def test_below_the_floor_is_not_kept() -> None:
    ring = LogRing(floor=30)
    ring.add(entry(1, 20))
    ring.add(entry(2, 30))
    assert [found.time for found in ring.search(LogQuery())] == [2.0]


def test_the_whole_ring_is_searched_even_when_it_is_larger_than_the_limit() -> None:
    ring = LogRing(10_000)
    ring.add(entry(0, target="rare"))
    for number in range(1, 9_000):
        ring.add(entry(number))
    assert [found.time for found in ring.search(LogQuery(target="rare"), limit=1)] == [0.0]


def test_the_limit_is_clamped() -> None:
    ring = LogRing(3000)
    for number in range(3000):
        ring.add(entry(number))
    assert len(ring.search(LogQuery(), 0)) == 1
    assert len(ring.search(LogQuery(), 10**9)) == 2000
    assert len(ring.search(LogQuery())) == 200


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
def test_a_search_is_filter_then_limit(levels: list[int], least: int, limit: int) -> None:
    ring = LogRing(10, floor=0)
    entries = [entry(number, level) for number, level in enumerate(levels)]
    for kept in entries:
        ring.add(kept)
    expected = [kept for kept in reversed(entries[-10:]) if kept.level >= least][:limit]
    assert ring.search(LogQuery(least), limit) == expected
