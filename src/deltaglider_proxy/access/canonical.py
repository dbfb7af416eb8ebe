"""The canonical request of Signature Version 4, from the bytes that were received.

Paths and queries count as they were sent, since that is what most clients sign; `alternatives` names the other forms
that clients are known to sign, all of the same resource. S3 encodes paths once. Source: AWS documentation,
"Signature Version 4: create a canonical request".
"""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote_from_bytes, unquote_to_bytes

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def canonical_query(query: bytes) -> bytes:
    """Pairs sorted by encoded name, then value, without the signature of a presigned URL."""
    if not query:
        return b""
    return _join(
        (_encode(name.replace(b"+", b" ")), _encode(value.replace(b"+", b" "))) for name, value in _pairs(query)
    )


def _pairs(query: bytes) -> Iterator[tuple[bytes, bytes]]:
    for pair in query.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            if name != b"X-Amz-Signature":
                yield name, value


def _join(pairs: Iterator[tuple[bytes, bytes]]) -> bytes:
    return b"&".join([name + b"=" + value for name, value in sorted(pairs)])


def _encode(part: bytes, safe: str = "") -> bytes:
    if not part.translate(None, _UNRESERVED):
        return part
    return quote_from_bytes(unquote_to_bytes(part), safe=safe + "~").encode()


def alternatives(raw_path: bytes, query: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Canonical path and query in the order to try them, each different pair once."""
    path = raw_path or b"/"
    first = canonical_query(query)
    yield path, first
    encoded = _encode(path, "/")
    if encoded != path:
        yield encoded, first
    if query and (as_sent := _join(_pairs(query))) != first:
        yield path, as_sent


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
