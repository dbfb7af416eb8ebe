"""`--init`: what is asked, and that what it writes can be started."""

import io
import stat
from pathlib import Path

import pytest

from deltaglider_proxy.cli.main import run
from deltaglider_proxy.config.auth_state import OpenAccess, SignedRequests
from deltaglider_proxy.config.load import LoadedConfig, lint, load

Captured = pytest.CaptureFixture[str]
FILE = Path("deltaglider_proxy.yaml")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    return run(["--init"])


def written(place: Path) -> LoadedConfig:
    assert lint(FILE, {}).errors == ()
    return load(None, None, {}, place)


DEFAULTS = [""] * 8


def test_all_defaults_can_be_started(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert answer(monkeypatch, *DEFAULTS, "", "", "") == 0
    config = written(place)
    assert isinstance(config.auth_state, SignedRequests)
    assert stat.S_IMODE(FILE.stat().st_mode) == 0o600
    out, err = capsys.readouterr()
    assert config.auth_state.secret_access_key.reveal() not in out + err
    assert "config lint deltaglider_proxy.yaml" in out
    assert "listen address [0.0.0.0:9000]: " in out
    assert "max delta ratio, 0 to 1 [0.75]: " in out


def test_every_answer_gets_into_the_file(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    lines = ["x.yaml", "127.0.0.1:1", "deltaglider_proxy=info", "s3", "http://minio:9000", "eu-1", "n", "bid", "b$s"]
    assert answer(monkeypatch, *lines, "0.5", "5000", "7", "y", "id", "${env:X}", "y") == 0
    config = load("x.yaml", None, {}, place)
    advanced, backend = config.settings.advanced, config.settings.storage.backend
    assert (str(advanced.listen_addr), advanced.log_level) == ("127.0.0.1:1", "deltaglider_proxy=info")
    assert (advanced.max_delta_ratio, advanced.max_object_size, advanced.cache_size_mb) == (0.5, 5000 << 20, 7)
    assert backend.type == "s3"
    assert (backend.endpoint, backend.region, backend.force_path_style) == ("http://minio:9000", "eu-1", False)
    assert (backend.access_key_id, backend.allow_local) == ("bid", True)
    assert backend.secret_access_key is not None
    assert backend.secret_access_key.reveal() == "b$s"
    assert isinstance(config.auth_state, SignedRequests)
    assert config.auth_state.secret_access_key.reveal() == "${env:X}"
    out, err = capsys.readouterr()
    assert "b$s" not in out + err
    assert "__redacted__" in out


def test_wrong_answers_are_asked_again(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    lines = ["c.toml", "missing/c.yaml", "", "localhost", "", "!!!x", "", "disk", "s3", "ftp://x", "", "", "maybe", ""]
    assert answer(monkeypatch, *lines, "", "2", "", "-1", "0", "", "", "", "id", "", "secret", "") == 0
    assert isinstance(written(place).auth_state, SignedRequests)
    assert capsys.readouterr().err.count("error: ") == 11


def test_open_access_has_to_be_asked_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(monkeypatch, *DEFAULTS, "n", "", "n", "y", "y") == 0
    assert isinstance(written(place).auth_state, OpenAccess)


def test_a_file_that_exists_is_overwritten_only_if_that_is_wanted(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    FILE.write_text("mine")
    FILE.chmod(0o644)
    assert answer(monkeypatch, "", "") == 0
    assert "Cancelled." in capsys.readouterr().out
    assert FILE.read_text() == "mine"
    assert answer(monkeypatch, "", "y", *DEFAULTS[1:], "", "", "") == 0
    assert isinstance(written(place).auth_state, SignedRequests)
    assert stat.S_IMODE(FILE.stat().st_mode) == 0o600


def test_a_preview_may_be_declined(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert answer(monkeypatch, *DEFAULTS, "", "", "n") == 0
    assert "Cancelled. No file written." in capsys.readouterr().out
    assert not FILE.exists()


@pytest.mark.parametrize("count", range(11))
def test_no_more_answers_means_no_file(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    assert answer(monkeypatch, *[""] * count) == 1
    assert not FILE.exists()


def test_a_place_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert answer(monkeypatch, "/proc/x.yaml", *DEFAULTS[1:], "", "", "") == 3
    assert "failed to write /proc/x.yaml" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["-c", "x.yaml", "--init"], ["--init", "--version"], ["--init", "init"]])
def test_it_stands_alone(arguments: list[str]) -> None:
    assert run(arguments) == 2
