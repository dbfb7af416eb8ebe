"""The Dockerfile, the compose file and the unit, as far as they can be checked without an engine that runs them."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from ruamel.yaml import YAML

from deltaglider_proxy.config.environment import VARIABLES
from tests.deploy.folder import DEPLOY, REPOSITORY
from tests.support import programs

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
KNOWN = {variable.name for variable in VARIABLES}
VARIABLE = re.compile(r"\bDGP_[A-Z0-9_]+")
SET_OUTSIDE = {"DGP_IMAGE"}
"""Of the compose file, not of the server."""


def compose() -> Any:
    return YAML(typ="safe").load((DEPLOY / "docker-compose.yaml").read_text())["services"]["deltaglider_proxy"]


def unit() -> list[tuple[str, str]]:
    lines = (DEPLOY / "systemd" / "deltaglider_proxy.service").read_text().splitlines()
    return [(name, value) for name, sign, value in (line.partition("=") for line in lines) if sign and name[0] != "#"]


def test_the_dockerfile_has_no_findings() -> None:
    done = subprocess.run(
        [programs.beside_python("hadolint"), "--format", "json", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout) == []
    assert done.returncode == 0


def test_the_image_runs_as_nobody_in_particular_where_it_keeps_its_state() -> None:
    last = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    for line in ("USER 999:999", "WORKDIR /data", "VOLUME /data", "EXPOSE 9000", "--gid 999", "--uid 999"):
        assert line in last
    assert "HEALTHCHECK --interval=15s --timeout=3s" in last
    assert not re.search(r"(?i)(password|secret|token)\w*=", last)


def test_only_what_is_built_goes_to_the_builder() -> None:
    listed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert listed[0] == "*"
    named = [line[1:] for line in listed if line.startswith("!")]
    assert all((REPOSITORY / name).exists() for name in named)
    assert not {"tests", "data", ".git", "deltaglider_proxy.yaml"} & set(named)


@pytest.mark.parametrize(
    "path", ["docker/Dockerfile", "docker/entrypoint.sh", "docker-compose.yaml", "systemd/env.example",
             "helm/deltaglider-proxy/values.yaml", "helm/deltaglider-proxy/templates/deployment.yaml"]
)  # fmt: skip
def test_only_variables_that_there_are_are_set(path: str) -> None:
    assert set(VARIABLE.findall((DEPLOY / path).read_text())) <= KNOWN | SET_OUTSIDE


def test_traefik_finds_the_server() -> None:
    labels = compose()["labels"]
    assert labels == {
        "traefik.enable": "true",
        "traefik.http.routers.dgp.rule": "Host(`dgp.example.com`)",
        "traefik.http.routers.dgp.entrypoints": "websecure",
        "traefik.http.routers.dgp.tls.certresolver": "letsencrypt",
        "traefik.http.services.dgp.loadbalancer.server.port": "9000",
    }


def test_the_composed_service_can_write_its_volume_only() -> None:
    service = compose()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == ["data:/data"]
    assert service["environment"]["DGP_TRUST_PROXY_HEADERS"] == "true"
    assert "ports" not in service, "only the reverse proxy is reached from outside"


def test_the_unit_is_what_systemd_understands() -> None:
    if shutil.which("systemd-analyze") is None:
        programs.unavailable("systemd-analyze is not on the PATH")
    path = DEPLOY / "systemd" / "deltaglider_proxy.service"
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if path.name in line and "is not executable" not in line]
    assert said == []
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-2000:]


def test_the_unit_begins_again_after_a_failure_only() -> None:
    settings = dict(unit())
    assert settings["Restart"] == "on-failure"
    assert settings["WorkingDirectory"] == "/var/lib/deltaglider_proxy"
    assert settings["EnvironmentFile"].lstrip("-") == "/etc/deltaglider_proxy/env"
    assert settings["ProtectSystem"] == "strict"
