import random

from hypothesis import given, settings
from hypothesis import strategies as st

from deltaglider_proxy.codecs import anchors, frames, runs, windows
from deltaglider_proxy.codecs.buffers import Buffer
from deltaglider_proxy.codecs.container import Codec, Frame
from deltaglider_proxy.codecs.windows import Prefix, Range

REFERENCE = random.Random(11).randbytes(30 << 20)
INDEX = anchors.find(REFERENCE)


def fetch(ranges: object) -> bytes:
    assert isinstance(ranges, (list, tuple))
    return b"".join(REFERENCE[start : start + length] for start, length in ranges)


def decoded(frame: Frame, payload: Buffer) -> bytes:
    return fetch(frame.ranges) if frame.codec is Codec.COPY else bytes(frames.decode(frame, payload, fetch))


def check(block: bytes) -> list[frames.Encoded]:
    encoded = frames.encode_block(block, windows.align(block, INDEX, len(REFERENCE)), len(REFERENCE), fetch)
    assert b"".join(decoded(frame, payload) for frame, payload in encoded) == block
    for frame, _ in encoded:
        assert all(start >= 0 and start + length <= len(REFERENCE) for start, length in frame.ranges)
        assert sum(length for _, length in frame.ranges) <= windows.BUDGET
    return encoded


EDITS = st.lists(
    st.tuples(st.integers(0, 3 << 20), st.sampled_from([0, 1, 50, 3000]), st.sampled_from([0, 1, 50, 3000])), max_size=4
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 26 << 20), EDITS, st.integers(0))
def test_any_edit_of_any_part_of_a_reference_comes_back(
    start: int, edits: list[tuple[int, int, int]], seed: int
) -> None:
    block = bytearray(REFERENCE[start : start + (3 << 20)])
    rng = random.Random(seed)
    for at, removed, added in edits:
        block[at : at + removed] = rng.randbytes(added)
    encoded = check(bytes(block))
    assert sum(len(payload) for _, payload in encoded) < 30_000


def test_what_runs_beside_the_reference_is_copied() -> None:
    block = bytearray(REFERENCE[1 << 20 : 9 << 20])
    block[4 << 20] ^= 1
    encoded = check(bytes(block))
    assert [frame.codec for frame, _ in encoded].count(Codec.COPY) == 2
    assert sum(len(payload) for _, payload in encoded) < 200


def test_short_runs_are_left_to_the_codec() -> None:
    block = b"".join(REFERENCE[n : n + (300 << 10)] + bytes(10) for n in range(0, 25 << 20, 3 << 20))
    assert all(frame.codec is not Codec.COPY for frame, _ in check(block))


def test_noise_stays_as_it_is() -> None:
    assert [frame.codec for frame, _ in check(random.Random(12).randbytes(1 << 20))] == [Codec.RAW]


def test_runs_stay_within_the_bytes_that_are_at_hand() -> None:
    block = REFERENCE[10 << 20 : 14 << 20]
    held: list[Range] = [(11 << 20, 2 << 20)]
    alignment = windows.align(block, INDEX, len(REFERENCE))
    found = runs.find(block, alignment, Prefix(held, fetch(held)))
    assert [(run.start, run.stop, run.source) for run in found] == [(1 << 20, 3 << 20, 11 << 20)]
