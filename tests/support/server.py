"""A real server on a real socket, as an operator would start it: the console script, a file, variables, signals."""

import contextlib
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import boto3
from botocore.config import Config
from mypy_boto3_s3 import S3Client

from tests.support import postgres

ACCESS_KEY = "DGPTESTACCESSKEY0000"
SECRET_KEY = "test-secret-key-of-forty-characters-0000"
PASSWORD = "password of the tests"
PASSWORD_HASH = "$2b$04$T366uWDmsoSFsOLwsZjVmeV1Mn1dTzP0hvgMW8Mnh.NlldkEbpWHy"
"""Of PASSWORD; cheap, so that a test may sign in."""
START_SECONDS = 60.0
STOP_SECONDS = 60.0

_CONFIG = """\
storage:
{storage}
access:
{access}
advanced:
  listen_addr: 127.0.0.1:{port}
  max_object_size: {max_object_size}
  cache_dir: {root}/cache
"""
_PAIR = f"  access_key_id: {ACCESS_KEY}\n  secret_access_key: {SECRET_KEY}"


def free_port() -> int:
    """Below those that the system gives to outgoing connections, which could take it while the server restarts."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Server:
    """Start it with `with`; `restart` keeps the data."""

    root: Path
    workers: int = 1
    open_access: bool = False
    max_object_size: int = 1 << 30
    storage: str = "  filesystem: {root}/data"
    """The section `storage` of the file; `{root}` stands for the folder of the server."""
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    secrets: set[str] = field(default_factory=lambda: {SECRET_KEY, PASSWORD, PASSWORD_HASH})
    """What must never be read in anything that the server writes; see `leaks`."""
    program: Sequence[str] = ()
    """What is started instead of the console script, with the same arguments."""
    keeps_config: bool = False
    """A restart finds the file as the server has left it."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def start(self) -> None:
        self.process = self._spawn()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_/health", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.03)
        raise RuntimeError(f"the server did not start ({self.process.poll()}): {self.log.read_text()[-3000:]}")

    def refused_start(self) -> tuple[int, str]:
        """Start where something is in the way: the exit code and the log."""
        process = self._spawn()
        try:
            return process.wait(START_SECONDS), self.log.read_text()
        finally:
            process.kill()
            process.wait()

    @property
    def config(self) -> Path:
        return self.root / "deltaglider_proxy.yaml"

    def write_config(self) -> None:
        access = "  authentication: none" if self.open_access else _PAIR
        text = _CONFIG.format(
            root=self.root,
            storage=self.storage.format(root=self.root),
            access=access,
            port=self.port,
            max_object_size=self.max_object_size,
        )
        self.config.write_text(text)

    def _database(self) -> dict[str, str]:
        """Where `DGP_TEST_DATABASE=postgres` is set for the tests: a database for what lies in this folder."""
        if os.environ.get("DGP_TEST_DATABASE") != "postgres":
            return {}
        name = f"dgp_{hashlib.sha256(str(self.root).encode()).hexdigest()[:16]}"
        return {"DGP_DATABASE_URL": postgres.database(name)}

    def _spawn(self) -> subprocess.Popen[bytes]:
        if not (self.keeps_config and self.config.exists()):
            self.write_config()
        config = self.config
        clean = {n: v for n, v in os.environ.items() if not n.startswith("DGP_") and n != "RUST_LOG"}
        clean |= {"DGP_WORKERS": str(self.workers), "DGP_SHUTDOWN_DRAIN_SECS": "0"}
        clean |= {"DGP_BOOTSTRAP_PASSWORD_HASH": PASSWORD_HASH, "DGP_SECURE_COOKIES": "false", **self._database()}
        clean |= self.environment
        program = self.program or [str(Path(sys.executable).parent / "deltaglider_proxy")]
        command = [*program, "--config", str(config)]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, cwd=self.root, env=clean, stdout=log, stderr=subprocess.STDOUT)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(STOP_SECONDS)
        self.process = None
        return code

    def worker_ids(self) -> set[int]:
        assert self.process is not None
        command = ["ps", "-o", "pid=", "--ppid", str(self.process.pid)]
        return {
            int(text) for text in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        }

    def kill(self) -> None:
        """All processes of the server, at once, as a power cut would."""
        assert self.process is not None
        children = self.worker_ids()
        self.process.send_signal(signal.SIGSTOP)
        for child in children:
            os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def client(self, access_key: str = ACCESS_KEY, secret: str = SECRET_KEY) -> S3Client:
        """boto3 as it comes, but for waiting less long and trying once."""
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 0}),
        )
        return client

    def stats(self, bucket: str) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.endpoint}/_/stats?bucket={bucket}", timeout=30) as answer:
            found: dict[str, float] = json.load(answer)
            return found

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Until the condition holds; fails if it does not come true."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError("the condition did not come true in time")
            time.sleep(0.02)

    def leaks(self) -> list[str]:
        """Files of the server that hold a secret in clear, which no file may but the configuration."""
        written = [self.log, self.root / "deltaglider_config.db", *(self.root / "audit").glob("*/*")]
        found = []
        for path in written:
            if path.is_file():
                data = path.read_bytes()
                found += [f"{path}: {secret[:4]}..." for secret in self.secrets if secret.encode() in data]
        return found

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        if kind is None:
            assert self.leaks() == []
