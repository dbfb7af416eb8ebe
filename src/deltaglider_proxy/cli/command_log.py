"""The log of a command that works in this process: on stderr, so that stdout holds results and nothing else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from deltaglider_proxy.telemetry.log_filter import parse
from deltaglider_proxy.telemetry.logs import Logs

# That a backend is away, or what its buckets do, is what a command itself tells.
_FILTER: Final = "warn,deltaglider_proxy.backends=off"


@contextmanager
def logged_on_stderr() -> Iterator[None]:
    logs = Logs.start(parse(_FILTER), stream=sys.stderr.buffer)
    try:
        yield
    finally:
        logs.stop()
