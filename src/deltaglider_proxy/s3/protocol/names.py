"""Which bucket names are legal: the DNS rules of S3, and nothing that could be read as an IP address.

Storage relies on it: a bucket name that passes is a safe file name. Source: Amazon S3 User Guide, "General purpose
bucket naming rules".
"""

import re
from functools import lru_cache

from deltaglider_proxy.s3.protocol.errors import Code, S3Error

_LABELS = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


@lru_cache(4096)
def is_bucket_name(name: str) -> bool:
    """Resolvers read `127.1`, `0x7f.1` and `10.0.0.1` as addresses, so such names are not buckets."""
    if not 3 <= len(name) <= 63 or name.startswith("xn--") or _LABELS.fullmatch(name) is None:
        return False
    labels = name.split(".")
    return len(labels) not in (2, 4) or not all(map(_NUMBER.fullmatch, labels))


def check_bucket_name(name: str) -> None:
    """Raises InvalidBucketName."""
    if len(name) > 63 or not is_bucket_name(name):
        raise S3Error(Code.InvalidBucketName, fields={"BucketName": name})
