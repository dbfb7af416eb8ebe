"""Other processes of the host, which use the same files at the same time."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def peer(script: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Runs `script`, which prints a line when it is ready and may wait for its input; killed at the end."""
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def tell(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: "subprocess.Popen[str]") -> str:
    """The next line."""
    assert process.stdout is not None
    return process.stdout.readline().removesuffix("\n")
