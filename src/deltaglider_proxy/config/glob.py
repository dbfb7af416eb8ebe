"""Globs over whole keys, case-sensitive: `?`, `*` (also across `/`), `[a-z]`, `[!a-z]`, `{a,b}`, `**` as a component.

The rules are those of Rust's globset with its default options, which existing configurations were written for.
Source: https://docs.rs/globset/latest/globset/#syntax
"""

import re

from deltaglider_proxy.config.linear_regex import Compiled, NotARegex, compile_regex


class GlobError(ValueError):
    """The text is no glob; says why."""


def compile_glob(glob: str) -> Compiled:
    """A pattern to be used with `fullmatch`. Raises GlobError."""
    pieces: list[str] = []
    position = 0
    depth = 0
    while position < len(glob):
        character = glob[position]
        if character == "*":
            position, piece = _stars(glob, position)
        elif character == "[":
            position, piece = _character_class(glob, position)
        elif character == "\\":
            if position + 1 == len(glob):
                raise GlobError("ends with a single backslash")
            piece = re.escape(glob[position + 1])
            position += 2
        else:
            piece = re.escape(character)
            if character == "?":
                piece = "."
            elif character == "{":
                depth += 1
                piece = "(?:"
            elif character == "," and depth:
                piece = "|"
            elif character == "}":
                if not depth:
                    raise GlobError("has a `}` without `{`")
                depth -= 1
                piece = ")"
            position += 1
        pieces.append(piece)
    if depth:
        raise GlobError("has a `{` that is not closed")
    try:
        return compile_regex("".join(pieces), dot_all=True)
    except NotARegex as error:
        raise GlobError(f"cannot be used: {error}") from error


def _stars(glob: str, start: int) -> tuple[int, str]:
    end = start
    while end < len(glob) and glob[end] == "*":
        end += 1
    opens = start == 0 or glob[start - 1] == "/"
    if end - start != 2 or not opens:
        return end, ".*"
    if glob[end : end + 1] == "/":
        return end + 1, "(?:.*/)?"
    return end, ".*"


def _character_class(glob: str, start: int) -> tuple[int, str]:
    position = start + 1
    negated = glob[position : position + 1] in ("!", "^")
    position += negated
    end = glob.find("]", position + 1)
    if end < 0:
        raise GlobError("has a `[` that is not closed")
    pieces: list[str] = []
    while position < end:
        first = glob[position]
        if position + 2 < end and glob[position + 1] == "-":
            last = glob[position + 2]
            if last < first:
                raise GlobError(f"has the range `{first}-{last}`, which runs backwards")
            pieces.append(f"{re.escape(first)}-{re.escape(last)}")
            position += 3
        else:
            pieces.append(re.escape(first))
            position += 1
    return end + 1, f"[{'^' if negated else ''}{''.join(pieces)}]"
