"""Text inside XML and inside `encoding-type=url` listings.

Documents are formatted strings, so everything that a client may choose passes through here, and nowhere else. What
XML 1.0 cannot carry (a key may hold control characters) becomes a character reference, as S3 does it: a strict parser
refuses that, a lenient one reads it, and a client that has such keys asks for `encoding-type=url`.
"""

import re
from urllib.parse import quote

_SPECIAL = re.compile("[&<>\"'\x00-\x1f\x7f-\x9f\u2028\ud800-\udfff\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


def _reference(match: re.Match[str]) -> str:
    character = match.group()
    return _NAMED.get(character) or f"&#{ord(character)};"


def escape(text: str) -> str:
    """Text as the content of an element; line ends too, which a parser would otherwise normalise."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


_URL_SAFE = re.compile(r"[A-Za-z0-9_.~/-]*")


def url_encode(text: str) -> str:
    """A key as `encoding-type=url` carries it. A space is %20: decoders that know `+` and those that do not agree."""
    return text if _URL_SAFE.fullmatch(text) else quote(text, safe="/")
