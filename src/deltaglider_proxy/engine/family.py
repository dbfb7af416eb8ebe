"""Which keys are likely to resemble one another: a deltaspace is a family of names, not a folder.

The parts of a key that look like versions (numbers, dates, digests, pre-release tags) are replaced by a placeholder, so
`fw-1.4.0.tar` meets `fw-1.4.1.tar` and `1.2.3/app.zip` meets `1.2.4/app.zip`. A wrong guess costs a look at a sketch.
"""

import hashlib
import re

_DIGEST = r"(?<![0-9a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{7,128}(?![0-9a-f])"
_TAG = r"(?:alpha|beta|canary|dev|ga|nightly|post|pre|rc|snapshot|a|b|c)(?![a-z])"
_DOTTED = rf"(?<![a-z0-9])v?[0-9]+(?:[._+-]?(?:[0-9]+|{_TAG}))*"
_VERSION = re.compile(f"{_DIGEST}|{_DOTTED}|[0-9]+", re.IGNORECASE)
_PLACEHOLDER = "\0"


def family_of(key: str) -> str:
    """The key with its version-like runs replaced."""
    return _VERSION.sub(_PLACEHOLDER, key)


def deltaspace_of(key: str, *, by_prefix: bool) -> str:
    """128 bits in hex; of the family alone, so that a bucket can be renamed or moved."""
    family = key.rpartition("/")[0] if by_prefix else family_of(key)
    return hashlib.blake2b(family.encode(), digest_size=16).hexdigest()
