"""Markdown from values: tables, inline code, and the line that says a page is made."""

import re
from collections.abc import Iterable, Sequence

MADE = "*Made from the code by `python -m tools.reference_pages`.*"

_LONGEST_DEFAULT = 60


def page(title: str, *blocks: str) -> str:
    """A whole page; blocks are separated by an empty line, and empty ones left out."""
    return "\n\n".join([f"# {title}", *filter(None, blocks), MADE]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown in one line; see `cell`."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def cell(text: str) -> str:
    """Text for a table: on one line, with bars that end no cell."""
    return _escaped(re.sub(r"\s+", " ", text)).strip()


def code(text: str | None) -> str:
    return f"`{_escaped(text)}`" if text else ""


def default(text: str | None) -> str:
    """As code, if it is short."""
    return code(text) if text is None or len(text) <= _LONGEST_DEFAULT else "see there"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
