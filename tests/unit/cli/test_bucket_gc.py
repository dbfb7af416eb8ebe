"""`bucket gc` where a backend does not answer: told, without a traceback, and the other buckets are collected."""

import json
from pathlib import Path

import pytest

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.main import run

_CONFIG = """\
access: {authentication: none}
advanced: {cache_dir: cache}
storage:
  default_backend: near
  backends:
    - {name: near, type: filesystem, path: near}
    - {name: far, type: s3, endpoint: "http://127.0.0.1:1", access_key_id: a, secret_access_key: b, allow_local: true}
  buckets: {away: {backend: far}}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "near" / "here").mkdir(parents=True)
    path = tmp_path / "config.yaml"
    path.write_text(_CONFIG)
    return str(path)


@pytest.mark.parametrize(
    ("buckets", "status", "failed"),
    [(["away", "here"], ExitCode.MIXED, ["away"]), (["away"], ExitCode.REMOTE, ["away"])],
)
def test_the_others_are_collected(
    config: str, buckets: list[str], status: ExitCode, failed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bucket", "gc", "--now", "--json", "-c", config, *buckets]) == status
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert list(found) == buckets
    assert [name for name, report in found.items() if "error" in report] == failed
    assert "error: away: " in shown.err
    assert "Traceback" not in shown.err
