"""How pieces become parts that a service accepts."""

from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.storage.backend import Stored
from deltaglider_proxy.storage.backends.s3.compose import Range, plan

SMALLEST, LARGEST = 5, 20


def ranges(sizes: list[int]) -> list[Range]:
    return [Range(Stored(str(n), 1000, "e", 0.0, {}), n, n + size) for n, size in enumerate(sizes)]


def flat(parts: list[tuple[Range, ...]]) -> list[tuple[str, int]]:
    return [(r.source.key, at) for part in parts for r in part for at in range(r.start, r.stop)]


@given(st.lists(st.integers(1, 70), max_size=12))
def test_all_bytes_in_order_in_parts_that_are_long_enough(sizes: list[int]) -> None:
    given_ranges = ranges(sizes)
    parts = plan(given_ranges, SMALLEST, LARGEST)
    assert flat(parts) == flat([(r,) for r in given_ranges])
    lengths = [sum(r.size for r in part) for part in parts]
    assert all(length >= SMALLEST for length in lengths[:-1])
    assert all(length > 0 for length in lengths)
    assert all(r.size <= LARGEST for part in parts for r in part)
    assert all(sum(r.size for r in part) < 3 * SMALLEST for part in parts if len(part) > 1), "what is read is bounded"


@given(st.lists(st.integers(SMALLEST, LARGEST), max_size=6), st.integers(1, LARGEST))
def test_parts_of_a_client_stay_as_they_are(sizes: list[int], last: int) -> None:
    given_ranges = ranges([*sizes, last])
    assert plan(given_ranges, SMALLEST, LARGEST) == [(each,) for each in given_ranges]
