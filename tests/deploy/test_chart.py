"""The Helm chart: what it makes of its values, held to the types of the Kubernetes API."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from deltaglider_proxy.config.load import lint
from tests.deploy.folder import DEPLOY
from tests.support import programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(programs.BUILD_SECONDS)]

CHART = DEPLOY / "helm" / "deltaglider-proxy"
SECRET = "auth.existingSecret=keys"
EVERYTHING = (
    SECRET,
    "podDisruptionBudget.enabled=true",
    "serviceMonitor.enabled=true",
    "networkPolicy.enabled=true",
    "ingress.enabled=true",
    "ingress.className=nginx",
    "ingress.hosts={dgp.example.com}",
    "env.DGP_TRUST_PROXY_HEADERS=true",
    "podLabels.a=b",
    "podAnnotations.c=d",
)
SEVERAL = (*EVERYTHING, "autoscaling.enabled=true", "allowSeveral=true", "persistence.enabled=false")


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([programs.built(programs.HELM), *arguments], capture_output=True, text=True, check=False)


def template(*values: str) -> subprocess.CompletedProcess[str]:
    options = [option for value in values for option in ("--set", value)]
    return helm("template", "dgp", str(CHART), "--kube-version", "1.31.0", *options)


def manifests(*values: str) -> dict[str, Any]:
    done = template(*values)
    assert done.returncode == 0, done.stderr
    return {each["kind"]: each for each in YAML(typ="safe").load_all(done.stdout) if each}


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = programs.on_path("go")
    source = tmp_path_factory.mktemp("manifests")
    shutil.copytree(Path(__file__).parent / "manifests", source, dirs_exist_ok=True)
    done = subprocess.run(
        [go, "build", "-mod=readonly", "-o", "checker", "."],
        cwd=source, env={**os.environ, "GOFLAGS": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        programs.unavailable(f"the checker of manifests cannot be built: {done.stderr[-500:]}")
    return source / "checker"


def test_helm_finds_nothing_wrong() -> None:
    done = helm("lint", "--strict", str(CHART), "--kube-version", "1.31.0", "--set", SECRET)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", [(SECRET,), EVERYTHING, SEVERAL], ids=["least", "everything", "several"])
def test_kubernetes_knows_every_field(checker: Path, values: Sequence[str]) -> None:
    done = subprocess.run([checker], input=template(*values).stdout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "apps/v1/Deployment" in done.stdout


def test_a_field_that_kubernetes_does_not_know_is_found(checker: Path) -> None:
    wrong = template(SECRET).stdout.replace("runAsNonRoot:", "runAsNonroot2:")
    done = subprocess.run([checker], input=wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "runAsNonroot2" in done.stderr


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((), "name auth.existingSecret"),
        ((SECRET, "replicaCount=2"), "set allowSeveral=true"),
        ((SECRET, "autoscaling.enabled=true"), "set allowSeveral=true"),
        ((SECRET, "replicaCount=2", "allowSeveral=true"), "cannot share a ReadWriteOnce volume"),
        ((SECRET, "replicas=2"), "replicas"),
    ],
)
def test_what_would_not_work_is_refused(values: Sequence[str], said: str) -> None:
    done = template(*values)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_pod_can_do_nothing_that_it_need_not() -> None:
    pod = manifests(SECRET)["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["fsGroup"]) == (999, 999)
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    probes = {name: container[f"{name}Probe"] for name in ("liveness", "readiness", "startup")}
    assert {name: probe["httpGet"]["path"] for name, probe in probes.items()} == {
        "liveness": "/_/health",
        "readiness": "/_/ready",
        "startup": "/_/health",
    }
    assert probes["readiness"]["timeoutSeconds"] >= 10
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {
        "/data",
        "/tmp",
        "/data/deltaglider_proxy.yaml",
    }


def test_a_change_of_the_configuration_rolls_the_pod() -> None:
    def checksums(*values: str) -> dict[str, str]:
        found: dict[str, str] = manifests(*values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        return found

    own = ("auth.accessKeyId=a", "auth.secretAccessKey=b", "auth.bootstrapPasswordHash=c")
    assert checksums(*own) != checksums(*own[:2], "auth.bootstrapPasswordHash=d")
    assert checksums(SECRET) != checksums(SECRET, "config.content=advanced: {}")


def test_the_configuration_of_the_chart_passes_lint(tmp_path: Path) -> None:
    text = manifests(SECRET)["ConfigMap"]["data"]["deltaglider_proxy.yaml"]
    (tmp_path / "c.yaml").write_text(text)
    report = lint(tmp_path / "c.yaml", {"DGP_ACCESS_KEY_ID": "a" * 20, "DGP_SECRET_ACCESS_KEY": "b" * 40}, 0.0)
    assert report.kind is None, report
