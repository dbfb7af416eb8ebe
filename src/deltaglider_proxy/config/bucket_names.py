"""The rules for names of S3 buckets.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

import ipaddress
import re

_SHAPE = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REMEDY = "use 3-63 lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit"


def is_bucket_name(name: str) -> bool:
    if not _SHAPE.fullmatch(name) or ".." in name:
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False
