"""Regular expressions of mapping rules: RE2, whose time grows with the text alone. With `re`, one rule and one address
that whoever signs in has chosen could hold up a worker for minutes.
"""

from functools import lru_cache
from typing import Final, Protocol

import re2

_MEMORY: Final = 1 << 20
"""Bytes that one expression may take."""


class NotARegex(ValueError):
    """Says why, in RE2's words."""


class _Compiled(Protocol):
    def search(self, text: str) -> object | None: ...


@lru_cache(256)
def compile_regex(pattern: str) -> _Compiled:
    """Raises NotARegex, also for what RE2 lacks: references to groups, and looking ahead and behind."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        compiled: _Compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise NotARegex(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from error
    return compiled


def found(pattern: str, email: str) -> bool:
    """False for what is no expression."""
    try:
        return compile_regex(pattern).search(email) is not None
    except NotARegex:
        return False
