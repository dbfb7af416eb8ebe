"""A server that is told to stop while one of its workers is only beginning."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.server import Server

GRACE = 25.0
"""Seconds after which a worker that does not end is killed."""


@pytest.mark.parametrize("later", [0.0, pytest.param(0.15, marks=pytest.mark.slow)])
def test_it_ends_without_waiting_for_the_grace(tmp_path: Path, later: float) -> None:
    with Server(tmp_path, workers=2) as server:
        before = server.worker_ids()
        os.kill(min(before), signal.SIGKILL)
        server.wait_for(lambda: len(server.worker_ids() - before) == 1)
        time.sleep(later)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < GRACE / 2
