"""Tags of objects and buckets: how they are written in a header, and what is allowed in them.

Source: S3 User Guide, "Categorizing your objects using tags".
"""

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import parse_qsl

from deltaglider_proxy.s3.protocol.errors import Code, S3Error

MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
_MAX_KEY = 128
_MAX_VALUE = 256
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PUNCTUATION = frozenset("_.:/=+-@")


def check_tags(pairs: Iterable[tuple[str, str]], most: int = MAX_OBJECT_TAGS) -> dict[str, str]:
    """Raises InvalidTag."""
    tags: dict[str, str] = {}
    for key, value in pairs:
        if key in tags:
            raise _invalid("Cannot provide multiple Tags with the same key", key)
        if not key or len(key) > _MAX_KEY or not _legal(key):
            raise _invalid(f"The TagKey you have provided is invalid: 1 to {_MAX_KEY} letters, digits or _.:/=+-@", key)
        if key.startswith("aws:"):
            raise _invalid("System tags cannot be added by requester: the prefix aws: is reserved", key)
        if len(value) > _MAX_VALUE or not _legal(value):
            raise _invalid(f"The TagValue you have provided is invalid: at most {_MAX_VALUE} letters, digits …", key)
        tags[key] = value
        if len(tags) > most:
            raise S3Error(Code.InvalidTag, f"There may be at most {most} tags.")
    return tags


def parse_tagging_header(text: str) -> dict[str, str]:
    """`x-amz-tagging`, which is written like a query: `key` alone is a tag without a value, and nothing between two
    `&` is nothing. Raises InvalidTag, InvalidArgument.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError as error:
        raise _badly_encoded(text) from error
    keys = [key for key, _ in pairs]
    if "" in keys or len(set(keys)) < len(keys) or _BAD_ESCAPE.search(text):
        raise _badly_encoded(text)
    return check_tags(pairs)


def _badly_encoded(text: str) -> S3Error:
    return S3Error(
        Code.InvalidArgument,
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
        "duplicates.",
        {"ArgumentName": "x-amz-tagging", "ArgumentValue": text[:256]},
    )


def _legal(text: str) -> bool:
    return all(character in _PUNCTUATION or unicodedata.category(character)[0] in "LZNM" for character in text)


def _invalid(message: str, key: str) -> S3Error:
    return S3Error(Code.InvalidTag, message, {"TagKey": key[:256]})
