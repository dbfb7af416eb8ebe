"""Listing a bucket of deltas: for each key the size and the ETag of what the client uploaded must be known.

Uploading 100 000 deltas takes minutes and says nothing about listing. One is uploaded; the others are copies of its
container file with the extended attribute. That is what the server itself would have written, but for the object id,
which a listing does not look at: a file and an inode for each key, and nothing is shared as with hard links. All lie in
one directory, which is the worst case for a page that begins in the middle.
"""

import os
import re
from pathlib import Path
from random import Random

from bench import processes, signing
from bench.measure import Case
from bench.peers import BUCKET, scratch
from bench.plan import Plan
from bench.signing import Endpoint
from bench.throwaway import ACCESS_KEY, SECRET_KEY, ThrowawayServer, throwaway_server
from bench.wire import Connection

_SIZE = 512 << 10
_PAGE = 1000
_WARM = 3
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")


def run(plan: Plan) -> list[Case]:
    case = Case("listing", f"ListObjectsV2 of {plan.listed_keys:,} deltas in one directory, {_PAGE} keys a page")
    settings = {"DGP_FSYNC": "false", "DGP_DEBUG_HEADERS": "true"}
    with throwaway_server(settings=settings, place=scratch()) as server:
        _fill(server, plan.listed_keys)
        for _ in range(plan.rounds):
            server.restart(empty_cache=True)
            _list(case, server, "cold: after a restart, empty cache", plan.listed_keys)
            for _ in range(_WARM):
                _list(case, server, "warm", plan.listed_keys)
    cold, warm = (case.median(row, "CPU µs/key") for row in ("cold: after a restart, empty cache", "warm"))
    case.at_most("CPU in µs per key, warm", warm, 20)
    case.at_most("CPU in µs per key, cold", cold, 100)
    return [case]


def _fill(server: ThrowawayServer, keys: int) -> None:
    endpoint = Endpoint(server.port, ACCESS_KEY, SECRET_KEY)
    rng = Random(1)
    content = bytearray(rng.randbytes(_SIZE))
    with Connection(endpoint) as connection:
        connection.send(signing.request(endpoint, "PUT", f"/{BUCKET}"))
        for number in range(3):
            content[number * 1000 : number * 1000 + 100] = rng.randbytes(100)
            head = signing.request(
                endpoint, "PUT", f"/{BUCKET}/delta-{number:07d}.bin", size=_SIZE, payload=signing.UNSIGNED
            )
            connection.send(head, content)
        connection.send(signing.request(endpoint, "HEAD", f"/{BUCKET}/delta-0000002.bin"))
        kind = connection.header("x-amz-storage-type")
    if kind != "delta":
        raise ValueError(f"the third of three similar objects was stored as {kind}, not as a delta")
    folder = server.root / "data" / BUCKET
    source = folder / "delta-0000002.bin"
    server.stop()
    for number in range(3, keys):
        _copy(source, folder / f"delta-{number:07d}.bin")


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))


def _list(case: Case, server: ThrowawayServer, row: str, keys: int) -> None:
    endpoint = Endpoint(server.port, ACCESS_KEY, SECRET_KEY)
    query = {"list-type": "2", "max-keys": str(_PAGE)}
    listed = 0
    with Connection(endpoint) as connection, processes.spending(server.pid) as spent:
        while True:
            page = connection.send(signing.request(endpoint, "GET", f"/{BUCKET}", query))
            listed += page.count(b"<Key>")
            token = _TOKEN.search(page)
            if token is None:
                break
            query["continuation-token"] = token[1].decode()
    if listed != keys or page.count(b"<Size>524288</Size>") != page.count(b"<Key>"):
        raise ValueError(f"{listed} keys were listed, {keys} are there; or their sizes are not the logical ones")
    case.add(row, "CPU µs/key", 1e6 * spent.cpu / listed)
    case.add(row, "µs/key", 1e6 * spent.seconds / listed)
