"""The programs of others that tests drive: found in the environment, or built once from their Go modules into a cache.

A program that cannot be had skips its tests with the reason. A run that must be complete, `make test-all`, says so with
DGP_TEST_REQUIRE_CLIENTS=1, and then it fails them. Versions of built programs are pinned, because what is expected of
the conformance suite, and what is written down about a storage service, belongs to one version of it.
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
BUILD_SECONDS = 1500


@dataclass(frozen=True, slots=True)
class GoProgram:
    name: str
    package: str
    version: str
    module: str = ""
    """The module of the package; needed only with `replaced`."""
    replaced: tuple[tuple[str, str], ...] = ()
    """Modules and what is taken for them, as MODULE and MODULE@VERSION, where the program's own module says so."""


RCLONE = GoProgram("rclone", "github.com/rclone/rclone", "v1.76.0")
VERSITYGW = GoProgram("versitygw", "github.com/versity/versitygw/cmd/versitygw", "v1.8.0")
SEAWEEDFS = GoProgram(
    "weed",
    "github.com/seaweedfs/seaweedfs/weed",
    "v0.0.0-20261109003541-7506e5f91cd6",  # 4.53; its tags lack the `v` that Go wants, so it has no better name
    module="github.com/seaweedfs/seaweedfs",
    replaced=(("github.com/tyler-smith/go-bip39", "github.com/cosmos/go-bip39@v1.0.0"),),
)
HELM = GoProgram("helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0")


def required() -> bool:
    """Whether this run must be complete."""
    return os.environ.get("DGP_TEST_REQUIRE_CLIENTS") == "1"


def unavailable(reason: str) -> NoReturn:
    if required():
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


def has_go() -> bool:
    return shutil.which("go") is not None


def is_built(program: GoProgram) -> bool:
    return _target(program).exists()


def built(program: GoProgram) -> Path:
    """Several test processes may ask at once: the first builds, the others wait for it."""
    target = _target(program)
    if target.exists():
        return target
    go = on_path("go")
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        try:
            done = subprocess.run(
                [go, "install", *_what_to_install(program, folder)],
                cwd=folder,
                env={**os.environ, "GOBIN": str(folder)},
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            unavailable(f"{program.name} {program.version} was not built in {BUILD_SECONDS} s")
        if done.returncode != 0:
            unavailable(f"{program.name} {program.version} cannot be built: {done.stderr.strip()[-500:]}")
    return target


def _target(program: GoProgram) -> Path:
    return _CACHE / f"{program.name}-{program.version}" / program.name


def _what_to_install(program: GoProgram, folder: Path) -> list[str]:
    """`go install` refuses PACKAGE@VERSION where the module replaces others: only a main module may do that, so then
    an empty one that does the same stands around it. Its Go version is one that reads only the modules it needs."""
    if not program.replaced:
        return [f"{program.package}@{program.version}"]
    lines = ["module deltaglider.test/program", "go 1.21", f"require {program.module} {program.version}"]
    lines += [f"replace {old} => {new.replace('@', ' ')}" for old, new in program.replaced]
    (folder / "go.mod").write_text("\n".join(lines) + "\n")
    return ["-mod=mod", "-ldflags=-s -w", program.package]
