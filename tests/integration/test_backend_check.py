"""`backend check` against a service, as an operator calls it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.main import run
from tests.support.storage.services.moto import moto
from tests.support.storage.services.service import Service
from tests.support.storage.services.versitygw import versitygw

_CONFIG = """\
storage:
  backends:
    - {{name: near, type: filesystem, path: {root}/near}}
{far}
access: {{access_key_id: DGPTESTACCESSKEY0000, secret_access_key: test-secret-key-of-forty-characters-0000}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with versitygw(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def config(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return _write_config(service, tmp_path)


def _write_config(service: Service, root: Path) -> str:
    text = _CONFIG.format(root=root, far=service.as_backend("far"))
    path = root / "config.yaml"
    path.write_text(text)
    return str(path)


def test_a_table(service: Service, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = service.new_bucket()
    assert run(["backend", "check", "--bucket", bucket, "-c", config]) == ExitCode.OK
    shown = capsys.readouterr()
    assert f"far: bucket {bucket}" in shown.out
    assert "create if absent" in shown.out
    assert "keys that S3 allows and this service refuses" in shown.err


def test_json(service: Service, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    bucket = service.new_bucket()
    assert run(["backend", "check", "far", "--json", "-b", bucket, "-b", "not-there", "-c", config]) == ExitCode.FAILED
    found, missing = json.loads(capsys.readouterr().out)
    assert (found["backend"], found["bucket"], found["ok"], found["compare_and_swap"]) == ("far", bucket, True, True)
    assert found["verdicts"]["odd_keys"]["verdict"] == "lacking"
    assert (missing["ok"], missing["error"]) == (False, "there is no such bucket")


def test_a_backend_that_is_not_configured(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backend", "check", "further", "-c", config]) == ExitCode.REJECTED
    assert "further" in capsys.readouterr().err


def test_folders_need_no_trial(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backend", "check", "near", "-c", config]) == ExitCode.OK
    assert "nothing to try" in capsys.readouterr().err


def test_the_secret_is_never_shown(service: Service, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(config).write_text(Path(config).read_text().replace(service.access_key, "wrong-key"))
    assert run(["backend", "check", "-c", config]) == ExitCode.FAILED
    shown = capsys.readouterr()
    assert "list the buckets" in shown.err
    assert service.secret_key not in shown.err + shown.out


def test_the_rules_of_all_buckets_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with moto(tmp_path / "moto") as service:
        client = service.client()
        for name in ("aaa-tried", "bbb-expires", "ccc-kept"):
            client.create_bucket(Bucket=name)
        client.put_bucket_lifecycle_configuration(
            Bucket="bbb-expires",
            LifecycleConfiguration={
                "Rules": [{"ID": "tidy", "Filter": {"Prefix": ""}, "Status": "Enabled", "Expiration": {"Days": 9}}]
            },
        )
        client.put_bucket_versioning(Bucket="ccc-kept", VersioningConfiguration={"Status": "Enabled"})
        config = _write_config(service, tmp_path)
        assert run(["backend", "check", "--json", "-c", config]) == ExitCode.REJECTED
    found = {each["bucket"]: each for each in json.loads(capsys.readouterr().out)}
    assert {name: each["tried"] for name, each in found.items()} == {
        "aaa-tried": True, "bbb-expires": False, "ccc-kept": False,
    }  # fmt: skip
    assert found["bbb-expires"]["lifecycle"] == ["rule 'tidy' (Expiration) applies to .deltaglider/"]
    assert {name: (each["ok"], each["deltas"], each["versioned"]) for name, each in found.items()} == {
        "aaa-tried": (True, True, False), "bbb-expires": (False, False, False), "ccc-kept": (True, True, True),
    }  # fmt: skip
