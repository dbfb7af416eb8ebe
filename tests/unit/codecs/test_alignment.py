import random

from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.codecs import anchors, frames, windows, zstd

NOISE = random.Random(7).randbytes(60 << 20)


@given(st.integers(0, 200_000), st.integers(0, 5000))
def test_the_same_content_has_the_same_anchors_wherever_it_lies(start: int, shift: int) -> None:
    content = NOISE[start : start + 120_000]
    here = anchors.find(content)
    there = anchors.find(NOISE[5 << 20 : (5 << 20) + shift] + content)
    hits, positions = there.locate(here.fingerprints)
    assert len(hits) == len(here) > 10
    assert {int(p) - int(h) for p, h in zip(positions, here.positions[hits], strict=True)} == {shift}


def test_anchors_of_pieces_are_those_of_the_whole_but_for_the_seams() -> None:
    data = NOISE[: 3 << 20]
    step = 1 << 20
    parts = anchors.merge([anchors.find(data[n : n + step], n) for n in range(0, len(data), step)])
    assert len(anchors.find(data)) - len(parts) <= 3


def test_runs_of_one_byte_are_no_anchors() -> None:
    for value in range(256):
        assert len(anchors.find(bytes([value]) * 5000)) == 0


def test_small_inputs_have_none() -> None:
    assert all(len(anchors.find(bytes(range(n)))) == 0 for n in range(anchors.SPAN))


def test_windows_follow_content_that_moved() -> None:
    index = anchors.find(NOISE)
    moved = NOISE[50 << 20 : 54 << 20] + NOISE[10 << 20 : 14 << 20]
    ranges = windows.align(moved, index, len(NOISE)).ranges
    assert sum(length for _, length in ranges) <= windows.BUDGET
    for start in (50 << 20, 53 << 20, 10 << 20, 13 << 20):
        assert any(a <= start and start + (1 << 20) <= a + n for a, n in ranges)
    frame, payload = frames.encode(moved, ranges, lambda rs: b"".join(NOISE[a : a + n] for a, n in rs))
    assert len(payload) < len(moved) // 500
    assert frames.decode(frame, payload, lambda rs: b"".join(NOISE[a : a + n] for a, n in rs)) == moved


def test_nothing_in_common_needs_no_window() -> None:
    assert windows.align(random.Random(8).randbytes(1 << 20), anchors.find(NOISE), len(NOISE)).ranges == ()


def test_a_wrong_prefix_is_an_error() -> None:
    frame, payload = frames.encode(NOISE[:5000], [(0, 6000)], lambda _: NOISE[:6000])
    try:
        frames.decode(frame, payload, lambda _: NOISE[1:6001])
    except zstd.BrokenFrame:
        return
    raise AssertionError("wrong bytes were accepted")


def test_a_frame_cannot_grow_beyond_its_size() -> None:
    bomb = zstd.encode(bytes(10_000_000), None)
    try:
        zstd.decode(bomb, None, 1000)
    except zstd.BrokenFrame:
        return
    raise AssertionError("more bytes than announced were accepted")
