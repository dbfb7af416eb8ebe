"""Releases of real software, fetched once through the package managers that publish them.

What a machine cannot fetch is left out with a message; the numbers of the rest stand.
"""

import gzip
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.peers import WORK

_KEPT = WORK / "series"
_FETCH_SECONDS = 900
_KERNEL = "linux-image-6.1.0-"


class Unavailable(Exception):
    """The files cannot be had here; the text says why."""


@dataclass(frozen=True)
class Series:
    """Files in the order of their release; the first has nothing to be a delta against."""

    name: str
    files: tuple[Path, ...]


def fetch(remarks: list[str], *, quick: bool) -> list[Series]:
    """All series that can be had, and a remark about each of the others."""
    wanted: dict[str, Callable[[], Sequence[Path]]] = {
        "typescript": partial(_npm, "typescript", ("5.6.2", "5.6.3")),
        "scipy": partial(_wheels, "scipy", ("1.14.0", "1.14.1")),
        "next": partial(_npm, "next", ("15.0.1", "15.0.2", "15.0.3")),
        "kernel": partial(_kernels, ("55", "56")),
    }
    if quick:
        wanted = {name: wanted[name] for name in ("typescript", "scipy")}
    _KEPT.mkdir(parents=True, exist_ok=True)
    found = []
    for name, get in wanted.items():
        try:
            found.append(Series(name, tuple(get())))
        except (Unavailable, OSError, subprocess.SubprocessError) as error:
            remarks.append(f"{name} is left out: {error}")
    return found


def _npm(package: str, versions: Sequence[str]) -> list[Path]:
    """Tarballs as npm publishes them, without the gzip around them: what a registry that stores them unpacked has."""
    files = []
    for version in versions:
        kept = _KEPT / f"{package}-{version}.tar"
        if not kept.exists():
            _run("npm", "pack", "--silent", f"{package}@{version}")
            packed = kept.with_suffix(".tgz")
            unfinished = kept.with_suffix(".part")
            with gzip.open(packed) as source, unfinished.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            unfinished.rename(kept)
            packed.unlink()
        files.append(kept)
    return files


def _wheels(package: str, versions: Sequence[str]) -> list[Path]:
    files = []
    for version in versions:
        pattern = f"{package}-{version}-cp311-*x86_64.whl"
        if not any(_KEPT.glob(pattern)):
            pip = ["-m", "pip"] if _has_pip(sys.executable) else None
            program = [sys.executable, *pip] if pip else ["pip"]
            options = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
            options += ["--platform=manylinux_2_17_x86_64", "--quiet", "--disable-pip-version-check"]
            _run(*program, "download", *options, f"{package}=={version}")
        files += sorted(_KEPT.glob(pattern))[:1]
    return files


def _has_pip(python: str) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _kernels(wanted: Sequence[str]) -> list[Path]:
    """A pair of adjacent kernel packages: the ones named, or the newest two that apt knows."""
    numbers = list(wanted)
    if not all(_kept_kernel(number) for number in numbers):
        known = subprocess.run(
            ["apt-cache", "pkgnames", _KERNEL], capture_output=True, text=True, check=True, timeout=_FETCH_SECONDS
        ).stdout
        found = sorted({int(n) for n in re.findall(rf"^{re.escape(_KERNEL)}(\d+)-amd64$", known, re.MULTILINE)})
        if not all(int(number) in found for number in numbers):
            numbers = [str(number) for number in found[-2:]]
        if len(numbers) < 2:
            raise Unavailable("apt knows no two kernel packages; run apt-get update")
    for number in numbers:
        if _kept_kernel(number) is None:
            _run("apt-get", "--quiet=2", "download", f"{_KERNEL}{number}-amd64")
    return [path for path in map(_kept_kernel, numbers) if path is not None]


def _kept_kernel(number: str) -> Path | None:
    return next(iter(sorted(_KEPT.glob(f"{_KERNEL}{number}-amd64_*.deb"))), None)


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise Unavailable(f"{program} is not installed")
    done = subprocess.run(
        [found, *arguments], cwd=_KEPT, capture_output=True, text=True, check=False, timeout=_FETCH_SECONDS
    )
    if done.returncode:
        raise Unavailable(f"{program} {' '.join(arguments)} failed: {done.stderr.strip()[-300:]}")
