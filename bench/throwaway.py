"""A server on a free port with everything it writes in one temporary folder; gone when the block ends."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "demo-access-key"
SECRET_KEY = "demo-secret-key-0123456789"
START_SECONDS = 30.0

_CONFIG = """\
storage:
{storage}
access:
  access_key_id: {access_key}
  secret_access_key: {secret_key}
advanced:
  listen_addr: 127.0.0.1:{port}
  max_object_size: 5368709120
  cache_dir: {root}/cache
"""
_DIRECTORY = """\
  backend:
    type: filesystem
    path: {root}/data
"""


@dataclass(frozen=True)
class Stored:
    objects: int
    logical_bytes: int
    stored_bytes: int
    saved_percent: float


class ThrowawayServer:
    """One server that can be stopped and started again on what it stored."""

    def __init__(self, root: Path, workers: int, settings: Mapping[str, str], storage: str = _DIRECTORY) -> None:
        self.root = root
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.log = root / "server.log"
        (root / "data").mkdir()
        self._config = root / "deltaglider_proxy.yaml"
        section = storage.format(root=root)
        self._config.write_text(
            _CONFIG.format(root=root, port=self.port, access_key=ACCESS_KEY, secret_key=SECRET_KEY, storage=section)
        )
        # The operator's own settings would otherwise override the ones above.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("DGP_") and name != "RUST_LOG"
        }
        self._environment = inherited | {"DGP_LOG_LEVEL": "warn", "DGP_WORKERS": str(workers)} | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Raises RuntimeError if it does not come up."""
        command = [str(Path(sys.executable).parent / "deltaglider_proxy"), "--config", str(self._config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.root, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait(self._process)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, *, empty_cache: bool) -> None:
        self.stop()
        if empty_cache:
            shutil.rmtree(self.root / "cache", ignore_errors=True)
        self.start()

    def stored(self, bucket: str) -> Stored:
        with urllib.request.urlopen(f"{self.endpoint}/_/stats?bucket={bucket}", timeout=30) as answer:
            stats = json.load(answer)
        return Stored(
            stats["total_objects"],
            stats["total_original_size"],
            stats["total_stored_size"],
            stats["savings_percentage"],
        )

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_/health", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        code = process.poll()
        self.stop()
        raise RuntimeError(f"the server did not start (exit code {code})")

    def log_end(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


@contextmanager
def throwaway_server(
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
    place: Path | None = None,
    storage: str = _DIRECTORY,
) -> Iterator[ThrowawayServer]:
    """`settings` are environment variables of the server, `place` is the folder that its own folder is made in.

    `storage` is the section of that name in its configuration; `{root}` in it stands for the server's own folder.
    Whatever is raised in the block carries the end of the server's log as a note.
    """
    with tempfile.TemporaryDirectory(prefix="deltaglider-", dir=place or _place_with_attributes()) as name:
        server = ThrowawayServer(Path(name), workers, settings or {}, storage)
        try:
            server.start()
            yield server
        except Exception as error:
            error.add_note(f"the end of the server's log:\n{server.log_end()}")
            raise
        finally:
            server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _place_with_attributes() -> str:
    """A folder whose file system keeps extended attributes, which a tmpfs of older kernels does not."""
    for place in (tempfile.gettempdir(), str(Path.cwd())):
        with tempfile.NamedTemporaryFile(dir=place) as probe:
            try:
                os.setxattr(probe.name, "user.probe", b"1")
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
            else:
                return place
    raise RuntimeError(f"neither {tempfile.gettempdir()} nor the current folder keeps extended attributes; set TMPDIR")
