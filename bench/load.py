"""Many small requests at once from several processes, each of which keeps some connections busy.

The requests are signed before the clock runs, and a client does nothing but send the next one when an answer is
complete, so the servers are the bottleneck even on a machine with two cores.
"""

import multiprocessing
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier

from bench.signing import Endpoint
from bench.wire import Refused, content_length

CONNECTIONS = 16
_PROCESSES = 2
_TIMEOUT_SECONDS = 120.0


@dataclass
class _Lane:
    """One connection and the answer that it is receiving."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    head: bool = False
    missing: int | None = None


def drive(endpoint: Endpoint, requests: Sequence[bytes], started: Callable[[], None] = lambda: None) -> float:
    """Seconds that all `requests` take over `CONNECTIONS` connections. Raises Refused if one was not answered 2xx."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(_PROCESSES + 1)
    results = context.SimpleQueue()
    children = [
        context.Process(
            target=_client,
            args=(endpoint, requests[number::_PROCESSES], CONNECTIONS // _PROCESSES, barrier, results),
            daemon=True,
        )
        for number in range(_PROCESSES)
    ]
    for child in children:
        child.start()
    barrier.wait(_TIMEOUT_SECONDS)
    started()
    began = time.perf_counter()
    barrier.wait(_TIMEOUT_SECONDS)
    failures: list[str] = [failure for failure in (results.get() for _ in children) if failure]
    seconds = time.perf_counter() - began
    for child in children:
        child.join()
    if failures:
        raise Refused(failures[0])
    return seconds


def _client(
    endpoint: Endpoint,
    requests: Sequence[bytes],
    connections: int,
    barrier: Barrier,
    results: "multiprocessing.SimpleQueue[str]",
) -> None:
    lanes = [_Lane(socket.create_connection(("127.0.0.1", endpoint.port))) for _ in range(connections)]
    for lane in lanes:
        lane.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    barrier.wait(_TIMEOUT_SECONDS)
    barrier.wait(_TIMEOUT_SECONDS)
    try:
        _run(lanes, requests)
    except (OSError, Refused) as error:
        results.put(repr(error))
    else:
        results.put("")


def _run(lanes: list[_Lane], requests: Sequence[bytes]) -> None:
    waiting = iter(requests)
    busy = 0
    with selectors.DefaultSelector() as selector:
        for lane in lanes:
            selector.register(lane.socket, selectors.EVENT_READ, lane)
            busy += _next(lane, waiting)
        while busy:
            for key, _ in selector.select(_TIMEOUT_SECONDS):
                lane = key.data
                assert isinstance(lane, _Lane)
                if _complete(lane) and not _next(lane, waiting):
                    busy -= 1


def _next(lane: _Lane, waiting: Iterator[bytes]) -> bool:
    request = next(waiting, None)
    if request is None:
        return False
    lane.head = request.startswith(b"HEAD ")
    lane.received.clear()
    lane.missing = None
    lane.socket.sendall(request)
    return True


def _complete(lane: _Lane) -> bool:
    piece = lane.socket.recv(65536)
    if not piece:
        raise ConnectionResetError(f"the server closed the connection after {bytes(lane.received[:80])!r}")
    if lane.missing is not None:
        lane.missing -= len(piece)
        return lane.missing <= 0
    lane.received += piece
    end = lane.received.find(b"\r\n\r\n")
    if end < 0:
        return False
    if lane.received[9:10] != b"2":
        raise Refused(bytes(lane.received[:600]).decode(errors="replace"))
    length = 0 if lane.head else content_length(bytes(lane.received[: end + 2]))
    if length is None:
        raise Refused("a small object came in chunks")
    lane.missing = length - (len(lane.received) - end - 4)
    return lane.missing <= 0
