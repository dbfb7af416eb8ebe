"""A server that is told to stop while one of its workers is only beginning."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.server import Server

GRACE = 25.0
"""Seconds after which a worker that does not end is killed."""


def workers_of(server: Server) -> set[int]:
    assert server.process is not None
    command = ["ps", "-o", "pid=", "--ppid", str(server.process.pid)]
    return {int(pid) for pid in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()}


@pytest.mark.parametrize("later", [0.0, pytest.param(0.15, marks=pytest.mark.slow)])
def test_it_ends_without_waiting_for_the_grace(tmp_path: Path, later: float) -> None:
    with Server(tmp_path, workers=2) as server:
        before = workers_of(server)
        os.kill(min(before), signal.SIGKILL)
        server.wait_for(lambda: len(workers_of(server) - before) == 1)
        time.sleep(later)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < GRACE / 2
