"""The container: an object as frames, each of which can be found, fetched, checked and decoded by itself.

    header     magic 8, object id 16, reserved 4, CRC-32 of these 4                                   32 bytes
    record R   'R', name length u16, reference size u64, name, CRC-32       frames below refer to this reference
    record F   'F', codec u8, ranges u8, size u64, payload length u32, digest 16, (start u64, length u64) each,
               CRC-32, payload
    record I   'I', compressed length u32, length u32, digest 16, CRC-32, the index as JSON in zstd
    padding    zeros, until the whole is 667 bytes more than a multiple of 1024
    trailer    offset of I u64, length of I u32, reserved u32, total size u64, magic 8                32 bytes

Integers are little-endian. A stream needs no rewriting: what a reader must know before a frame stands before it, what
a writer knows only at the end stands at the end. Records describe themselves, so one sequential read decodes all of it;
the index repeats them for random access. The size tells a listing that it may be looking at a container.

Everything here may have been written by an enemy: each length is checked before it is used.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import orjson
import xxhash

from deltaglider_proxy.codecs import zstd
from deltaglider_proxy.codecs.buffers import Buffer

FORMAT = 1
RESIDUE, MODULUS = 667, 1024
FRAME_SIZE = 16 << 20
"""Most logical bytes of a frame that has a payload."""

_MAGIC, _END_MAGIC = b"\x93DGPv1\r\n", b"DGPend1\n"
_HEADER = struct.Struct("<8s16sI")
_REFERENCE = struct.Struct("<cHQ")
_FRAME = struct.Struct("<cBBQI16s")
_RANGE = struct.Struct("<QQ")
_INDEX = struct.Struct("<cII16s")
_TRAILER = struct.Struct("<QIIQ8s")
_CRC = struct.Struct("<I")

HEADER_SIZE = _HEADER.size + _CRC.size
TRAILER_SIZE = _TRAILER.size
MAX_RECORD_HEAD = max(_FRAME.size + 255 * _RANGE.size, _REFERENCE.size + 0xFFFF) + _CRC.size
_MAX_INDEX = 64 << 20
_MAX_REFERENCE_BYTES = 64 << 20
_ZERO_DIGEST = bytes(16)


class Broken(Exception):
    """The bytes are not a container, or a damaged one."""


class UnknownFormat(Broken):
    """A container of a format or codec that this version does not know."""


class Codec(IntEnum):
    RAW = 0
    ZSTD = 1
    ZSTD_PREFIX = 2
    COPY = 3
    """No payload: the bytes are those of the ranges; any size."""


def digest(data: Buffer) -> bytes:
    """128 bits over logical bytes: against damage, not against an enemy, who could write a digest as well."""
    return xxhash.xxh3_128_digest(data)


@dataclass(frozen=True, slots=True)
class Reference:
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What a frame record says, without its payload."""

    codec: Codec
    size: int
    payload: int
    digest: bytes
    ranges: tuple[tuple[int, int], ...] = ()
    reference: int | None = None
    """Index into the references of the container; filled in by whoever knows it."""
    offset: int = 0
    """Of the payload, from the start of the container."""


@dataclass(frozen=True, slots=True)
class Index:
    object_id: str
    references: tuple[Reference, ...]
    frames: tuple[Frame, ...]
    facts: dict[str, str | int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(f.size for f in self.frames)


def header(object_id: str) -> bytes:
    body = _HEADER.pack(_MAGIC, bytes.fromhex(object_id), 0)
    return body + _CRC.pack(zlib.crc32(body))


def parse_header(data: Buffer) -> str:
    """The object id. Raises UnknownFormat, Broken."""
    if len(data) < HEADER_SIZE:
        raise Broken("shorter than a header")
    magic, identity, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise UnknownFormat("not a container of format 1")
    _check_crc(data, 0, _HEADER.size)
    return bytes(identity).hex()


def reference_record(reference: Reference) -> bytes:
    name = reference.name.encode()
    body = _REFERENCE.pack(b"R", len(name), reference.size) + name
    return body + _CRC.pack(zlib.crc32(body))


def frame_head(frame: Frame) -> bytes:
    """The record up to its payload."""
    body = _FRAME.pack(b"F", frame.codec, len(frame.ranges), frame.size, frame.payload, frame.digest)
    body += b"".join(_RANGE.pack(*r) for r in frame.ranges)
    return body + _CRC.pack(zlib.crc32(body))


def parse_record(data: Buffer) -> tuple[Reference | Frame | None, int] | None:
    """The record head at the start of `data` and its length; None if more bytes are needed.

    A frame is returned without its payload, whose bytes follow; the index record as (None, 0).
    """
    kind = bytes(data[:1])
    if kind == b"I":
        return None, 0
    if kind == b"R":
        if len(data) < _REFERENCE.size:
            return None
        _, name_length, size = _REFERENCE.unpack_from(data)
        end = _REFERENCE.size + name_length
        if len(data) < end + _CRC.size:
            return None
        _check_crc(data, 0, end)
        return Reference(_text(bytes(data[_REFERENCE.size : end])), size), end + _CRC.size
    if kind == b"F":
        if len(data) < _FRAME.size:
            return None
        _, codec, count, size, payload, check = _FRAME.unpack_from(data)
        end = _FRAME.size + count * _RANGE.size
        if len(data) < end + _CRC.size:
            return None
        _check_crc(data, 0, end)
        ranges = tuple(_RANGE.iter_unpack(bytes(data[_FRAME.size : end])))
        return _frame(codec, size, payload, check, ranges), end + _CRC.size
    if not kind:
        return None
    raise Broken(f"unknown record {kind!r}")


def closing(index: Index, offset: int) -> bytes:
    """The index record, padding and trailer of a container whose records so far end at `offset`."""
    raw = orjson.dumps(
        {
            "v": FORMAT,
            "id": index.object_id,
            "refs": [[r.name, r.size] for r in index.references],
            "frames": [
                [f.offset, f.payload, f.size, f.codec, f.reference, f.digest.hex(), [n for r in f.ranges for n in r]]
                for f in index.frames
            ],
            "facts": index.facts,
        }
    )
    packed = zstd.encode(raw, None)
    body = _INDEX.pack(b"I", len(packed), len(raw), digest(raw))
    record = body + _CRC.pack(zlib.crc32(body)) + packed
    bare = offset + len(record) + TRAILER_SIZE
    padding = (RESIDUE - bare) % MODULUS
    trailer = _TRAILER.pack(offset, len(record), 0, bare + padding, _END_MAGIC)
    return record + bytes(padding) + trailer


def parse_trailer(tail: Buffer, total: int) -> tuple[int, int]:
    """Where the index record of a container of `total` bytes lies, as (start, stop), from its last bytes."""
    if total % MODULUS != RESIDUE or len(tail) < TRAILER_SIZE:
        raise Broken("not the size of a container")
    offset, length, _, size, magic = _TRAILER.unpack_from(tail, len(tail) - TRAILER_SIZE)
    if magic != _END_MAGIC:
        raise UnknownFormat("no trailer of format 1")
    if size != total or offset < HEADER_SIZE or offset + length > total - TRAILER_SIZE or length > _MAX_INDEX:
        raise Broken("the trailer does not fit the container")
    return offset, offset + length


def parse_index(record: Buffer) -> Index:
    """The index record. Raises Broken, UnknownFormat."""
    if len(record) < _INDEX.size + _CRC.size:
        raise Broken("shorter than an index")
    kind, packed, length, check = _INDEX.unpack_from(record)
    _check_crc(record, 0, _INDEX.size)
    start = _INDEX.size + _CRC.size
    if kind != b"I" or length > _MAX_INDEX or start + packed != len(record):
        raise Broken("not an index record")
    try:
        raw = zstd.decode(memoryview(record)[start:], None, length)
    except zstd.BrokenFrame as error:
        raise Broken("the index does not decode") from error
    if digest(raw) != check:
        raise Broken("the index fails its digest")
    return _index(orjson.loads(raw))


def _index(document: object) -> Index:
    """Typed and checked: every frame within limits, every reference number valid."""
    match document:
        case {"v": 1, "id": str(identity), "refs": list(refs), "frames": list(rows), "facts": dict(facts)}:
            pass
        case _:
            raise UnknownFormat("an index of another format")
    try:
        references = tuple(Reference(str(name), int(size)) for name, size in refs)
        frames = tuple(_index_frame(row, len(references)) for row in rows)
    except (TypeError, ValueError) as error:
        raise Broken("the index is malformed") from error
    return Index(identity, references, frames, facts)


def _index_frame(row: Sequence[object], references: int) -> Frame:
    match row:
        case [int(offset), int(payload), int(size), int(codec), None | int() as reference, str(check), list(flat)]:
            ranges = tuple((int(flat[n]), int(flat[n + 1])) for n in range(0, len(flat), 2))
        case _:
            raise Broken("a frame of the index is malformed")
    frame = _frame(codec, size, payload, bytes.fromhex(check), ranges, reference, offset)
    if frame.codec in (Codec.ZSTD_PREFIX, Codec.COPY) and not (reference is not None and 0 <= reference < references):
        raise Broken("a frame names no reference")
    return frame


def _frame(
    codec: int,
    size: int,
    payload: int,
    check: bytes,
    ranges: tuple[tuple[int, int], ...],
    reference: int | None = None,
    offset: int = 0,
) -> Frame:
    try:
        known = Codec(codec)
    except ValueError as error:
        raise UnknownFormat(f"unknown codec {codec}") from error
    named = sum(length for _, length in ranges)
    if min(size, payload, offset) < 0 or any(start < 0 or length <= 0 for start, length in ranges):
        raise Broken("a negative length")
    if known is Codec.COPY:
        sound = named == size and payload == 0
    else:
        sound = size <= FRAME_SIZE and named <= _MAX_REFERENCE_BYTES and payload <= size + (size >> 7) + 1024
        sound = sound and (known is not Codec.RAW or payload == size) and bool(ranges) == (known is Codec.ZSTD_PREFIX)
    if not sound or len(check) != 16:
        raise Broken("the lengths of a frame contradict each other")
    return Frame(known, size, payload, check, ranges, reference, offset)


def copy_frame(ranges: Sequence[tuple[int, int]], reference: int | None = None) -> Frame:
    """A frame that is a part of the reference; its bytes are checked by the reference's own digests."""
    return Frame(Codec.COPY, sum(n for _, n in ranges), 0, _ZERO_DIGEST, tuple(ranges), reference)


def may_be_container(size: int) -> bool:
    return size % MODULUS == RESIDUE


def spans(frames: Sequence[Frame], start: int, stop: int) -> Iterator[tuple[Frame, int, int]]:
    """The frames that hold logical bytes `start` to `stop`, each with the part of it that is wanted."""
    at = 0
    for frame in frames:
        end = at + frame.size
        if end > start and at < stop:
            yield frame, max(start - at, 0), min(stop, end) - at
        if end >= stop:
            return
        at = end


def _check_crc(data: Buffer, start: int, end: int) -> None:
    if len(data) < end + _CRC.size or _CRC.unpack_from(data, end)[0] != zlib.crc32(memoryview(data)[start:end]):
        raise Broken("a record fails its checksum")


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise Broken("a reference name is not UTF-8") from error
