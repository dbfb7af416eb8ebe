import json
import re
import stat
from importlib.metadata import version
from pathlib import Path

import pytest

from deltaglider_proxy.cli.main import run
from deltaglider_proxy.config.auth_state import SignedRequests
from deltaglider_proxy.config.environment import dotenv
from deltaglider_proxy.config.load import LoadedConfig, Sources, load
from deltaglider_proxy.config.schema import schema
from deltaglider_proxy.server import process
from tests.unit.config import samples

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and an environment of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("DGP_CONFIG", "DGP_ACCESS_KEY_ID", "DGP_SECRET_ACCESS_KEY", "DGP_AUTHENTICATION", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DGP_TRUST_PROXY_HEADERS", "true")
    monkeypatch.setenv("DGP_TRUSTED_PROXY_CIDRS", "10.0.0.0/8")
    return tmp_path


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("ok.yaml", samples.S3, 0),
        ("ok.yaml", samples.FILESYSTEM, 0),
        ("ok.yaml", samples.SYNC, 0),
        ("ok.toml", samples.FLAT_TOML, 0),
        ("missing.yaml", None, 3),
        ("broken.yaml", "a: [", 4),
        ("unknown.yaml", "storag: {}", 4),
        ("reference.yaml", "access: {access_key_id: '${env:DGP_NOT_SET}'}", 4),
        ("filter.yaml", "advanced: {log_level: '!!!x'}", 6),
        ("backend.yaml", "storage: {buckets: {abc: {backend: eu}}}", 6),
    ],
)
def test_lint_exits(name: str, text: str | None, code: int, capsys: Captured) -> None:
    if text is not None:
        write(name, text)
    assert run(["config", "lint", name]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert name in err


def test_lint_speaks_of_a_clean_file(capsys: Captured) -> None:
    write("c.yaml", "access: {access_key_id: a, secret_access_key: b}\n")
    assert run(["config", "lint", "c.yaml"]) == 0
    assert capsys.readouterr().err == "c.yaml: ok\n"


def test_lint_lists_and_counts_warnings(capsys: Captured) -> None:
    write("c.yaml", "access: {authentication: none}\nadvanced: {max_object_size: 0}\n")
    assert run(["config", "lint", "c.yaml"]) == 0
    err = capsys.readouterr().err
    assert "warning: line 2, column 12: advanced.max_object_size" in err
    assert err.endswith("c.yaml: ok with 1 warning(s)\n")


def test_lint_lists_and_counts_errors(capsys: Captured) -> None:
    write("c.yaml", "storage: {default_backend: x}\nadvanced: {gc_grace: 1s}\n")
    assert run(["config", "lint", "c.yaml"]) == 6
    err = capsys.readouterr().err
    assert err.count("error: c.yaml: line ") == 2
    assert err.endswith("c.yaml: rejected — 2 error(s)\n")


def test_lint_reports_as_json(capsys: Captured) -> None:
    write("c.yaml", "storage:\n  default_backend: x\n")
    assert run(["config", "lint", "--json", "c.yaml"]) == 6
    report = json.loads(capsys.readouterr().out)
    assert (report["file"], report["ok"], report["exit"]) == ("c.yaml", False, 6)
    assert [(error["path"], error["line"]) for error in report["errors"]] == [("storage.default_backend", 2)]
    assert [warning["path"] for warning in report["warnings"]] == ["access"]


@pytest.mark.parametrize(
    "arguments",
    [["config", "lint"], ["-c", "other.yaml", "config", "lint"], ["config", "lint", "-c", "other.yaml"]],
)
def test_lint_finds_the_file_that_a_server_would_use(arguments: list[str], capsys: Captured) -> None:
    write("deltaglider_proxy.yaml", samples.FILESYSTEM)
    write("other.yaml", "a: [")
    assert run(arguments) == (4 if "-c" in arguments else 0)
    assert ("other.yaml" in capsys.readouterr().err) == ("-c" in arguments)


@pytest.mark.parametrize("what", ["schema", "defaults"])
def test_schema_and_defaults(what: str, capsys: Captured) -> None:
    assert run(["config", what]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == schema()
    assert err == ""
    assert run(["config", what, "--out", "s.json"]) == 0
    assert capsys.readouterr() == ("", f"wrote {what} to s.json\n")
    assert json.loads(Path("s.json").read_text()) == schema()


def test_schema_that_cannot_be_written(capsys: Captured) -> None:
    assert run(["config", "schema", "--out", "missing/s.json"]) == 3
    assert "error: failed to write missing/s.json" in capsys.readouterr().err


def test_init_writes_a_file_that_starts(place: Path, capsys: Captured) -> None:
    assert run(["init"]) == 0
    path = Path("deltaglider_proxy.yaml")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    state = load(None, None, {}, place).auth_state
    assert isinstance(state, SignedRequests)
    out, err = capsys.readouterr()
    assert state.secret_access_key.reveal() not in out + err
    assert "config lint deltaglider_proxy.yaml" in out


def test_init_names_the_file_in_the_next_step(capsys: Captured) -> None:
    assert run(["init", "--path", "x.yaml"]) == 0
    assert "deltaglider_proxy --config x.yaml" in capsys.readouterr().out


def test_init_never_overwrites(capsys: Captured) -> None:
    write("deltaglider_proxy.yaml", "mine")
    assert run(["init"]) == 6
    assert Path("deltaglider_proxy.yaml").read_text() == "mine"
    assert "--path" in capsys.readouterr().err


def test_init_into_a_missing_directory(capsys: Captured) -> None:
    assert run(["init", "--path", "missing/c.yaml"]) == 3
    assert "failed to write" in capsys.readouterr().err


def test_init_writes_no_toml(capsys: Captured) -> None:
    assert run(["init", "--path", "c.toml"]) == 2
    assert not Path("c.toml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["nonsense"],
        ["--version", "--show-env"],
        ["--version", "config", "lint"],
        ["--show-env", "init"],
        ["--listen", "127.0.0.1:1", "init"],
        ["-c", "x.yaml", "init"],
        ["-c", "x.yaml", "config", "schema"],
        ["init", "-c", "x.yaml"],
        ["--listen", "localhost:9000"],
        ["config", "lint", "a", "b"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: Captured) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error:" in err
    assert not list(Path().iterdir())


def test_version(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"deltaglider_proxy {version('deltaglider-proxy')} (built unknown)\n"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert run(["-V", "-v"]) == 0
    first, codecs = capsys.readouterr().out.splitlines()
    assert first.endswith("(built 2023-11-14T22:13:20Z)")
    assert re.fullmatch("codecs: .*zstd.*", codecs)


def test_show_env(capsys: Captured) -> None:
    assert run(["--show-env"]) == 0
    assert capsys.readouterr().out == dotenv()


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str, capsys: Captured) -> None:
    assert run([option]) == 0
    assert "--config" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: [", "not valid YAML"),
        ("storage: {backend: {type: filesystem, path: ..}}", "storage.backend.path"),
        ("{}", "neither a key pair nor open access"),
        ("access: {access_key_id: a}", "only half a key pair"),
    ],
)
def test_a_start_that_fails_says_why(text: str, word: str, capsys: Captured) -> None:
    write("deltaglider_proxy.yaml", text)
    assert run([]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert "Traceback" not in err


def test_the_server_gets_what_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    write("c.yaml", "access: {authentication: none}\n")
    started: list[tuple[LoadedConfig, bool]] = []

    def serve(loaded: LoadedConfig, _: Sources, *, verbose: bool) -> int:
        started.append((loaded, verbose))
        return 7

    monkeypatch.setattr(process, "run", serve)
    assert run(["-c", "c.yaml", "-l", "127.0.0.1:1234", "-v"]) == 7
    [(loaded, verbose)] = started
    assert (loaded.settings.advanced.listen_addr.port, verbose) == (1234, True)


def test_an_unexpected_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    write("c.yaml", "access: {authentication: none}\n")

    def fail(loaded: LoadedConfig, _: Sources, *, verbose: bool) -> int:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(process, "run", fail)
    assert run(["-c", "c.yaml"]) == 1
    assert capsys.readouterr().err == "error: RuntimeError: the disk is on fire\n"
    assert run(["-c", "c.yaml", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err
