"""The xdelta3 command on files: what a delta costs without a server around it."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu: float
    """Of the process, user and system, in seconds."""


def installed() -> bool:
    return shutil.which("xdelta3") is not None


def encode(reference: Path, source: Path, delta: Path) -> Run:
    """-D: compressed input is not unpacked first, so that what comes back is byte-identical."""
    return _run("xdelta3", "-e", "-D", "-f", "-s", str(reference), str(source), str(delta))


def decode(reference: Path, delta: Path, target: Path) -> Run:
    return _run("xdelta3", "-d", "-f", "-s", str(reference), str(delta), str(target))


def _run(*command: str) -> Run:
    began = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(seconds, usage.ru_utime + usage.ru_stime)
