"""How far large transfers are, on stderr, and only where somebody looks at a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

LARGE: Final = 64 << 20
"""Bytes; smaller objects are done before a bar could be read."""


class Meter:
    def __init__(self, *, quiet: bool) -> None:
        self._progress: Progress | None = None
        if sys.stderr.isatty() and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        if self._progress is None:
            yield
            return
        with self._progress:
            yield

    @contextmanager
    def bar(self, name: str, size: int | None) -> Iterator[Callable[[int], None]]:
        """Gives what is told of bytes as they pass."""
        progress = self._progress
        if progress is None or (size is not None and size <= LARGE):
            yield lambda _: None
            return
        task = progress.add_task(name, total=size)
        try:
            yield lambda count: progress.advance(task, count)
        finally:
            progress.remove_task(task)
