"""Objects that nothing can be saved of: how fast they stream through, against versitygw on the same file system.

Each object is 64 MiB of fresh random bytes: the same bytes under another name would be stored as an exact copy.
"""

import hashlib
import os
import time
from contextlib import ExitStack

from bench import processes, signing
from bench.measure import MB, MIB, Case
from bench.peers import BUCKET, Server, ours, with_versitygw
from bench.plan import Plan
from bench.wire import Connection

_SIZE = 64 * MIB
_READS = 4
_FSYNC, _PLAIN = "ours, fsync", "ours"


def run(plan: Plan) -> list[Case]:
    case = Case("identity", "64 MiB random objects over one connection, SHA-256 of the body signed")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ours(_PLAIN, settings={"DGP_FSYNC": "false"})),
            stack.enter_context(ours(_FSYNC)),
        ]
        peer = with_versitygw(stack, case.remarks)
        servers += [peer] if peer else []
        for server in servers:
            server.create_bucket(BUCKET)
            _round(Case("warm-up", ""), server, 1, "warm-up")
        for number in range(plan.rounds):
            for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                _round(case, server, plan.big_objects, f"round-{number}")
    if peer:
        _judge(case)
    return [case]


def _round(case: Case, server: Server, count: int, name: str) -> None:
    """CPU is counted in ticks of 10 ms, so it is taken over all objects of the round, rates for each object."""
    bodies = {f"/{BUCKET}/{name}/{number}.bin": os.urandom(_SIZE) for number in range(count)}
    with Connection(server.endpoint) as connection:
        before = processes.cpu_seconds(server.pid)
        for path, body in bodies.items():
            digest = hashlib.sha256(body).hexdigest()
            head = signing.request(server.endpoint, "PUT", path, size=_SIZE, payload=digest)
            os.sync()  # nobody pays for what another left to be written back
            began = time.perf_counter()
            connection.send(head, body)
            case.add("PUT", f"{server.name}, MB/s", _SIZE / MB / (time.perf_counter() - began))
        between = processes.cpu_seconds(server.pid)
        received = bytearray(_SIZE)
        for path, body in list(bodies.items()) * _READS:
            head = signing.request(server.endpoint, "GET", path)
            began = time.perf_counter()
            connection.fetch(head, received)
            case.add("GET", f"{server.name}, MB/s", _SIZE / MB / (time.perf_counter() - began))
            if received != body:
                raise ValueError(f"{server.name}: {path} did not come back byte-identical")
        after = processes.cpu_seconds(server.pid)
        for path in bodies:  # or the machine is soon out of page cache that has been used before
            connection.send(signing.request(server.endpoint, "DELETE", path))
    megabytes = count * _SIZE / MB
    case.add("PUT", f"{server.name}, CPU ms/MB", 1000 * (between - before) / megabytes)
    case.add("GET", f"{server.name}, CPU ms/MB", 1000 * (after - between) / megabytes / _READS)


def _judge(case: Case) -> None:
    ratios = case.ratios("ours, MB/s", "versitygw, MB/s")
    for row, ratio in ratios.items():
        case.add(row, "ours / versitygw", ratio)
    case.at_least("PUT, of versitygw's rate", ratios.get("PUT"), 0.8)
    case.at_least("GET, of versitygw's rate", ratios.get("GET"), 0.9)
