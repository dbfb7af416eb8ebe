"""Signed GETs by many users, each with a group of rules, beside the same with few: users must cost nobody any time.

A request looks its key up by hash in a map that is replaced as a whole, so what grows is memory and the start.
"""

import time
from contextlib import ExitStack
from pathlib import Path

from bench import processes, signing
from bench.load import CONNECTIONS, drive
from bench.measure import MB, Case, median
from bench.peers import BUCKET, scratch
from bench.plan import Plan
from bench.signing import Endpoint
from bench.throwaway import ACCESS_KEY, SECRET_KEY, ThrowawayServer, throwaway_server
from bench.wire import Connection
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.control.model import Effect, Permission
from deltaglider_proxy.control.repositories.users import NewKey
from deltaglider_proxy.server.control_plane import ControlSettings

_FEW = 10
_KEYS = 10
"""Of each user."""
_ASKING = 1000
"""Key pairs that send requests."""
_SECRET = "a-secret-of-the-benchmark-0123456789"
_BATCH = 500


def run(plan: Plan) -> list[Case]:
    case = Case("users", f"Signed GETs of 4 KiB by many users with {_KEYS} keys each, {CONNECTIONS} connections")
    with ExitStack() as stack:
        servers: dict[str, tuple[ThrowawayServer, int]] = {}
        for users in (_FEW, plan.users):
            server = stack.enter_context(throwaway_server(1, {"DGP_FSYNC": "false"}, scratch()))
            _prepare(case, server, users)
            servers[f"{users:,} users"] = server, users
        for name, (server, users) in servers.items():
            _load(Case("warm-up", ""), name, server, users, _ASKING)
        for number in range(plan.rounds):
            for name in servers if number % 2 else reversed(servers):
                _load(case, name, *servers[name], plan.small_requests)
        for name, (server, _) in servers.items():
            case.add(name, "anonymous MB", processes.anonymous_bytes(server.pid) / MB)
    few, many = (median(case.samples[name, "GET, CPU µs"]) for name in servers)
    if few and many:
        case.at_most(f"CPU of a GET with {plan.users:,} users, times that with {_FEW}", many / few, 1.1)
    return [case]


def _prepare(case: Case, server: ThrowawayServer, users: int) -> None:
    endpoint = Endpoint(server.port, ACCESS_KEY, SECRET_KEY)
    with Connection(endpoint) as connection:
        connection.send(signing.request(endpoint, "PUT", f"/{BUCKET}"))
        head = signing.request(endpoint, "PUT", f"/{BUCKET}/object", size=4096, payload=signing.UNSIGNED)
        connection.send(head + bytes(4096))
    server.stop()
    _fill(server.root, users)
    began = time.perf_counter()
    server.start()
    case.add(f"{users:,} users", "start, s", time.perf_counter() - began)


def _fill(root: Path, users: int) -> None:
    """Into the database of a server that does not run."""
    control = ControlSettings(root / "deltaglider_config.db", directory=root)
    database = control.open(bootstrap_hash.resolve(None, root).value)
    rules = [Permission(Effect.ALLOW, ("read", "list"), (BUCKET, f"{BUCKET}/*"))]
    for start in range(0, users, _BATCH):
        with database.write(time.time()) as unit:
            for number in range(start, min(start + _BATCH, users)):
                made = unit.users.create(f"user{number}", NewKey(_key(number, 0), _SECRET), enabled=True, rules=rules)
                for key in range(1, _KEYS):
                    unit.users.add_key(made.id, NewKey(_key(number, key), _SECRET))
    database.close()


def _key(user: int, number: int) -> str:
    return f"AKBENCH{user:06d}K{number}"


def _load(case: Case, name: str, server: ThrowawayServer, users: int, count: int) -> None:
    requests = [
        signing.request(
            Endpoint(server.port, _key(index * 7 % users, index % _KEYS), _SECRET), "GET", f"/{BUCKET}/object"
        )
        for index in range(_ASKING)
    ]
    requests *= max(1, count // _ASKING)
    before = 0.0

    def started() -> None:
        nonlocal before
        before = processes.cpu_seconds(server.pid)

    seconds = drive(Endpoint(server.port, ACCESS_KEY, SECRET_KEY), requests, started)
    spent = processes.cpu_seconds(server.pid) - before
    case.add(name, "GET, CPU µs", 1e6 * spent / len(requests))
    case.add(name, "GET, 1/s", len(requests) / seconds)
