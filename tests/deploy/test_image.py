"""What the image holds, made by the script that makes it, and started as the image would start it: by another user, on
a root that cannot be written.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from ruamel.yaml import YAML

from tests.deploy.folder import DEPLOY, REPOSITORY
from tests.support import programs
from tests.support.server import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

USER = 999
_READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind {data} {data}
mount -o remount,ro,bind /
cd {data}
exec setpriv --reuid {user} --regid {user} --clear-groups --no-new-privs --bounding-set=-all "$@"
"""


def system_python() -> str:
    """One that another user may run."""
    for name in ("python3.14", "python3.13", "python3.12", "python3.11", "python3"):
        path = Path("/usr/bin") / name
        told = [str(path), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if path.exists() and subprocess.run(told, check=False).returncode == 0:
            return str(path)
    return programs.unavailable("there is no Python >= 3.11 in /usr/bin")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Path("/var/tmp") / f"deltaglider-image-{os.getpid()}"
    uv = shutil.which("uv")
    if uv is None:
        programs.unavailable("uv is not on the PATH")
    environment = {**os.environ, "PYTHON": system_python(), "SOURCE_DATE_EPOCH": "0"}
    done = subprocess.run(
        [DEPLOY / "docker" / "install.sh", made], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return made


@pytest.fixture(scope="module", autouse=True)
def _swept(tree: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tree)


@pytest.fixture
def volume() -> Iterator[Path]:
    if os.geteuid() != 0:
        programs.unavailable("only root may start a server as another user")
    made = Path("/var/tmp") / f"deltaglider-data-{os.getpid()}"
    made.mkdir(mode=0o750)
    os.chown(made, USER, USER)
    yield made
    shutil.rmtree(made)


@contextmanager
def started(tree: Path, volume: Path, **environment: str) -> Iterator[tuple[str, Path]]:
    """Its address, and what it wrote to its log."""
    port = free_port()
    log = volume.with_suffix(".log")
    command = [
        "unshare", "--mount", "sh", "-c", _READ_ONLY.format(data=volume, user=USER), "sh",
        str(tree / "bin" / "deltaglider-entrypoint"),
    ]  # fmt: skip
    variables = {"PATH": f"{tree}/bin:/usr/bin:/bin", "DGP_LISTEN_ADDR": f"127.0.0.1:{port}", **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not healthy(tree, variables):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        text = log.read_text()
        log.unlink()
    assert code == 0, text


def healthy(tree: Path, variables: Mapping[str, str]) -> bool:
    return subprocess.run([tree / "bin" / "deltaglider-health"], env=dict(variables), check=False).returncode == 0


def test_without_any_configuration_it_makes_one_and_serves(tree: Path, volume: Path) -> None:
    with started(tree, volume) as (endpoint, log):
        config = YAML(typ="safe").load((volume / "deltaglider_proxy.yaml").read_text())
        pair = config["access"]["access_key_id"], config["access"]["secret_access_key"]
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=pair[0],
            aws_secret_access_key=pair[1],
            config=Config(retries={"max_attempts": 0}),
        )
        client.create_bucket(Bucket="box")
        client.put_object(Bucket="box", Key="key", Body=b"body")
        assert client.get_object(Bucket="box", Key="key")["Body"].read() == b"body"
        said = log.read_text()
        assert f"The keys are in {volume}/deltaglider_proxy.yaml" in said
        assert pair[0] not in said
        assert pair[1] not in said
        with urllib.request.urlopen(f"{endpoint}/_/docs/how-to/administer", timeout=10) as answer:
            assert b"<main>" in answer.read(), "the manual is in the image"
    assert {path.name for path in volume.iterdir()} >= {"deltaglider_proxy.yaml", "deltaglider_config.db", "data"}
    assert {path.stat().st_uid for path in volume.iterdir()} == {USER}


def test_what_is_configured_by_variables_is_not_written_over(tree: Path, volume: Path) -> None:
    pair = {"DGP_ACCESS_KEY_ID": "DGPIMAGE000000000000", "DGP_SECRET_ACCESS_KEY": "x" * 40}
    with started(tree, volume, **pair) as (endpoint, _):
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{endpoint}/box", timeout=10)
        assert not (volume / "deltaglider_proxy.yaml").exists()


def test_commands_run_in_it(tree: Path) -> None:
    variables = {"PATH": f"{tree}/bin:/usr/bin:/bin"}
    program = [str(tree / "bin" / "deltaglider-entrypoint"), "config", "defaults"]
    done = subprocess.run(program, env=variables, capture_output=True, text=True, check=False, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_holds_what_is_needed_and_is_small(tree: Path) -> None:
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    assert size < 350 << 20
    names = {path.name for path in tree.glob("lib/python3*/site-packages/*")}
    assert not {"pytest", "moto", "mypy", "pip"} & names


@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28"])
def test_wheels_are_enough_on_every_architecture(platform: str, tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    for command in (
        ["uv", "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--output-file", str(requirements)],
        ["uv", "venv", "--quiet", "--no-project", "--python", sys.executable, str(tmp_path / "venv")],
        ["uv", "pip", "install", "--python", str(tmp_path / "venv"), "--dry-run", "--only-binary", ":all:",
         "--python-platform", platform, "--python-version", "3.13", "-r", str(requirements)],
    ):  # fmt: skip
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


def test_the_health_of_nothing_is_bad(tree: Path) -> None:
    variables = {"PATH": f"{tree}/bin:/usr/bin:/bin", "DGP_LISTEN_ADDR": f"127.0.0.1:{free_port()}"}
    assert not healthy(tree, variables)
