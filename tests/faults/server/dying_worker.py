"""A program: the server, one of whose workers dies once, right after it has written the configuration file and before
it has told anybody. `DIES_ONCE` names the file that says that it has happened.
"""

import os
import signal
import sys
from pathlib import Path

from deltaglider_proxy.cli.main import run
from deltaglider_proxy.config.persist import persist
from deltaglider_proxy.server import configuration

REPLACED = "persist"


def dying(path: Path, text: str) -> None:
    persist(path, text)
    happened = Path(os.environ["DIES_ONCE"])
    if not happened.exists():
        happened.touch()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    setattr(configuration, REPLACED, dying)
    sys.exit(run(sys.argv[1:]))
