"""The how-to pages are run as they stand there: every `sh` block, in order, in one shell, against its own server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.server import ACCESS_KEY, PASSWORD, SECRET_KEY, Server

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GIVEN = re.compile(r"^export (SERVER|DGP_BOOTSTRAP_PASSWORD)=.*$", re.MULTILINE)
_SHOWN: Mapping[str, tuple[str, ...]] = {
    "administer.md": ('"reason":"explicit_deny"', '"intact":true'),
    "set-up-a-bucket.md": ('"total_objects":2', "make_bucket: firmware"),
    "troubleshoot.md": ('"status":"healthy"', '"status":"ready"', "deltaglider_cache_max_bytes"),
}
"""What the commands of a page must have printed, beside ending well."""


def _blocks(page: str) -> list[str]:
    return _BLOCK.findall((PAGES / page).read_text())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as running:
        running.client().create_bucket(Bucket="releases")
        yield running


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md") if _blocks(path.name)))
def test_every_command_works(page: str, server: Server, tmp_path: Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(_GIVEN.sub("", block) for block in _blocks(page))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SERVER": server.endpoint,
        "DGP_BOOTSTRAP_PASSWORD": PASSWORD,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
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
    for shown in _SHOWN.get(page, ()):
        assert shown in done.stdout


def test_pages_with_an_expectation_exist() -> None:
    assert all((PAGES / page).is_file() for page in _SHOWN)
