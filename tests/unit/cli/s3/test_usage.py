"""What a command line is refused for before anything is connected to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from deltaglider_proxy.cli.main import run


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder and an environment of its own, with keys for nowhere."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DGP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("cp file folder", 2),
        ("cp folder s3://releases/a", 2),
        ("cp -r file s3://releases/a", 2),
        ("cp s3://releases/a/ folder", 2),
        ("cp s3://releases folder", 2),
        ("cp -r s3://releases/a file", 2),
        ("cp nothing s3://releases/a", 3),
        ("cp - s3://releases", 2),
        ("cp - s3://releases/a/", 2),
        ("cp -r - s3://releases/a", 2),
        ("cp file gs://releases/a", 2),
        ("cp file s3://a/b", 4),
        ("cp file s3://releases/a --include [", 2),
        ("cp file s3://releases/a --metadata x", 2),
        ("cp file s3://releases/a --max-ratio 1.5", 2),
        ("cp file s3://releases/a --max-object-size-mb 0", 2),
        ("cp file", 2),
        ("sync folder folder", 2),
        ("sync file s3://releases", 2),
        ("sync nothing s3://releases", 2),
        ("sync s3://releases file", 2),
        ("rm s3://releases", 2),
        ("rm file", 2),
        ("rm -r s3://releases", 2),
        ("ls releases", 2),
        ("ls s3://releases --page-size 1001", 2),
        ("migrate file s3://releases", 2),
        ("stats s3://releases/key", 2),
        ("stats releases --quick --detailed", 2),
        ("stats releases --refresh --no-cache", 2),
        ("verify s3://releases", 2),
        ("purge s3://releases/key", 2),
        ("put-bucket-acl releases", 2),
        ("put-bucket-acl releases --acl public", 2),
        ("put-bucket-acl releases --acl private --grant-read id=1", 2),
        ("get-bucket-acl s3://releases/key", 2),
        ("ls --endpoint-url http://169.254.169.254", 2),
        ("ls --profile nobody", 7),
        ("ls --access-key-id only", 2),
        ("ls", 5),
        ("ls s3://releases", 5),
        ("stats releases", 5),
    ],
)
def test_exit_codes(line: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["s3", *line.split()]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "rror" in err
    assert "a-secret-key" not in err


def test_a_configuration_file_is_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "x.yaml", "s3", "ls"]) == 2
    assert "--config" in capsys.readouterr().err


def test_the_secret_of_the_command_line_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["s3", "ls", "--access-key-id", "a", "--secret-access-key", "very-secret"]) == 5
    err = capsys.readouterr().err
    assert "list of processes" in err
    assert "very-secret" not in err
