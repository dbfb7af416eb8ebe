"""In front of an S3 service: what passing through us adds to going there directly, and what deltas cost at a distance.

The service is versitygw on a directory of the same machine. It answers sooner than any service across a network, so
what we add is a larger share of everything than it would be there; and it takes its CPU from the same two cores.
"""

import hashlib
import os
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bench import processes, signing
from bench.load import drive
from bench.measure import MB, MIB, Case
from bench.peers import BUCKET, Server, in_front_of_a_service, install_versitygw, scratch
from bench.plan import Plan
from bench.series import Series, fetch
from bench.signing import Endpoint
from bench.throwaway import ACCESS_KEY, SECRET_KEY, ThrowawayServer, throwaway_server
from bench.wire import Connection

_SMALL, _LARGE = 4096, 64 * MIB
_READS = 2
_LISTED_SIZE = 512 << 10
_PAGE = 1000
_FILL_BATCH = 20_000
_CLIENTS = 20
_PATCH = 512
_IDLE_SECONDS = 0.2
_TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)</NextContinuationToken>")
# versitygw never calls fsync, so ours does not either; nobody is connected when a server is restarted.
_SETTINGS: Final = {"DGP_FSYNC": "false", "DGP_DEBUG_HEADERS": "true", "DGP_SHUTDOWN_DRAIN_SECS": "0"}


def run(plan: Plan) -> list[Case]:
    try:
        install_versitygw()
    except (OSError, subprocess.SubprocessError) as error:
        return [Case("service", "In front of an S3 service", remarks=[f"left out, there is no versitygw: {error}"])]
    return [_small(plan), _large(plan), _deltas(plan), _listing(plan), _memory(plan)]


def _ways(service: Server, ours: ThrowawayServer) -> list[Server]:
    """To the same objects."""
    return [
        Server("directly", service.endpoint, service.pid, service.data),
        Server("through", _endpoint(ours), ours.pid, service.data),
    ]


def _turns(ways: Sequence[Server], number: int) -> Sequence[Server]:
    return ways if number % 2 else ways[::-1]


def _small(plan: Plan) -> Case:
    case = Case(
        "service-small", "4 KiB random objects over one connection; CPU is the service's directly, ours through"
    )
    count = plan.small_requests // 10
    with in_front_of_a_service(settings=_SETTINGS) as (service, ours):
        ways = _ways(service, ours)
        for way in ways:
            _one_by_one(Case("warm-up", ""), way, count // 4, "warm-up")
        for number in range(plan.rounds):
            for way in _turns(ways, number):
                _one_by_one(case, way, count, f"round-{number}")
    for row in ("PUT", "GET"):
        pairs = zip(case.samples[row, "through, p50 ms"], case.samples[row, "directly, p50 ms"], strict=True)
        for through, directly in pairs:
            case.add(row, "through - directly, ms", through - directly)
        case.at_most(f"{row}: ms more than directly, p50", case.median(row, "through - directly, ms"), 2)
    return case


def _one_by_one(case: Case, way: Server, count: int, mark: str) -> None:
    """A sample is the median of the round, or its CPU by request: the kernel counts it in ticks of 10 ms."""
    bodies = {f"/{BUCKET}/{way.name}/{mark}/{number:04d}.bin": os.urandom(_SMALL) for number in range(count)}
    puts = []
    for path, body in bodies.items():
        digest = hashlib.sha256(body).hexdigest()
        puts.append(signing.request(way.endpoint, "PUT", path, size=_SMALL, payload=digest) + body)
    gets = [signing.request(way.endpoint, "GET", path) for path in bodies]
    with Connection(way.endpoint) as connection:
        for row, requests, expected in (("PUT", puts, [b""] * count), ("GET", gets, bodies.values())):
            seconds = []
            with processes.spending(way.pid) as spent:
                for request, body in zip(requests, expected, strict=True):
                    began = time.perf_counter()
                    answer = connection.send(request)
                    seconds.append(time.perf_counter() - began)
                    if answer != body:
                        raise ValueError(f"{way.name}: {row} of a small object was answered with other bytes")
            case.add(row, f"{way.name}, p50 ms", 1000 * statistics.median(seconds))
            case.add(row, f"{way.name}, CPU µs/request", 1e6 * spent.cpu / count)


def _large(plan: Plan) -> Case:
    case = Case(
        "service-large", "64 MiB random objects over one connection; CPU is the service's directly, ours through"
    )
    with in_front_of_a_service(settings=_SETTINGS) as (service, ours):
        ways = _ways(service, ours)
        for way in ways:
            _streamed(Case("warm-up", ""), way, 1, "warm-up")
        for number in range(plan.rounds):
            for way in _turns(ways, number):
                _streamed(case, way, plan.big_objects, f"round-{number}")
    for row, ratio in case.ratios("through, MB/s", "directly, MB/s").items():
        case.add(row, "through / directly", ratio)
        case.at_least(f"{row} through us, of the rate directly", ratio, 0.8)
    return case


def _streamed(case: Case, way: Server, count: int, mark: str) -> None:
    with Connection(way.endpoint) as connection:
        cpu = {"PUT": 0.0, "GET": 0.0}
        received = bytearray(_LARGE)
        for number in range(count):
            path = f"/{BUCKET}/{way.name}/{mark}/{number}.bin"
            body = os.urandom(_LARGE)
            digest = hashlib.sha256(body).hexdigest()
            head = signing.request(way.endpoint, "PUT", path, size=_LARGE, payload=digest)
            os.sync()  # nobody pays for what another left to be written back
            with processes.spending(way.pid) as spent:
                connection.send(head, body)
            cpu["PUT"] += spent.cpu
            case.add("PUT", f"{way.name}, MB/s", _LARGE / MB / spent.seconds)
            for _ in range(_READS):
                with processes.spending(way.pid) as spent:
                    connection.fetch(signing.request(way.endpoint, "GET", path), received)
                cpu["GET"] += spent.cpu
                case.add("GET", f"{way.name}, MB/s", _LARGE / MB / spent.seconds)
                if received != body:
                    raise ValueError(f"{way.name}: {path} did not come back byte-identical")
            connection.send(signing.request(way.endpoint, "DELETE", path))
    megabytes = count * _LARGE / MB
    case.add("PUT", f"{way.name}, CPU ms/MB", 1000 * cpu["PUT"] / megabytes)
    case.add("GET", f"{way.name}, CPU ms/MB", 1000 * cpu["GET"] / megabytes / _READS)


def _deltas(plan: Plan) -> Case:
    name = "scipy" if plan.quick else "next"
    case = Case("service-delta", f"{name}: every release after the first; cold is after a restart, empty cache folder")
    remarks: list[str] = []
    series = next((one for one in fetch(remarks, quick=plan.quick) if one.name == name), None)
    if series is None:
        case.remarks += remarks
        return case
    directory = throwaway_server(settings=_SETTINGS, place=scratch())
    with in_front_of_a_service(settings=_SETTINGS) as (_, at_service), directory as at_directory:
        for number in range(plan.rounds):
            places = [("service", at_service), ("directory", at_directory)]
            for place, ours in places if number % 2 else places[::-1]:
                bucket = f"{name}-{number}"
                _put_series(case, place, ours, series, bucket)
                ours.restart(empty_cache=True)
                _settle(ours.pid)
                for row in ("GET cold", "GET warm"):
                    _get_series(case, row, place, ours, series, bucket)
    for row, ratio in case.ratios("service, MB/s", "directory, MB/s").items():
        case.add(row, "service / directory", ratio)
    return case


def _put_series(case: Case, place: str, ours: ThrowawayServer, series: Series, bucket: str) -> None:
    endpoint = _endpoint(ours)
    first, *others = series.files
    megabytes = sum(path.stat().st_size for path in others) / MB
    with Connection(endpoint) as connection:
        connection.send(signing.request(endpoint, "PUT", f"/{bucket}"))
        _put_file(connection, endpoint, bucket, first)
        _settle(ours.pid)
        before = processes.cpu_seconds(ours.pid)
        seconds = sum(_put_file(connection, endpoint, bucket, path) for path in others)
        _settle(ours.pid)
        cpu = processes.cpu_seconds(ours.pid) - before
        case.add("PUT", f"{place}, MB/s", megabytes / seconds)
        case.add("PUT", f"{place}, CPU ms/MB", 1000 * cpu / megabytes)
        kinds = [_kind(connection, endpoint, f"/{bucket}/{path.name}") for path in others]
    case.add("PUT", f"{place}, as deltas, %", 100 * kinds.count("delta") / len(kinds))
    case.add("PUT", f"{place}, stored, MB", ours.stored(bucket).stored_bytes / MB)


def _put_file(connection: Connection, endpoint: Endpoint, bucket: str, path: Path) -> float:
    """Seconds from the first byte sent to the answer."""
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    head = signing.request(endpoint, "PUT", f"/{bucket}/{path.name}", size=len(body), payload=digest)
    began = time.perf_counter()
    connection.send(head, body)
    return time.perf_counter() - began


def _get_series(case: Case, row: str, place: str, ours: ThrowawayServer, series: Series, bucket: str) -> None:
    endpoint = _endpoint(ours)
    seconds = cpu = megabytes = 0.0
    with Connection(endpoint) as connection:
        for path in series.files[1:]:
            content = path.read_bytes()
            received = bytearray(len(content))
            head = signing.request(endpoint, "GET", f"/{bucket}/{path.name}")
            with processes.spending(ours.pid) as spent:
                connection.fetch(head, received)
            if received != content:
                raise ValueError(f"{path.name} did not come back byte-identical")
            seconds, cpu, megabytes = seconds + spent.seconds, cpu + spent.cpu, megabytes + len(content) / MB
    case.add(row, f"{place}, MB/s", megabytes / seconds)
    case.add(row, f"{place}, CPU ms/MB", 1000 * cpu / megabytes)


def _settle(pid: int) -> None:
    """Wait for what the server does behind its answer, so that it is charged to the request that caused it."""
    before = -1.0
    while before != (before := processes.cpu_seconds(pid)):
        time.sleep(_IDLE_SECONDS)


def _listing(plan: Plan) -> Case:
    keys = plan.listed_keys
    case = Case("service-listing", f"ListObjectsV2 of {keys:,} exact copies in one directory, {_PAGE} keys a page")
    directly, warm, cold = "directly", "warm", "cold: after a restart, empty cache"
    with in_front_of_a_service(settings=_SETTINGS) as (service, ours):
        _fill(service, ours, keys)
        for number in range(plan.rounds):
            if number < plan.rounds // 2:  # each looks at every object once, and takes a minute for that
                ours.restart(empty_cache=True)
                _list(case, cold, _ways(service, ours)[1], keys)
                ours.restart(empty_cache=False)
                _list(case, "after a restart, cache kept", _ways(service, ours)[1], keys)
            ways = _ways(service, ours)
            for way in _turns(ways, number):
                _list(case, directly if way is ways[0] else warm, way, keys)
    rates = case.column("keys/s")
    for row, rate in rates.items():
        if row != directly:
            case.add(row, "of the rate directly", rate / rates[directly])
    case.at_least("keys/s warm, of the rate directly", case.median(warm, "of the rate directly"), 0.8)
    return case


def _fill(service: Server, ours: ThrowawayServer, keys: int) -> None:
    """Two equal objects through us; the container of the second goes to the service itself under all other keys.

    That is what ours would have put there, but for the object id, which a listing does not look at.
    """
    endpoint = _endpoint(ours)
    body = os.urandom(_LISTED_SIZE)
    with Connection(endpoint) as connection:
        for number in range(2):
            head = signing.request(endpoint, "PUT", _listed(number), size=len(body), payload=signing.UNSIGNED)
            connection.send(head, body)
        kind = _kind(connection, endpoint, _listed(1))
    if kind != "delta":
        raise ValueError(f"the second of two equal objects was stored as {kind}, not as a delta")
    with Connection(service.endpoint) as connection:
        container = connection.send(signing.request(service.endpoint, "GET", _listed(1)))
        mark = connection.header("x-amz-meta-dgp")
        kind = connection.header("content-type")
    if mark is None or kind is None:
        raise ValueError("the service does not tell x-amz-meta-dgp and Content-Type of a container")
    headers = {"x-amz-meta-dgp": mark, "content-type": kind}
    digest = hashlib.sha256(container).hexdigest()
    for start in range(2, keys, _FILL_BATCH):
        requests = [
            signing.request(
                service.endpoint, "PUT", _listed(number), headers=headers, size=len(container), payload=digest
            )
            + container
            for number in range(start, min(start + _FILL_BATCH, keys))
        ]
        drive(service.endpoint, requests)


def _listed(number: int) -> str:
    return f"/{BUCKET}/delta-{number:07d}.bin"


def _list(case: Case, row: str, way: Server, keys: int) -> None:
    query = {"list-type": "2", "max-keys": str(_PAGE)}
    listed = logical = 0
    with Connection(way.endpoint) as connection, processes.spending(way.pid) as spent:
        while True:
            page = connection.send(signing.request(way.endpoint, "GET", f"/{BUCKET}", query))
            listed += page.count(b"<Key>delta-")  # the service itself also shows what we keep beside the objects
            logical += page.count(b"<Size>%d</Size>" % _LISTED_SIZE)
            token = _TOKEN.search(page)
            if token is None:
                break
            query["continuation-token"] = token[1].decode()
    if listed != keys or (way.name == "through" and logical != keys):
        raise ValueError(f"{way.name}: {listed} of {keys} keys were listed, {logical} of them with their logical size")
    case.add(row, "keys/s", listed / spent.seconds)
    case.add(row, "CPU µs/key", 1e6 * spent.cpu / listed)


def _memory(plan: Plan) -> Case:
    clients = min(plan.clients, _CLIENTS)
    title = f"{clients} clients at once, each PUTs and then GETs {plan.client_bytes / MB:.0f} MB; RssAnon of our server"
    case = Case("service-memory", title)
    for workers in (1,) if plan.quick else (1, 2):
        for similar in (True, False):
            row = f"workers {workers}, {'similar objects' if similar else 'random objects'}"
            with in_front_of_a_service(workers, _SETTINGS) as (_, ours):
                _together(case, row, ours, clients, _contents(plan.client_bytes, similar=similar))
    peaks = [*case.column("peak of PUTs, MiB").values(), *case.column("peak of GETs, MiB").values()]
    case.at_most("peak of RssAnon in MiB, worst", max(peaks), 1024)
    return case


def _contents(size: int, *, similar: bool) -> Callable[[], Iterator[bytes]]:
    """Of an object, a new one at each call: pieces of 1 MiB, random, or equal but for the start of each."""
    shared = os.urandom(size)

    def pieces() -> Iterator[bytes]:
        for at in range(0, size, MIB):
            piece = shared[at : at + MIB]
            yield os.urandom(_PATCH) + piece[_PATCH:] if similar else os.urandom(len(piece))

    return pieces


def _together(
    case: Case, row: str, ours: ThrowawayServer, clients: int, contents: Callable[[], Iterator[bytes]]
) -> None:
    endpoint = _endpoint(ours)
    size = sum(map(len, contents()))
    digests: dict[int, bytes] = {}

    def put(client: int) -> None:
        found = hashlib.sha256()
        head = signing.request(endpoint, "PUT", _image(client), size=size, payload=signing.UNSIGNED)
        with Connection(endpoint) as connection:
            connection.begin(head)
            for piece in contents():
                found.update(piece)
                connection.push(piece)
            connection.finish()
        digests[client] = found.digest()

    def get(client: int) -> None:
        found = hashlib.sha256()
        with Connection(endpoint) as connection:
            connection.stream(signing.request(endpoint, "GET", _image(client)), found.update)
        if found.digest() != digests[client]:
            raise ValueError(f"object {client} did not come back byte-identical")

    case.add(row, "idle, MiB", processes.anonymous_bytes(ours.pid) / MIB)
    put(0)
    for name, work in (("PUT", put), ("GET", get)):
        with processes.peak_memory(ours.pid) as peak, processes.spending(ours.pid) as spent:
            _at_once(work, clients)
        case.add(row, f"peak of {name}s, MiB", peak.bytes / MIB)
        case.add(row, f"{name}, MB/s", clients * size / MB / spent.seconds)
        case.add(row, f"{name}, CPU ms/MB", 1000 * spent.cpu / (clients * size / MB))
    with Connection(endpoint) as connection:
        kinds = [_kind(connection, endpoint, _image(client)) for client in range(1, clients + 1)]
    case.add(row, "stored as deltas", kinds.count("delta"))


def _at_once(work: Callable[[int], None], clients: int) -> None:
    barrier = threading.Barrier(clients)

    def one(client: int) -> None:
        barrier.wait()
        work(client)

    with ThreadPoolExecutor(clients) as pool:
        for _ in pool.map(one, range(1, clients + 1)):
            pass


def _image(client: int) -> str:
    return f"/{BUCKET}/image-{client:04d}.bin"


def _kind(connection: Connection, endpoint: Endpoint, path: str) -> str | None:
    """How ours stored the object."""
    connection.send(signing.request(endpoint, "HEAD", path))
    return connection.header("x-amz-storage-type")


def _endpoint(ours: ThrowawayServer) -> Endpoint:
    return Endpoint(ours.port, ACCESS_KEY, SECRET_KEY)
