"""`${env:NAME}` in the text of a configuration file, replaced before the text is parsed.

Textual, so that a value can become a number, a boolean or a list. One pass: what was inserted is not looked at again.
Lines that hold only a comment are left alone, so a commented example needs no variable.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_MARK = "\ue000{}\ue001"


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a text."""

    text: str
    """As written, `${env:NAME:-default}`."""
    name: str
    value: str


class Template(str):
    """A value with references, as it is to be written again.

    `source` has the quotes of the file around it. Others would not do: without them a value with ` #` in it loses its
    end, and within them a number becomes text.
    """

    __slots__ = ("source", "whole")

    source: str
    whole: bool
    """It is one reference and nothing else, and therefore shows no secret."""

    def __new__(cls, text: str, source: str = "", *, whole: bool = True) -> Self:
        made = super().__new__(cls, text)
        made.source = source or text
        made.whole = whole
        return made


@dataclass(frozen=True, slots=True)
class Problem:
    """A reference that cannot be resolved; positions count from 1."""

    line: int
    column: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Expansion:
    text: str
    marked: str
    """The same text with a unique mark for each reference, to learn which values are a reference as a whole."""
    references: Mapping[str, Reference]
    """By mark."""
    problems: tuple[Problem, ...]


def expand(text: str, environ: Mapping[str, str]) -> Expansion:
    """Resolve every reference; those that cannot be resolved stay in the text and are listed in `problems`."""
    plain: list[str] = []
    marked: list[str] = []
    references: dict[str, Reference] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if number > 1:
            plain.append("\n")
            marked.append("\n")
        for column, piece in _pieces(line):
            outcome = _resolve(piece, environ)
            if isinstance(outcome, Reference):
                mark = _MARK.format(len(references))
                references[mark] = outcome
                plain.append(outcome.value)
                marked.append(mark)
            elif isinstance(outcome, str):
                plain.append(outcome)
                marked.append(outcome)
            else:
                message, remedy = outcome
                problems.append(Problem(number, column, message, remedy))
                plain.append(piece)
                marked.append(piece)
    return Expansion("".join(plain), "".join(marked), references, tuple(problems))


def pieces(marked: str, references: Mapping[str, Reference]) -> list[str | Reference]:
    """A value of the marked text, cut where references stand; a single text if there are none."""
    cut = re.split(f"({_MARK.format('[0-9]+')})", marked)
    return [references.get(piece, piece) for piece in cut if piece]


def escape(text: str) -> str:
    """The text that `expand` turns back into `text`, whatever the environment. Only what must be escaped is."""
    return "\n".join("".join(_escaped(line)) for line in text.split("\n"))


def _escaped(line: str) -> Iterator[str]:
    if _is_comment(line):
        yield line
        return
    position = 0
    while (dollar := line.find("$", position)) >= 0:
        yield line[position:dollar]
        piece = _piece_at(line, dollar)
        if piece == "$" or (piece.startswith("${") and not piece.startswith("${env:") and _closed(piece)):
            yield piece
            position = dollar + len(piece)
        else:
            yield "$$"
            position = dollar + 1
    yield line[position:]


def _pieces(line: str) -> Iterator[tuple[int, str]]:
    """Pieces of a line with their column from 1: plain text, `$$`, or something that begins with `${`."""
    if _is_comment(line):
        yield 1, line
        return
    position = 0
    while (dollar := line.find("$", position)) >= 0:
        if dollar > position:
            yield position + 1, line[position:dollar]
        piece = _piece_at(line, dollar)
        yield dollar + 1, piece
        position = dollar + len(piece)
    if position < len(line):
        yield position + 1, line[position:]


def _is_comment(line: str) -> bool:
    return line.lstrip(" \t").startswith("#")


def _piece_at(line: str, dollar: int) -> str:
    follower = line[dollar + 1 : dollar + 2]
    if follower == "$":
        return "$$"
    if follower != "{":
        return "$"
    end = line.find("}", dollar)
    inner = line.find("${", dollar + 2)
    if end < 0 or 0 <= inner < end:
        return "${"
    return line[dollar : end + 1]


def _closed(piece: str) -> bool:
    return piece.endswith("}")


def _resolve(piece: str, environ: Mapping[str, str]) -> Reference | str | tuple[str, str]:
    """What stands for the piece, or message and remedy."""
    if piece == "$$":
        return "$"
    if piece == "${":
        return "this `${` is not closed on its line", "write `$$` for a dollar sign, or add the `}`"
    if not piece.startswith("${env:"):
        return piece
    name, separator, default = piece[len("${env:") : -1].partition(":-")
    if not _NAME.fullmatch(name):
        return f"{name!r} is no name of an environment variable", "write ${env:NAME} with letters, digits and `_`"
    value = environ.get(name) or (default if separator else "")
    if not value and not separator:
        state = "empty" if name in environ else "not set"
        return f"the environment variable {name} is {state}", f"set it, or write ${{env:{name}:-default}}"
    if _CONTROL.search(value):
        return (
            f"the environment variable {name} holds a line break or another control character",
            "such a value could change the structure of the file; store it without one",
        )
    return Reference(piece, name, value)
