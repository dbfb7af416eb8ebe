"""The commands of the how-to pages are run as they stand there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GIVEN = re.compile(r"^export (SERVER|DGP_BOOTSTRAP_PASSWORD)=.*$", re.MULTILINE)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as running:
        running.client().create_bucket(Bucket="releases")
        yield running


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md")))
def test_every_command_works(page: str, server: Server, tmp_path: Path) -> None:
    text = (PAGES / page).read_text()
    blocks = _BLOCK.findall(text)
    assert len(blocks) > 3
    script = "set -euo pipefail\n" + "\n".join(_GIVEN.sub("", block) for block in blocks)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SERVER": server.endpoint,
        "DGP_BOOTSTRAP_PASSWORD": PASSWORD,
    }
    done = subprocess.run(
        ["bash", "-x", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"reason":"explicit_deny"' in done.stdout
    assert '"intact":true' in done.stdout
