"""Entity tags. Inside they have no quotes; clients send them quoted, bare, weak, or with HTML entities.
Source: RFC 9110 section 8.8.3; the tag of a multipart object is the MD5 of its parts' MD5s with the number of parts.
"""

import hashlib
from collections.abc import Sequence


def quote(etag: str) -> str:
    return f'"{etag}"'


def unquote(text: str) -> str:
    """A tag as a client wrote it, e.g. in the list of parts."""
    return text.strip().removeprefix("W/").replace("&quot;", '"').strip('"')


def multipart_etag(md5s: Sequence[str]) -> str:
    """From the MD5s of the parts in hex, in order."""
    joined = hashlib.md5(b"".join(map(bytes.fromhex, md5s)), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(md5s)}"
