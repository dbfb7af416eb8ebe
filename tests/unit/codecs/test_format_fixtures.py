"""What format 1 wrote when it was introduced must be readable for ever. Never regenerate these files: add new ones."""

import hashlib
from pathlib import Path

import pytest

from deltaglider_proxy.codecs import container, frames
from deltaglider_proxy.codecs.container import HEADER_SIZE, TRAILER_SIZE, Codec, Index
from deltaglider_proxy.engine import marks, reference_facts
from deltaglider_proxy.engine.model import Checksum, ChecksumAlgorithm, ChecksumType, Kind

HERE = Path(__file__).parents[2] / "fixtures" / "format1"
OBJECT_SHA256 = "0435d9af23509ebca80c2cb6d1c435ed03804c64fdd4c4fda057045caf8716ac"
REFERENCE_SHA256 = "8daa15eb29212710585f4912f78d42328ea779c818cdaced21a6072d7e4de0f9"


def index_of(data: bytes) -> Index:
    start, stop = container.parse_trailer(data[-TRAILER_SIZE:], len(data))
    return container.parse_index(data[start:stop])


def test_a_container_with_frames_of_every_codec() -> None:
    data = (HERE / "container").read_bytes()
    reference = (HERE / "reference").read_bytes()
    index = index_of(data)
    assert container.parse_header(data[:HEADER_SIZE]) == index.object_id == "000102030405060708090a0b0c0d0e0f"
    assert {frame.codec for frame in index.frames} == set(Codec)

    def fetch(ranges: object) -> bytes:
        assert isinstance(ranges, tuple)
        return b"".join(reference[start : start + length] for start, length in ranges)

    plain = b"".join(
        fetch(frame.ranges)
        if frame.codec is Codec.COPY
        else bytes(frames.decode(frame, data[frame.offset : frame.offset + frame.payload], fetch))
        for frame in index.frames
    )
    assert hashlib.sha256(plain).hexdigest() == OBJECT_SHA256


def test_facts_of_a_reference() -> None:
    facts = reference_facts.decode((HERE / "facts").read_bytes())
    assert facts.sha256 == REFERENCE_SHA256 == hashlib.sha256((HERE / "reference").read_bytes()).hexdigest()
    assert facts.pieces == (container.digest((HERE / "reference").read_bytes()),)
    assert len(facts.index) > 0


@pytest.mark.parametrize(
    ("text", "kind", "size", "parts"),
    [
        (
            "1 000102030405060708090a0b0c0d0e0f i e=d41d8cd98f00b204e9800998ecf8427e t=1700000000123",
            Kind.IDENTITY,
            None,
            (),
        ),
        (
            "1 000102030405060708090a0b0c0d0e0f d s=17 e=00ff-2 t=5 c=CRC32:C:AAAAAA==-2 p=8*2,1",
            Kind.DELTA,
            17,
            (8, 8, 1),
        ),
    ],
)
def test_marks(text: str, kind: Kind, size: int | None, parts: tuple[int, ...]) -> None:
    mark = marks.decode_mark(text)
    assert (mark.kind, mark.size, mark.part_sizes) == (kind, size, parts)
    if parts:
        assert mark.checksum == Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==-2", ChecksumType.COMPOSITE)
