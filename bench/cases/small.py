"""Signed requests for 4 KiB objects: what one costs the server in CPU, and what a durable one costs in time.

CPU per request, not requests per second, because the clients share the machine with the servers.
"""

import hashlib
import os
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import processes, signing
from bench.load import CONNECTIONS, drive
from bench.measure import Case, median
from bench.peers import BUCKET, Server, ours, scratch, with_versitygw
from bench.plan import Plan
from bench.wire import Connection

_SIZE = 4096
_OBJECTS = 256


def run(plan: Plan) -> list[Case]:
    case = Case("small", f"Signed requests for 4 KiB objects, {CONNECTIONS} connections")
    with ExitStack() as stack:
        servers = [stack.enter_context(ours(settings={"DGP_FSYNC": "false"}))]
        peer = with_versitygw(stack, case.remarks)
        servers += [peer] if peer else []
        for server in servers:
            server.create_bucket(BUCKET)
            with Connection(server.endpoint) as connection:
                for number in range(_OBJECTS):
                    _put(connection, server, f"/{BUCKET}/{number:04d}.bin")
            for method in ("GET", "HEAD"):
                _load(Case("warm-up", ""), server, method, plan.small_requests // 4)
        for number in range(plan.rounds):
            for method in ("GET", "HEAD"):
                for server in servers if number % 2 else reversed(servers):
                    _load(case, server, method, plan.small_requests)
    for method, ratio in case.ratios("versitygw, CPU µs", "ours, CPU µs").items():
        case.add(method, "versitygw / ours, CPU", ratio)
        case.at_least(f"{method}: versitygw's CPU per request, times ours", ratio, 2)
    return [case, _durable(plan)]


def _put(connection: Connection, server: Server, path: str) -> float:
    """Seconds from request to answer."""
    body = os.urandom(_SIZE)
    digest = hashlib.sha256(body).hexdigest()
    head = signing.request(server.endpoint, "PUT", path, size=_SIZE, payload=digest)
    began = time.perf_counter()
    connection.send(head + body)
    return time.perf_counter() - began


def _load(case: Case, server: Server, method: str, count: int) -> None:
    endpoint = server.endpoint
    requests = [
        signing.request(endpoint, method, f"/{BUCKET}/{number % _OBJECTS:04d}.bin") for number in range(_OBJECTS)
    ]
    requests *= count // _OBJECTS
    before = 0.0

    def started() -> None:
        nonlocal before
        before = processes.cpu_seconds(server.pid)

    seconds = drive(endpoint, requests, started)
    spent = processes.cpu_seconds(server.pid) - before
    case.add(method, f"{server.name}, CPU µs", 1e6 * spent / len(requests))
    case.add(method, f"{server.name}, 1/s", len(requests) / seconds)


def _durable(plan: Plan) -> Case:
    case = Case("small-put", "4 KiB PUT with fsync over one connection, against the bare file operations in one thread")
    with ours() as server, TemporaryDirectory(dir=scratch()) as name, Connection(server.endpoint) as connection:
        server.create_bucket(BUCKET)
        for number in range(plan.rounds):
            before = processes.cpu_seconds(server.pid)
            for index in range(plan.durable_puts):
                case.add("PUT", "bare, ms", 1000 * _bare(Path(name), f"{number}-{index}"))
                case.add("PUT", "ours, ms", 1000 * _put(connection, server, f"/{BUCKET}/{number}-{index}.bin"))
            spent = processes.cpu_seconds(server.pid) - before
            case.add("PUT", "ours, CPU µs", 1e6 * spent / plan.durable_puts)
    ratios = case.ratios("ours, ms", "bare, ms")
    for row, ratio in ratios.items():
        case.add(row, "ours / bare", ratio)
    case.at_most("PUT, times the bare file operations", median(ratios.values()), 1.5)
    return case


def _bare(folder: Path, name: str) -> float:
    """Seconds for what any server must do for a durable object whose metadata is an extended attribute."""
    body = os.urandom(_SIZE)
    began = time.perf_counter()
    temporary = folder / f"{name}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, body)
    os.setxattr(fd, "user.bench", b"x" * 100)
    os.fsync(fd)
    os.close(fd)
    temporary.rename(folder / name)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    return time.perf_counter() - began
