"""The main job of the product as its README tells it, on real releases: tar files of an npm package, Python wheels."""

import gzip
import json
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from tests.conformance.clients.aws import AwsCli
from tests.support.programs import beside_python, on_path, unavailable
from tests.support.server import Server

pytestmark = [pytest.mark.client, pytest.mark.slow, pytest.mark.timeout(900)]

_DOWNLOAD_SECONDS = 300
_MOST = 0.45
"""Of what was sent: three releases, of which the first has to be stored whole."""


def fetched(command: list[str | Path], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        unavailable(f"{command} did not finish in {_DOWNLOAD_SECONDS} s")
    if done.returncode != 0:
        unavailable(f"{command}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("npm")
    npm = on_path("npm")
    for version in ("15.0.1", "15.0.2", "15.0.3"):
        fetched([npm, "pack", "--silent", f"next@{version}"], folder)
        packed = folder / f"next-{version}.tgz"
        with gzip.open(packed) as source, packed.with_suffix(".tar").open("wb") as target:
            shutil.copyfileobj(source, target)
        packed.unlink()
    return sorted(folder.glob("*.tar"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    pip = on_path("pip")
    for version in ("1.40.0", "1.40.1", "1.40.2"):
        fetched([pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", f"botocore=={version}"], folder)
    return sorted(folder.glob("*.whl"))


@pytest.mark.parametrize("kind", ["tars", "wheels"])
def test_releases_take_less_than_half_and_come_back(
    kind: str, request: pytest.FixtureRequest, server: Server, s3: S3Client, tmp_path: Path
) -> None:
    files: list[Path] = request.getfixturevalue(kind)
    assert len(files) == 3
    bucket = f"releases-{kind}"
    client = AwsCli(beside_python("aws"), server.endpoint, tmp_path)
    client.s3("mb", f"s3://{bucket}")
    for file in files:
        client.s3("cp", file, f"s3://{bucket}/")
    for file in files:
        client.s3("cp", f"s3://{bucket}/{file.name}", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == file.read_bytes()
    sent = sum(file.stat().st_size for file in files)
    assert {e["Key"]: e["Size"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {
        file.name: file.stat().st_size for file in files
    }
    with urllib.request.urlopen(f"{server.endpoint}/_/stats?bucket={bucket}", timeout=30) as answer:
        stats = json.load(answer)
    print(f"{kind}: {sent} sent, {stats['total_stored_size']} stored")
    assert stats["total_original_size"] == sent
    assert stats["total_stored_size"] < _MOST * sent
