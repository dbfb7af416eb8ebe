"""Metadata on its way through HTTP headers, exactly.

A header carries printable ASCII and loses spaces at its ends; services and signatures disagree on the rest. AWS reads
UTF-8 as Latin-1 and returns an RFC 2047 word of that; others keep it, and some drop a value that is empty. So what a
service was not seen to keep goes as one such word, as do values that look like one. What other programs stored that way
is decoded alike. Where words are not needed they are not used: other programs would see them.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from quopri import decodestring
from typing import Final

from deltaglider_proxy.storage.backend import Metadata
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import MetadataTooLarge

USER: Final = "x-amz-meta-"
SYSTEM: Final = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
        "x-amz-website-redirect-location",
    }
)
_UNKNOWN: Final = Verdicts()
MAX: Final = 1536
"""Bytes of names and values as callers count them. S3 counts 2048 for user metadata, names without their prefix; base64
makes 4 bytes of 3 and an encoded word adds 12, which the prefix outweighs: an entry grows by no more than a third."""

_DEFAULT_TYPE: Final = "binary/octet-stream"
_PLAIN: Final = re.compile(r"(?!=\?)[!-~]+(?: [!-~]+)*")
_PRINTABLE: Final = re.compile(r"(?!=\?)[ -~]*")
_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_WORD: Final = re.compile(r"=\?([A-Za-z0-9_-]+)\?([BbQq])\?([!->@-~]*)\?=")
_WORDS: Final = re.compile(rf"{_WORD.pattern}(?:\s+{_WORD.pattern})*")


def to_headers(metadata: Metadata, verdicts: Verdicts = _UNKNOWN) -> dict[str, str]:
    """Raises MetadataTooLarge, also for a name that no header can have; ValueError for a header that is no metadata."""
    total = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if total > MAX:
        raise MetadataTooLarge(f"metadata: {total} bytes of names and values, more than {MAX}")
    headers = {"content-type": _DEFAULT_TYPE}
    for name, value in metadata.items():
        user = name.startswith(USER)
        if not user and name not in SYSTEM:
            raise ValueError(f"metadata {name!r}: S3 has no such header; put {USER} before the name")
        if not _NAME.fullmatch(name):
            raise MetadataTooLarge(f"metadata name {name!r}: an S3 service cannot hold it, it is no HTTP header name")
        plain = _is_plain(value, verdicts) if user else _PRINTABLE.fullmatch(value)
        headers[name] = value if plain else f"=?UTF-8?B?{b64encode(value.encode()).decode()}?="
    return headers


def _is_plain(value: str, verdicts: Verdicts) -> bool:
    """Whether the service returns this value of a client's own metadata as it is sent."""
    if not value:
        return verdicts.empty_values is Verdict.WORKS
    if value.isascii() or verdicts.utf8_values is not Verdict.WORKS:
        return _PLAIN.fullmatch(value) is not None
    return value.isprintable() and "" not in value.split(" ") and not value.startswith("=?")


def from_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The metadata among the headers of an answer. S3's own default type says nothing and is left out."""
    found = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(USER) or (lower in SYSTEM and (lower, value) != ("content-type", _DEFAULT_TYPE)):
            found[lower] = _decoded(value)
    return found


def _decoded(value: str) -> str:
    if not value.startswith("=?") or not _WORDS.fullmatch(value):
        return value
    try:
        return "".join(_decoded_word(*match.groups()) for match in _WORD.finditer(value))
    except (Base64Error, LookupError, UnicodeDecodeError):
        return value  # it only looks like one


def _decoded_word(charset: str, encoding: str, text: str) -> str:
    data = b64decode(text, validate=True) if encoding in "Bb" else decodestring(text.encode(), header=True)
    return data.decode(charset)
