"""The canonical request of Signature Version 4, from the bytes that were received.

Paths and queries count as they were sent, since that is what most clients sign; some sign an encoding other than the
one they send, of the same resource, so that is tried next. S3 encodes paths once. Source: AWS documentation,
"Signature Version 4: create a canonical request".
"""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes


def alternatives(raw_path: bytes, query: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Canonical path and query: as sent, then with one or both encoded anew, each different pair once."""
    path = raw_path or b"/"
    pairs = _pairs(query) if query else []
    sent = _join(pairs)
    yield path, sent
    encoded = _join([(_encode(_spaces(name)), _encode(_spaces(value))) for name, value in pairs])
    encoded_path = _encode(path, "/")
    if encoded != sent:
        yield path, encoded
    if encoded_path != path:
        yield encoded_path, sent
        if encoded != sent:
            yield encoded_path, encoded


def _pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    """Without the signature of a presigned URL."""
    pairs = []
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if pair and name != b"X-Amz-Signature":
            pairs.append((name, value))
    return pairs


def _join(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Sorted by encoded name, then value."""
    return b"&".join([name + b"=" + value for name, value in sorted(pairs)])


def _spaces(part: bytes) -> bytes:
    return part.replace(b"+", b" ")


def _encode(part: bytes, safe: str = "") -> bytes:
    return quote_from_bytes(unquote_to_bytes(part), safe=safe).encode()


def canonical_headers(headers: Mapping[bytes, bytes], signed: Sequence[bytes]) -> bytes | None:
    """Lines of the signed headers; None if one of them is not there."""
    lines = []
    for name in signed:
        value = headers.get(name)
        if value is None:
            return None
        if b"  " in value or b"\t" in value:
            value = b" ".join(value.split())
        lines.append(name + b":" + value.strip() + b"\n")
    return b"".join(lines)
