"""The client programs of the suite: found in the environment, or built once from their Go modules into a cache.

A program that cannot be had skips its tests with the reason. A run that must be complete, `make test-all`, says so with
DGP_TEST_REQUIRE_CLIENTS=1, and then it fails them. Versions of built programs are pinned, because what is expected of
the conformance suite belongs to one version of it.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

_CACHE = Path.home() / ".cache" / "deltaglider-proxy-test" / "bin"
_BUILD_SECONDS = 1500


@dataclass(frozen=True, slots=True)
class GoProgram:
    name: str
    package: str
    version: str


RCLONE = GoProgram("rclone", "github.com/rclone/rclone", "v1.76.0")
VERSITYGW = GoProgram("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0")


def unavailable(reason: str) -> NoReturn:
    if os.environ.get("DGP_TEST_REQUIRE_CLIENTS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def beside_python(name: str) -> Path:
    """A program that a Python package of the development environment brings."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        unavailable(f"{name} is not installed beside {sys.executable}")
    return program


def on_path(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        unavailable(f"{name} is not on the PATH")
    return Path(found)


def built(program: GoProgram) -> Path:
    """Several test processes may ask at once: the first builds, the others wait for it."""
    folder = _CACHE / f"{program.name}-{program.version}"
    target = folder / program.name
    if target.exists():
        return target
    go = on_path("go")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        command: list[str | Path] = [go, "install", f"{program.package}@{program.version}"]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "GOBIN": str(folder)},
                capture_output=True,
                text=True,
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            unavailable(f"{program.name} {program.version} was not built in {_BUILD_SECONDS} s")
        if done.returncode != 0:
            unavailable(f"{program.name} {program.version} cannot be built: {done.stderr.strip()[-500:]}")
    return target
