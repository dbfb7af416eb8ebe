import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.codecs import container, frames, zstd
from deltaglider_proxy.codecs.container import HEADER_SIZE, TRAILER_SIZE, Broken, Codec, Frame, Index, Reference

ID = "00112233445566778899aabbccddeeff"


def build(parts: list[bytes], reference: bytes = b"") -> bytes:
    named = (Reference("refs/a/b.c", len(reference)),) if reference else ()
    data = container.header(ID) + b"".join(container.reference_record(r) for r in named)
    placed = []
    for part in parts:
        ranges = [(0, len(reference))] if reference else []
        frame, payload = frames.encode(part, ranges, lambda _: reference)
        head = container.frame_head(frame)
        number = 0 if frame.ranges else None
        placed.append(
            Frame(frame.codec, frame.size, frame.payload, frame.digest, frame.ranges, number, len(data) + len(head))
        )
        data += head + bytes(payload)
    return data + container.closing(Index(ID, named, tuple(placed), {}), len(data))


def read(data: bytes, reference: bytes = b"") -> bytes:
    start, stop = container.parse_trailer(data[-TRAILER_SIZE:], len(data))
    index = container.parse_index(data[start:stop])
    assert container.parse_header(data[:HEADER_SIZE]) == index.object_id
    return b"".join(
        bytes(frames.decode(f, data[f.offset : f.offset + f.payload], lambda _: reference)) for f in index.frames
    )


@given(st.lists(st.binary(max_size=5000), max_size=5), st.binary(max_size=3000))
def test_what_goes_in_comes_out(parts: list[bytes], reference: bytes) -> None:
    data = build(parts, reference)
    assert len(data) % 1024 == 667
    assert container.may_be_container(len(data))
    assert read(data, reference) == b"".join(parts)


@given(st.binary(min_size=1, max_size=4000), st.integers(0), st.integers(1, 255))
def test_damage_is_an_error_or_harmless_never_other_bytes(part: bytes, where: int, flip: int) -> None:
    data = bytearray(build([part], b"reference" * 20))
    data[where % len(data)] ^= flip
    try:
        found = read(bytes(data), b"reference" * 20)
    except (Broken, zstd.BrokenFrame):
        return
    assert found == part


@given(st.binary(max_size=3000))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(Broken):
        container.parse_trailer(noise, len(noise))
    with pytest.raises(Broken):
        container.parse_header(noise)
    with pytest.raises(Broken):
        container.parse_index(noise)


@pytest.mark.parametrize("cut", range(1, 40))
def test_records_describe_themselves_to_a_reader_that_sees_them_grow(cut: int) -> None:
    record = container.reference_record(Reference("refs/x/y.z", 7))
    if cut < len(record):
        assert container.parse_record(record[:cut]) is None
    assert container.parse_record(record + b"more") == (Reference("refs/x/y.z", 7), len(record))


def test_a_sequential_reader_needs_no_index() -> None:
    parts = [b"a" * 3000, b"b" * 10, random.Random(1).randbytes(500)]
    data = build(parts)
    at, found = HEADER_SIZE, b""
    while True:
        parsed = container.parse_record(data[at : at + container.MAX_RECORD_HEAD])
        assert parsed is not None
        record, length = parsed
        if record is None:
            break
        at += length
        if isinstance(record, Frame):
            found += bytes(frames.decode(record, data[at : at + record.payload], None))
            at += record.payload
    assert found == b"".join(parts)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Codec.RAW, 5, 6, bytes(16)),
        Frame(Codec.ZSTD, container.FRAME_SIZE + 1, 1, bytes(16)),
        Frame(Codec.ZSTD, 1, 1 << 30, bytes(16)),
        Frame(Codec.ZSTD_PREFIX, 1, 1, bytes(16)),
        Frame(Codec.COPY, 5, 0, bytes(16), ((0, 4),)),
        Frame(Codec.COPY, 5, 1, bytes(16), ((0, 5),)),
        Frame(Codec.ZSTD_PREFIX, 1, 1, bytes(16), ((0, 1 << 40),)),
    ],
)
def test_lengths_that_contradict_each_other_are_refused(frame: Frame) -> None:
    with pytest.raises(Broken):
        container.parse_record(container.frame_head(frame))


def test_unknown_codecs_and_formats_are_named_as_such() -> None:
    head = bytearray(container.header(ID))
    head[5] ^= 1
    with pytest.raises(container.UnknownFormat):
        container.parse_header(bytes(head))


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.data())
def test_spans_are_the_frames_that_a_range_touches(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    start = data.draw(st.integers(0, total - 1))
    stop = data.draw(st.integers(start + 1, total))
    body = bytes(n % 251 for n in range(total))
    pieces, at = [], 0
    for size in sizes:
        pieces.append((Frame(Codec.RAW, size, size, bytes(16), offset=at), body[at : at + size]))
        at += size
    contents = {f.offset: b for f, b in pieces}
    found = b"".join(contents[f.offset][a:b] for f, a, b in container.spans([f for f, _ in pieces], start, stop))
    assert found == body[start:stop]
    assert all(a < b for _, a, b in container.spans([f for f, _ in pieces], start, stop))
