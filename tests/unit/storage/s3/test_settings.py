"""What operators say about a service in the environment reaches the backend."""

from pathlib import Path

import pytest

from deltaglider_proxy.config import load as loading
from deltaglider_proxy.server.from_config import CannotStart, settings_of
from deltaglider_proxy.storage.backends.s3.settings import S3Settings

_CONFIG = """\
access: {authentication: none}
storage:
  backend: {type: s3, endpoint: "https://s3.example.com", access_key_id: key, secret_access_key: secret}
"""
TIMES = {
    "DGP_S3_CONNECT_TIMEOUT_SECS": "3",
    "DGP_S3_READ_TIMEOUT_SECS": "4",
    "DGP_S3_OPERATION_ATTEMPT_TIMEOUT_SECS": "50",
    "DGP_S3_STALL_GRACE_SECS": "6",
}


def service(folder: Path, environ: dict[str, str], more: str = "") -> S3Settings:
    config = folder / "config.yaml"
    config.write_text(_CONFIG + more)
    [found] = settings_of(loading.load(str(config), None, environ, folder), verbose=False).storage.services
    return found.settings


def times(settings: S3Settings) -> tuple[float, float, float, float]:
    return settings.connect_timeout, settings.read_timeout, settings.deadline, settings.idle_timeout


def test_each_time_reaches_the_backend(tmp_path: Path) -> None:
    assert times(service(tmp_path, TIMES)) == (3, 4, 50, 6)


def test_what_holds_if_nothing_is_said_is_the_same_without_a_configuration(tmp_path: Path) -> None:
    assert times(service(tmp_path, {})) == times(S3Settings(tmp_path)) == (10, 60, 300, 20)


def test_garbage_collection_must_not_overtake_a_request(tmp_path: Path) -> None:
    slow = {"DGP_S3_OPERATION_ATTEMPT_TIMEOUT_SECS": "901"}
    with pytest.raises(CannotStart, match=r"DGP_S3_OPERATION_ATTEMPT_TIMEOUT_SECS: 901 s .* \(3600 s\)"):
        service(tmp_path, slow, "advanced: {gc_grace: 1h}\n")
    assert service(tmp_path, slow).deadline == 901
