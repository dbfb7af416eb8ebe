"""Results go to stdout, everything said about them to stderr."""

import os
import sys
from pathlib import Path

import typer

from deltaglider_proxy.cli.exit_codes import ExitCode


def result(text: str) -> None:
    """Print a result as it is. A reader that has gone away, as in `… | head`, ends the command quietly."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(ExitCode.OK) from None


def say(text: str) -> None:
    print(text, file=sys.stderr)


def save(path: Path, text: str) -> None:
    """Write a file that the operator named; ends the command if that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as failure:
        say(f"error: failed to write {path}: {failure.strerror or failure}")
        raise typer.Exit(ExitCode.IO) from None
