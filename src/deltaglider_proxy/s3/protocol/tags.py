"""Tags of objects and buckets: how they are written in a header, and what is allowed in them.

Source: S3 User Guide, "Categorizing your objects using tags".
"""

import unicodedata
from collections.abc import Iterable
from urllib.parse import parse_qsl

from deltaglider_proxy.s3.protocol.errors import Code, S3Error

MAX_OBJECT_TAGS = 10
MAX_BUCKET_TAGS = 50
_MAX_KEY = 128
_MAX_VALUE = 256
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
    """`x-amz-tagging`, which is written like a query. Raises InvalidTag, InvalidArgument."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=200)
    except ValueError as error:
        raise S3Error(
            Code.InvalidArgument,
            "The header x-amz-tagging must be encoded as URL query parameters.",
            {"ArgumentName": "x-amz-tagging"},
        ) from error
    return check_tags(pairs)


def _legal(text: str) -> bool:
    return all(character in _PUNCTUATION or unicodedata.category(character)[0] in "LZNM" for character in text)


def _invalid(message: str, key: str) -> S3Error:
    return S3Error(Code.InvalidTag, message, {"TagKey": key[:256]})
