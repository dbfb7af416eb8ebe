"""A server on a free port with everything it writes in one temporary folder; gone when the block ends."""

import errno
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "demo-access-key"
SECRET_KEY = "demo-secret-key-0123456789"
START_SECONDS = 30.0

_CONFIG = """\
storage:
  backend:
    type: filesystem
    path: {root}/data
access:
  access_key_id: {access_key}
  secret_access_key: {secret_key}
advanced:
  listen_addr: 127.0.0.1:{port}
  max_object_size: 5368709120
  cache_dir: {root}/cache
"""


@dataclass(frozen=True)
class Stored:
    objects: int
    logical_bytes: int
    stored_bytes: int
    saved_percent: float


@dataclass(frozen=True)
class ThrowawayServer:
    endpoint: str
    log: Path

    def stored(self, bucket: str) -> Stored:
        with urllib.request.urlopen(f"{self.endpoint}/_/stats?bucket={bucket}", timeout=30) as answer:
            stats = json.load(answer)
        return Stored(
            stats["total_objects"],
            stats["total_original_size"],
            stats["total_stored_size"],
            stats["savings_percentage"],
        )


@contextmanager
def throwaway_server(workers: int = 1) -> Iterator[ThrowawayServer]:
    """Raises RuntimeError with the end of the server's log if it does not come up."""
    with tempfile.TemporaryDirectory(prefix="deltaglider-", dir=_place_with_attributes()) as name:
        root = Path(name)
        (root / "data").mkdir()
        port = _free_port()
        config = root / "deltaglider_proxy.yaml"
        config.write_text(_CONFIG.format(root=root, port=port, access_key=ACCESS_KEY, secret_key=SECRET_KEY))
        server = ThrowawayServer(f"http://127.0.0.1:{port}", root / "server.log")
        # The operator's own settings would otherwise override the ones above.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("DGP_") and name != "RUST_LOG"
        }
        environment |= {"DGP_LOG_LEVEL": "warn", "DGP_WORKERS": str(workers)}
        command = [str(Path(sys.executable).parent / "deltaglider_proxy"), "--config", str(config)]
        with server.log.open("wb") as log:
            process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT)
            try:
                _wait(server, process)
                yield server
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait(server: ThrowawayServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.endpoint}/_/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    end = server.log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the server did not start (exit code {process.poll()}); the end of its log:\n{end}")


def _free_port() -> int:
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
