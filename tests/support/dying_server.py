"""A program: the server, killed like by a power cut at one step of a restore, which `DIES_AT` names.

Workers are forks of this process, so what is replaced here is replaced in them.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from deltaglider_proxy.cli.main import run
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.server import configuration
from deltaglider_proxy.server.configuration import LiveConfiguration
from deltaglider_proxy.server.restore_journal import RestoreJournal

STEPS = {
    "before the journal": (RestoreJournal, "begin", True),
    "after the journal": (RestoreJournal, "begin", False),
    "in the transaction": (RestoreJournal, "mark", False),
    "after the transaction": (LiveConfiguration, "_switch", True),
    "before the file": (configuration, "persist", True),
    "after the file": (configuration, "persist", False),
    "before the hash": (bootstrap_hash, "replace_file", True),
    "after the hash": (bootstrap_hash, "replace_file", False),
    "before the end": (RestoreJournal, "end", True),
    "after the end": (RestoreJournal, "end", False),
}
"""Where, and whether before or after it."""


def die() -> None:
    server = os.getppid()
    os.kill(server, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def dying(step: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    def stepped(*arguments: Any, **options: Any) -> Any:
        if before:
            die()
        result = step(*arguments, **options)
        die()
        return result

    return stepped


if __name__ == "__main__":
    owner, name, before = STEPS[os.environ["DIES_AT"]]
    setattr(owner, name, dying(getattr(owner, name), before=before))
    sys.exit(run(sys.argv[1:]))
