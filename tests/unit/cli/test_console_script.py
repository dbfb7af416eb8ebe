"""The installed program, as a shell would run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.config import samples

SCRIPT = Path(sys.executable).with_name("deltaglider_proxy")
ENVIRON = {"PATH": os.environ["PATH"]}


def run(place: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=place, env=ENVIRON, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (samples.S3, 0),
        (samples.FILESYSTEM, 0),
        (samples.SYNC, 0),
        (None, 3),
        ("a: [", 4),
        ("storage: {default_backend: x}", 6),
    ],
)
def test_lint(tmp_path: Path, text: str | None, code: int) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    ended = run(tmp_path, "config", "lint", "config.yaml")
    assert (ended.returncode, ended.stdout) == (code, "")


def test_usage(tmp_path: Path) -> None:
    assert run(tmp_path, "--nonsense").returncode == 2


def test_a_start_without_a_decision_about_access(tmp_path: Path) -> None:
    (tmp_path / "deltaglider_proxy.yaml").write_text("{}")
    ended = run(tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: neither a key pair nor open access")


def test_the_module_is_the_same_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deltaglider_proxy", "--version"]
    ended = subprocess.run(command, cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, check=False, timeout=60)
    assert ended.stdout == run(tmp_path, "--version").stdout


def test_help_does_not_load_the_server(tmp_path: Path) -> None:
    code = (
        "import sys; from deltaglider_proxy.cli.main import run; run(['--help']); "
        "sys.exit(bool({'pydantic', 'numpy', 'granian', 'deltaglider_proxy.server'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=ENVIRON, capture_output=True, check=False)
    assert ended.returncode == 0


def test_a_reader_that_goes_away_ends_the_program_quietly(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [str(SCRIPT), "config", "schema"], cwd=tmp_path, env=ENVIRON, stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")
