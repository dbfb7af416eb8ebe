"""Releases of real software: what storing and reading them takes, against the xdelta3 command per file.

A PUT is timed with all it entails: signature, SHA-256 and MD5 of the body, finding the reference, fsync, and for the
second release the making of the reference. xdelta3 gets files in the page cache and is told what the reference is.
"""

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from bench import processes, signing, xdelta
from bench.measure import MB, MIB, Case, median
from bench.peers import scratch
from bench.plan import Plan
from bench.series import Series, fetch
from bench.signing import Endpoint
from bench.throwaway import ACCESS_KEY, SECRET_KEY, ThrowawayServer, throwaway_server
from bench.wire import Connection

_RANGES = 20
_IDLE_SECONDS = 0.2


@dataclass(frozen=True)
class _Tables:
    put: Case
    get: Case
    stored: Case


def run(plan: Plan) -> list[Case]:
    tables = _Tables(
        Case("delta-put", "Delta PUT: every release after the first of its series"),
        Case("delta-get", "Delta GET: the same releases; cold is after a restart with an empty cache folder"),
        Case("stored", "Stored bytes of these releases; `all` includes the first and what we keep as references"),
    )
    series = fetch(tables.put.remarks, quick=plan.quick)
    peer = xdelta.installed()
    if not peer:
        tables.put.remarks.append("xdelta3 is left out: it is not installed")
    settings = {"DGP_DEBUG_HEADERS": "true"}
    with throwaway_server(settings=settings, place=scratch()) as server, TemporaryDirectory(dir=scratch()) as name:
        for number in range(plan.rounds):
            for one in series:
                if peer:
                    _encode(tables, one, Path(name))
                _put(tables, one, server, number)
                _sizes(tables.stored, one, server, number, Path(name) if peer else None)
            server.restart(empty_cache=True)
            _settle(server.pid)
            for one in series:
                if peer:
                    _decode(tables.get, one, Path(name))
                _get(tables.get, one, server, number)
    _judge(tables)
    return [tables.put, tables.get, tables.stored]


def _put(tables: _Tables, series: Series, server: ThrowawayServer, number: int) -> None:
    endpoint = _endpoint(server)
    bucket = f"{series.name}-{number}"
    with Connection(endpoint) as connection:
        connection.send(signing.request(endpoint, "PUT", f"/{bucket}"))
        _send(connection, endpoint, bucket, series.files[:1], "first")
        _settle(server.pid)
        for again, column in ((False, "PUT"), (True, "PUT again")):
            size = sum(path.stat().st_size for path in series.files[1:])
            before = processes.cpu_seconds(server.pid)
            seconds = _send(connection, endpoint, bucket, series.files[1:], str(again))
            _settle(server.pid)
            tables.put.add(series.name, f"{column}, MB/s", size / MB / seconds)
            spent = processes.cpu_seconds(server.pid) - before
            tables.put.add(series.name, f"{column}, CPU ms/MB", 1000 * spent / (size / MB))


def _send(connection: Connection, endpoint: Endpoint, bucket: str, files: Iterable[Path], mark: str) -> float:
    """Seconds between first byte sent and last answer, hashing by the client left out."""
    seconds = 0.0
    for path in files:
        body = path.read_bytes()
        head = signing.request(
            endpoint,
            "PUT",
            f"/{bucket}/{path.name}",
            headers={"x-amz-meta-mark": mark},  # so that the same PUT once more is not taken for a replay
            size=len(body),
            payload=hashlib.sha256(body).hexdigest(),
        )
        began = time.perf_counter()
        connection.send(head, body)
        seconds += time.perf_counter() - began
    return seconds


def _settle(pid: int) -> None:
    """Wait for what the server does behind its answer, so that it is charged to the request that caused it."""
    before = -1.0
    while before != (before := processes.cpu_seconds(pid)):
        time.sleep(_IDLE_SECONDS)


def _get(case: Case, series: Series, server: ThrowawayServer, number: int) -> None:
    endpoint = _endpoint(server)
    bucket = f"{series.name}-{number}"
    with Connection(endpoint) as connection:
        for column in ("GET cold", "GET warm"):
            seconds = cpu = 0.0
            size = 0
            for path in series.files[1:]:
                body = bytearray(path.stat().st_size)
                head = signing.request(endpoint, "GET", f"/{bucket}/{path.name}")
                with processes.spending(server.pid) as spent:
                    length = connection.fetch(head, body)
                if body[:length] != path.read_bytes():
                    raise ValueError(f"{path.name} did not come back byte-identical")
                seconds, cpu, size = seconds + spent.seconds, cpu + spent.cpu, size + length
            case.add(series.name, f"{column}, MB/s", size / MB / seconds)
            case.add(series.name, f"{column}, CPU ms/MB", 1000 * cpu / (size / MB))
        _ranges(case, series, server, bucket, connection)


def _ranges(case: Case, series: Series, server: ThrowawayServer, bucket: str, connection: Connection) -> None:
    endpoint = _endpoint(server)
    rng = Random(1)
    path = series.files[-1]
    content = path.read_bytes()
    before = processes.cpu_seconds(server.pid)
    for _ in range(_RANGES):
        start = rng.randrange(max(len(content) - MIB, 1))
        body = bytearray(MIB)
        head = signing.request(
            endpoint, "GET", f"/{bucket}/{path.name}", headers={"range": f"bytes={start}-{start + MIB - 1}"}
        )
        began = time.perf_counter()
        length = connection.fetch(head, body)
        case.add(series.name, "1 MiB range, ms", 1000 * (time.perf_counter() - began))
        if body[:length] != content[start : start + MIB]:
            raise ValueError(f"{path.name}: the range from {start} is not what was stored")
    case.add(series.name, "range, CPU ms", 1000 * (processes.cpu_seconds(server.pid) - before) / _RANGES)


def _encode(tables: _Tables, series: Series, place: Path) -> None:
    first, *others = series.files
    runs = [xdelta.encode(first, path, place / f"{path.name}.vcdiff") for path in others]
    size = sum(path.stat().st_size for path in others) / MB
    tables.put.add(series.name, "xdelta3 -e, MB/s", size / sum(run.seconds for run in runs))
    tables.put.add(series.name, "xdelta3 -e, CPU ms/MB", 1000 * sum(run.cpu for run in runs) / size)


def _decode(case: Case, series: Series, place: Path) -> None:
    first, *others = series.files
    runs = [xdelta.decode(first, place / f"{path.name}.vcdiff", place / "decoded") for path in others]
    size = sum(path.stat().st_size for path in others) / MB
    case.add(series.name, "xdelta3 -d, MB/s", size / sum(run.seconds for run in runs))
    case.add(series.name, "xdelta3 -d, CPU ms/MB", 1000 * sum(run.cpu for run in runs) / size)


def _sizes(case: Case, series: Series, server: ThrowawayServer, number: int, deltas: Path | None) -> None:
    endpoint = _endpoint(server)
    bucket = f"{series.name}-{number}"
    stored = found = 0
    with Connection(endpoint) as connection:
        for path in series.files[1:]:
            connection.send(signing.request(endpoint, "HEAD", f"/{bucket}/{path.name}"))
            size = connection.header("x-deltaglider-stored-size")
            if size is None:
                raise ValueError("the server does not tell x-deltaglider-stored-size; DGP_DEBUG_HEADERS has no effect")
            stored += int(size)
            found += connection.header("x-amz-storage-type") == "delta"
    case.add(series.name, "stored as deltas, %", 100 * found / (len(series.files) - 1))
    case.add(series.name, "logical, MB", sum(path.stat().st_size for path in series.files[1:]) / MB)
    case.add(series.name, "ours, kB", stored / 1000)
    if deltas is not None:
        others = sum((deltas / f"{path.name}.vcdiff").stat().st_size for path in series.files[1:])
        case.add(series.name, "xdelta3, kB", others / 1000)
        case.add(series.name, "ours / xdelta3", stored / others)
        case.add(series.name, "xdelta3 all, MB", (series.files[0].stat().st_size + others) / MB)
    case.add(series.name, "ours all, MB", server.stored(bucket).stored_bytes / MB)


def _judge(tables: _Tables) -> None:
    put, get, stored = tables.put, tables.get, tables.stored
    faster = put.ratios("PUT, MB/s", "xdelta3 -e, MB/s")
    for row, ratio in faster.items():
        put.add(row, "PUT / xdelta3", ratio)
    put.at_least("PUT is faster than xdelta3, median of the series, times", median(faster.values()), 5)
    put.at_least("the same for the series with the least", min(faster.values(), default=None), 1)
    worst = max(put.column("PUT, CPU ms/MB").values(), default=None)
    put.at_most("CPU of PUT in ms/MB, median of the series", median(put.column("PUT, CPU ms/MB").values()), 10)
    put.at_most("the same for the worst series", worst, 10)
    for kind in ("cold", "warm"):
        costs = get.column(f"GET {kind}, CPU ms/MB").values()
        get.at_most(f"CPU of a {kind} GET in ms/MB, worst series", max(costs, default=None), 4)
    others = sum(stored.column("xdelta3, kB").values())
    if others:
        total = sum(stored.column("ours, kB").values()) / others
        stored.at_most("stored bytes of all series together, of xdelta3's", total, 1)
        stored.at_most("the same for the worst series", max(stored.column("ours / xdelta3").values()), 1.3)


def _endpoint(server: ThrowawayServer) -> Endpoint:
    return Endpoint(server.port, ACCESS_KEY, SECRET_KEY)
