"""A storage service of others as a process of ours: started, tried until it stores something, and surely stopped.

It is killed, not asked to stop: what it stored is thrown away, and some take ten seconds to say goodbye.

Each start has keys of its own, so that an answer to a signed request comes from the process that was started, even if
another test process took the port first. Services share nothing and may run beside each other under pytest-xdist.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client

_START_SECONDS = 90.0
_STARTS = 3
_PAUSE = 0.03


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is and who may use it."""

    name: str
    endpoint: str
    access_key: str = field(default_factory=lambda: f"AK{secrets.token_hex(9).upper()}")
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    region: str = "us-east-1"

    def client(self, endpoint: str | None = None) -> S3Client:
        """What programs that know nothing of us use. It sends no checksums that S3 does not ask for and never repeats
        a request; `endpoint` leads it through a proxy."""
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        return client

    def as_backend(self, name: str, endpoint: str | None = None) -> str:
        """An entry of `storage.backends` in a configuration file; `endpoint` leads through a proxy."""
        return f"""\
    - name: {name}
      type: s3
      endpoint: {endpoint or self.endpoint}
      access_key_id: {self.access_key}
      secret_access_key: {self.secret_key}
      allow_local: true"""

    def new_bucket(self) -> str:
        """A bucket that no other test has; it stays until the service stops."""
        name = f"t-{secrets.token_hex(10)}"
        self.client().create_bucket(Bucket=name)
        return name

    def write(self, bucket: str, objects: Mapping[str, bytes], metadata: Mapping[str, str] | None = None) -> None:
        """Objects as other programs leave them."""
        client = self.client()
        for key, body in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata or {})


@dataclass(frozen=True, slots=True)
class Launch:
    service: Service
    command: tuple[str | Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def running(launch: Callable[[], Launch], root: Path) -> Iterator[Service]:
    """The service for as long as the block lasts, in `root`. `launch` is asked again with other ports if it has to be.

    The process dies with the thread that started it, so that a killed test run leaves none behind.
    Raises RuntimeError, with the end of the log, if it does not answer.
    """
    root.mkdir(parents=True, exist_ok=True)
    log = root / "service.log"
    name = ""
    for _ in range(_STARTS):
        launched = launch()
        name = launched.service.name
        with _process(launched, root, log) as process:
            if _stores(process, launched.service):
                yield launched.service
                return
    raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def _process(launched: Launch, root: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    tied = shutil.which("setpriv")
    command = [*((tied, "--pdeathsig", "KILL") if tied else ()), *launched.command]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, **launched.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _stores(process: subprocess.Popen[bytes], service: Service) -> bool:
    """Whether it takes our keys and an object before it ends or the time is over."""
    deadline = time.monotonic() + _START_SECONDS
    client = service.client()
    while time.monotonic() < deadline:
        try:
            bucket = service.new_bucket()
            client.put_object(Bucket=bucket, Key="ready", Body=b"ready")
            client.delete_object(Bucket=bucket, Key="ready")
            client.delete_bucket(Bucket=bucket)
            return process.poll() is None
        except (BotoCoreError, ClientError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PAUSE)
                return False
    return False
