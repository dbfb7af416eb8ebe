r"""Keys that S3 allows and services may not: which kinds there are, and which of them a service holds.

What stores objects as files resolves `.` and `..`, joins `//` and may take `\` for `/`, so that one key overwrites
another. What lists in XML without `encoding-type=url` cannot say control characters: one such object, listed under
another key or not at all, makes every listing of its bucket fail. So keys of a kind that a service does not hold are
refused when they are put. XML 1.0, production 2 (Char) and section 2.11 (End-of-Line Handling).
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


def judge_of(verdicts: Verdicts) -> Callable[[str], Verdict]:
    """Whether the service holds a key as an object of its own, as far as its kind says."""
    known = [(getattr(verdicts, name), is_one) for name, is_one in _NEEDED.items()]
    doubtful = [(verdict, is_one) for verdict, is_one in known if verdict is not Verdict.WORKS]

    def judge(key: str) -> Verdict:
        found = {verdict for verdict, is_one in doubtful if is_one(key)}
        if Verdict.LACKING in found:
            return Verdict.LACKING
        return Verdict.UNTESTED if found else Verdict.WORKS

    return judge
