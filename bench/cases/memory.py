"""Fifty clients that each PUT and GET 100 MB at once: what the server holds in memory beyond the page cache.

RssAnon summed over all processes of the server: mapped reference files are page cache, which the kernel takes back.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

from bench import processes, signing
from bench.measure import MB, MIB, Case
from bench.peers import BUCKET, scratch
from bench.plan import Plan
from bench.signing import Endpoint
from bench.throwaway import ACCESS_KEY, SECRET_KEY, ThrowawayServer, throwaway_server
from bench.wire import Connection

_PATCH = 512
_LIMIT_MIB = 1024


class _Content:
    """Objects that resemble one another, or do not, without memory for each: one buffer, and patches by client."""

    def __init__(self, size: int, *, similar: bool) -> None:
        self.size = size
        self._similar = similar
        self._shared = Random(1).randbytes(size)

    def pieces(self, client: int) -> Iterator[bytes]:
        """1 MiB each. Similar: as everyone's but for a patch in each; else rotated and XORed to other random bytes."""
        rng = Random(client + 2)
        mask = rng.randbytes(MIB)
        for at in range(0, self.size, MIB):
            piece = self._shared[at : at + MIB]
            if self._similar:
                start = rng.randrange(max(len(piece) - _PATCH, 1))
                yield piece[:start] + mask[:_PATCH][: len(piece) - start] + piece[start + _PATCH :]
            else:
                key = mask[: len(piece)]
                mixed = int.from_bytes(piece, "little") ^ int.from_bytes(key, "little")
                yield mixed.to_bytes(len(piece), "little")


def run(plan: Plan) -> list[Case]:
    case = Case(
        "memory",
        f"{plan.clients} clients at once, each PUTs and then GETs an object of {plan.client_bytes / MB:.0f} MB",
    )
    for workers in (1, 2):
        for similar in (True, False):
            row = f"workers {workers}, {'similar objects' if similar else 'random objects'}"
            # A slow disk would hide what accumulates in memory behind it, and fsync is measured elsewhere.
            settings = {"DGP_FSYNC": "false", "DGP_DEBUG_HEADERS": "true"}
            with throwaway_server(workers, settings, scratch()) as server:
                content = _Content(plan.client_bytes, similar=similar)
                _measure(case, row, server, content, plan.clients)
    peaks = [*case.column("peak of PUTs, MiB").values(), *case.column("peak of GETs, MiB").values()]
    case.at_most("peak of RssAnon in MiB, worst", max(peaks), _LIMIT_MIB)
    return [case]


def _measure(case: Case, row: str, server: ThrowawayServer, content: _Content, clients: int) -> None:
    endpoint = Endpoint(server.port, ACCESS_KEY, SECRET_KEY)
    with Connection(endpoint) as connection:
        connection.send(signing.request(endpoint, "PUT", f"/{BUCKET}"))
    case.add(row, "idle, MiB", processes.anonymous_bytes(server.pid) / MIB)
    _put(endpoint, content, 0)
    digests: dict[int, bytes] = {}

    def put(client: int) -> None:
        digests[client] = _put(endpoint, content, client)

    def get(client: int) -> None:
        found = hashlib.sha256()
        with Connection(endpoint) as connection:
            connection.stream(signing.request(endpoint, "GET", _path(client)), found.update)
        if found.digest() != digests[client]:
            raise ValueError(f"object {client} did not come back byte-identical")

    megabytes = clients * content.size / MB
    with processes.peak_memory(server.pid) as putting:
        put_seconds = _together(put, clients)
    with processes.peak_memory(server.pid) as getting:
        get_seconds = _together(get, clients)
    case.add(row, "peak of PUTs, MiB", putting.bytes / MIB)
    case.add(row, "peak of GETs, MiB", getting.bytes / MIB)
    case.add(row, "stored as deltas", _deltas(endpoint, clients))
    case.add(row, "PUT, MB/s", megabytes / put_seconds)
    case.add(row, "GET, MB/s", megabytes / get_seconds)


def _together(work: Callable[[int], None], clients: int) -> float:
    barrier = threading.Barrier(clients)

    def one(client: int) -> None:
        barrier.wait()
        work(client)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        for _ in pool.map(one, range(1, clients + 1)):
            pass
    return time.perf_counter() - began


def _put(endpoint: Endpoint, content: _Content, client: int) -> bytes:
    """The SHA-256 of what was sent."""
    digest = hashlib.sha256()
    with Connection(endpoint) as connection:
        head = signing.request(endpoint, "PUT", _path(client), size=content.size, payload=signing.UNSIGNED)
        connection.begin(head)
        for piece in content.pieces(client):
            digest.update(piece)
            connection.push(piece)
        connection.finish()
    return digest.digest()


def _path(client: int) -> str:
    return f"/{BUCKET}/image-{client:04d}.bin"


def _deltas(endpoint: Endpoint, clients: int) -> int:
    count = 0
    with Connection(endpoint) as connection:
        for client in range(1, clients + 1):
            connection.send(signing.request(endpoint, "HEAD", _path(client)))
            count += connection.header("x-amz-storage-type") == "delta"
    return count
