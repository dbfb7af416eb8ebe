"""The servers that are compared, behind one shape: an endpoint, a process to watch, folders on the same file system.

versitygw stores a file per object with its metadata in extended attributes, as our filesystem backend does, so the two
do the same work for an object that is stored as it is. It never calls fsync, so ours is told not to in a comparison.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import signing
from bench.signing import Endpoint
from bench.throwaway import ACCESS_KEY, SECRET_KEY, START_SECONDS, ThrowawayServer, free_port, throwaway_server
from bench.wire import Connection

WORK = Path(__file__).parent / ".work"
_VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@latest"
_INSTALL_SECONDS = 600

BUCKET = "bench"

_SERVICE = """\
  backends:
    - name: service
      type: s3
      endpoint: http://{host}
      access_key_id: {access_key}
      secret_access_key: {secret_key}
      allow_local: true
"""


@dataclass(frozen=True)
class Server:
    name: str
    endpoint: Endpoint
    pid: int
    data: Path
    """The folder that its buckets are in."""

    def create_bucket(self, bucket: str) -> None:
        with Connection(self.endpoint) as connection:
            connection.send(signing.request(self.endpoint, "PUT", f"/{bucket}"))


def scratch() -> Path:
    """Where servers put their folders: one folder for this process, on the file system of the checkout."""
    place = WORK / "run" / str(os.getpid())
    place.mkdir(parents=True, exist_ok=True)
    return place


def clean_up() -> None:
    """Remove this process's folder and those of processes that are gone."""
    for place in (WORK / "run").glob("*"):
        if place.name == str(os.getpid()) or not Path("/proc", place.name).exists():
            shutil.rmtree(place)


@contextmanager
def ours(name: str = "ours", workers: int = 1, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    with throwaway_server(workers, settings, scratch()) as server:
        endpoint = Endpoint(server.port, ACCESS_KEY, SECRET_KEY)
        yield Server(name, endpoint, server.pid, server.root / "data")


def install_versitygw() -> Path:
    """The program, built from source at the first call. Raises FileNotFoundError, subprocess.SubprocessError."""
    target = WORK / "bin" / "versitygw"
    if target.exists():
        return target
    if found := shutil.which("versitygw"):
        return Path(found)
    go = shutil.which("go")
    if go is None:
        raise FileNotFoundError("versitygw: neither it nor the go tool chain to build it is installed")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The cache of builds and modules stays the user's own, only the program lands here.
    environment = ["env", f"GOBIN={target.parent}"]
    subprocess.run([*environment, go, "install", _VERSITYGW], check=True, timeout=_INSTALL_SECONDS)
    return target


@contextmanager
def versitygw() -> Iterator[Server]:
    program = install_versitygw()
    with tempfile.TemporaryDirectory(prefix="versitygw-", dir=scratch()) as name:
        data = Path(name) / "data"
        data.mkdir()
        endpoint = Endpoint(free_port(), ACCESS_KEY, SECRET_KEY)
        # Without --keep-alive it closes each connection; its standard output would log every request.
        command = [str(program), "--port", endpoint.host, "--access", ACCESS_KEY, "--secret", SECRET_KEY]
        command += ["--keep-alive", "--quiet", "posix", str(data)]
        with (Path(name) / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=name, stdout=log, stderr=subprocess.STDOUT)
            try:
                _wait(endpoint)
                yield Server("versitygw", endpoint, process.pid, data)
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def in_front_of_a_service(
    workers: int = 1, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Server, ThrowawayServer]]:
    """versitygw that holds nothing but the bucket `BUCKET`, and a server of ours that keeps everything in it.

    What a service can do is found out in a bucket of it before the server answers, hence the bucket.
    """
    with versitygw() as service:
        service.create_bucket(BUCKET)
        storage = _SERVICE.format(host=service.endpoint.host, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        with throwaway_server(workers, settings, scratch(), storage) as server:
            yield service, server


def with_versitygw(stack: ExitStack, remarks: list[str]) -> Server | None:
    """versitygw for as long as the stack lives; None, and a remark, if it cannot be had."""
    try:
        return stack.enter_context(versitygw())
    except (OSError, subprocess.SubprocessError) as error:
        remarks.append(f"versitygw is left out: {error}")
        return None


def _wait(endpoint: Endpoint) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with Connection(endpoint) as connection:
                connection.send(signing.request(endpoint, "GET", "/"))
            return
        except ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
