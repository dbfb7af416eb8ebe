r"""Keys that S3 allows and services may not: which kinds there are, and which of them a service holds.

What stores objects as files resolves `.` and `..`, joins `//` and may take `\` for `/`, so that one key overwrites
another. What lists in XML without `encoding-type=url` cannot say control characters: one such object, listed under
another key or not at all, makes every listing of its bucket fail. So keys of a kind are refused when they are put,
unless a probe has seen that the service holds it. XML 1.0, production 2 (Char) and section 2.11 (End-of-Line Handling).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts

_PLAIN: Final = re.compile(r"(?!\.{1,2}(?:/|$))[^/](?:(?!/\.{0,2}(?:/|$)).)*/?", re.DOTALL)
"""Keys without empty, `.` and `..` components, but for a `/` at the end."""
_BLANK: Final = re.compile("[\t\n\r]")
_CONTROL: Final = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\ufffd-\uffff]")
"""What XML cannot say, and U+FFFD, which encoders put in its place."""

_NEEDED: Final[Mapping[str, Callable[[str], bool]]] = {
    "odd_keys": lambda key: _PLAIN.fullmatch(key) is None,
    "backslashes": lambda key: "\\" in key,
    "line_breaks": lambda key: _BLANK.search(key) is not None,
    "control_characters": lambda key: _CONTROL.search(key) is not None,
}
"""Verdicts that must be WORKS, and for which keys."""


def holder(verdicts: Verdicts) -> Callable[[str], bool]:
    """Whether the service holds a key as an object of its own, as far as its kind says."""
    strange = [is_one for name, is_one in _NEEDED.items() if getattr(verdicts, name) is not Verdict.WORKS]
    return lambda key: not any(is_one(key) for is_one in strange)
