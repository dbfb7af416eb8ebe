"""What is written beside the bytes of an object, and how a client's view is read from it.

Client headers and metadata are the object's own metadata. One entry more, `x-amz-meta-dgp`, is our mark: format, object
id, and what a client must be told that the stored bytes do not say. What does not fit the backend goes to a side
object, written before, that the mark names.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import orjson

from deltaglider_proxy.engine import names
from deltaglider_proxy.engine.model import Attributes, Checksum, ChecksumAlgorithm, ChecksumType, Kind, ObjectInfo
from deltaglider_proxy.storage.backend import Metadata, Stored

_USER = "x-amz-meta-"
_MARK = "x-amz-meta-dgp"
_ESCAPE = "-c"
_MARK_LIMIT = 200


class UnknownMark(Exception):
    """Written by a later version; refusing is safer than guessing."""


@dataclass(frozen=True, slots=True)
class Mark:
    object_id: str
    kind: Kind
    size: int | None = None
    """Logical; None: that of the stored bytes."""
    etag: str | None = None
    """None: the backend's."""
    modified_ms: int | None = None
    """None: the backend's."""
    checksum: Checksum | None = None
    part_sizes: tuple[int, ...] = ()
    side: str | None = None
    """Random name below `names.SIDES`."""
    origin: str | None = None
    """The id that the object was written under; None: this one."""


def encode_mark(mark: Mark) -> str:
    words = ["1", mark.object_id, mark.kind.name[0].lower()]
    if mark.size is not None:
        words.append(f"s={mark.size}")
    if mark.etag is not None:
        words.append(f"e={mark.etag}")
    if mark.modified_ms is not None:
        words.append(f"t={mark.modified_ms}")
    if mark.side is not None:
        words.append(f"x={mark.side}")
    if mark.origin is not None:
        words.append(f"o={mark.origin}")
    if mark.checksum is not None:
        words.append(f"c={mark.checksum.algorithm}:{mark.checksum.type[0]}:{mark.checksum.value}")
    if mark.part_sizes:
        words.append(f"p={_pack_sizes(mark.part_sizes)}")
    return " ".join(words)


@lru_cache(4096)
def decode_mark(text: str) -> Mark:
    """Raises UnknownMark."""
    words = text.split(" ")
    if words[0] != "1" or len(words) < 3 or words[2] not in ("i", "d"):
        raise UnknownMark(text[:20])
    fields = dict(word.split("=", 1) for word in words[3:])
    size, modified = fields.get("s"), fields.get("t")
    return Mark(
        words[1],
        Kind.IDENTITY if words[2] == "i" else Kind.DELTA,
        int(size) if size is not None else None,
        fields.get("e"),
        int(modified) if modified is not None else None,
        _checksum(fields["c"]) if "c" in fields else None,
        _unpack_sizes(fields["p"]) if "p" in fields else (),
        fields.get("x"),
        fields.get("o"),
    )


def _checksum(text: str) -> Checksum:
    algorithm, kind, value = text.split(":", 2)
    types = {"F": ChecksumType.FULL_OBJECT, "C": ChecksumType.COMPOSITE}
    return Checksum(ChecksumAlgorithm(algorithm), value, types[kind])


def _pack_sizes(sizes: tuple[int, ...]) -> str:
    """Run lengths: parts are nearly always equal but for the last."""
    runs: list[list[int]] = []
    for size in sizes:
        if runs and runs[-1][0] == size:
            runs[-1][1] += 1
        else:
            runs.append([size, 1])
    return ",".join(f"{size}*{count}" if count > 1 else str(size) for size, count in runs)


def _unpack_sizes(text: str) -> tuple[int, ...]:
    sizes: list[int] = []
    for run in text.split(","):
        size, _, count = run.partition("*")
        sizes += [int(size)] * int(count or 1)
    return tuple(sizes)


def mark_of(stored: Stored) -> Mark | None:
    """Our mark; None for an object that somebody else placed there."""
    text = (stored.metadata or {}).get(_MARK)
    return decode_mark(text) if text is not None else None


def side_of(metadata: Metadata) -> str:
    """The storage key of the side object that an object with this metadata has."""
    return side_key(decode_mark(metadata[_MARK]).side or "")


def has_side(metadata: Metadata) -> bool:
    """Whether an object that is stored with this metadata needs a side object."""
    return decode_mark(metadata[_MARK]).side is not None


def pack(attributes: Attributes, mark: Mark, limit: int) -> tuple[Metadata, bytes | None]:
    """The metadata to store, and the content of the side object `mark.side` if not all fits into `limit` bytes.

    `mark.side` must name an unused side object; it is dropped from the mark when none is needed.
    """
    metadata = _inline(attributes, replace(mark, side=None))
    if _fits(metadata, limit):
        return metadata, None
    return promise(attributes, mark, 0), side_document(attributes, mark)


def promise(attributes: Attributes, mark: Mark, limit: int) -> Metadata:
    """The metadata of an object whose side object `mark.side` will be written before it is committed."""
    named = replace(mark, checksum=None, part_sizes=())
    metadata = _inline(attributes, named)
    return metadata if _fits(metadata, limit) else {_MARK: encode_mark(named)}


def side_document(attributes: Attributes, mark: Mark) -> bytes:
    """The content of the side object."""
    checksum = mark.checksum
    return orjson.dumps(
        {
            "headers": dict(attributes.headers),
            "user": dict(attributes.user_metadata),
            "checksum": [checksum.algorithm, checksum.type[0], checksum.value] if checksum else None,
            "parts": _pack_sizes(mark.part_sizes) if mark.part_sizes else "",
        }
    )


def _inline(attributes: Attributes, mark: Mark) -> dict[str, str]:
    user = {_USER + _escape(n): v for n, v in attributes.user_metadata.items()}
    return {**attributes.headers, **user, _MARK: encode_mark(mark)}


def _fits(metadata: Metadata, limit: int) -> bool:
    return _bytes(metadata) <= limit and len(metadata[_MARK]) <= _MARK_LIMIT


def describe(stored: Stored, key: str, side: bytes | None = None) -> ObjectInfo:
    """The client's view. `side` is the content of the side object, where the mark names one and it was fetched."""
    mark = mark_of(stored)
    metadata = stored.metadata or {}
    headers = {n: v for n, v in metadata.items() if not n.startswith(_USER)}
    if mark is None:
        user = {n[len(_USER) :]: v for n, v in metadata.items() if n.startswith(_USER)}
        return ObjectInfo(
            key, stored.size, stored.etag, stored.modified, headers, user,
            stored_size=stored.size, generation=stored.etag,
        )  # fmt: skip
    user = {_unescape(n[len(_USER) :]): v for n, v in metadata.items() if n.startswith(_USER) and n != _MARK}
    checksum, sizes = mark.checksum, mark.part_sizes
    if side is not None:
        document = orjson.loads(side)
        headers, user = document["headers"], document["user"]
        checksum = _checksum(":".join(document["checksum"])) if document["checksum"] else None
        sizes = _unpack_sizes(document["parts"]) if document["parts"] else ()
    return ObjectInfo(
        key,
        mark.size if mark.size is not None else stored.size,
        mark.etag or stored.etag,
        mark.modified_ms / 1000 if mark.modified_ms is not None else stored.modified,
        headers,
        user,
        checksum,
        sizes,
        kind=mark.kind,
        stored_size=stored.size,
        object_id=mark.object_id,
        origin=mark.origin or mark.object_id,
        generation=stored.etag,
    )


def _bytes(metadata: Metadata) -> int:
    """As JSON, which is how a file system keeps it and never less than the names and values alone."""
    return len(orjson.dumps(dict(metadata)))


def _escape(name: str) -> str:
    """A client may use the name of our mark: `dgp`, `dgp-c`, `dgp-c-c` ... each gain one suffix."""
    return name + _ESCAPE if _is_like_mark(name) else name


def _unescape(name: str) -> str:
    return name[: -len(_ESCAPE)] if name.endswith(_ESCAPE) and _is_like_mark(name) else name


def _is_like_mark(name: str) -> bool:
    return name.startswith("dgp") and not name[3:].replace(_ESCAPE, "")


def side_key(side: str) -> str:
    return names.SIDES + side


def remark(stored: Stored, mark: Mark) -> Metadata:
    """The metadata of `stored` under another mark; its side object, if any, stays in use."""
    return {**(stored.metadata or {}), _MARK: encode_mark(mark)}
