"""The signals that end a server wait while a worker begins: the HTTP server of a worker that gets one before it serves
blocks for ever. They are held from before the fork until the worker serves.
"""

import os
import signal
from typing import Final

ENDING: Final = (signal.SIGTERM, signal.SIGINT)


def hold_at_fork() -> None:
    """The child holds them until it calls `release`."""
    os.register_at_fork(before=_hold, after_in_parent=release)


def _hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def release() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
