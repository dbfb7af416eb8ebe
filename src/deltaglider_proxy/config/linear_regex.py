"""Regular expressions that strangers' texts are compared with: RE2, whose time grows with the text alone.

With `re`, an operator's expression of a few stars and a text that somebody has chosen for it hold up a worker for
minutes.
"""

from functools import lru_cache
from typing import Final, Protocol

import re2

_MEMORY: Final = 1 << 20
"""Bytes that one expression may take."""


class NotARegex(ValueError):
    """Says why, in RE2's words."""


class Compiled(Protocol):
    def search(self, text: str) -> object | None: ...

    def fullmatch(self, text: str) -> object | None: ...


@lru_cache(256)
def compile_regex(pattern: str, *, dot_all: bool = False) -> Compiled:
    """Raises NotARegex, also for what RE2 lacks: references to groups, and looking ahead and behind."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.dot_nl = dot_all
    try:
        compiled: Compiled = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise NotARegex(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from error
    return compiled
