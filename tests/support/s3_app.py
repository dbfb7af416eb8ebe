"""The S3 layer over a real engine, whose long operations a test can hold up."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from typing_extensions import override

from deltaglider_proxy.access.authenticator import Authenticator
from deltaglider_proxy.access.client_address import ClientAddresses
from deltaglider_proxy.access.state import OPEN_STATE, AccessState
from deltaglider_proxy.engine.context import Context
from deltaglider_proxy.engine.engine import Engine
from deltaglider_proxy.engine.model import (
    Attributes,
    Body,
    ChecksumAlgorithm,
    CompletedPart,
    ObjectInfo,
    PartInfo,
    Precondition,
)
from deltaglider_proxy.engine.multipart import Verify
from deltaglider_proxy.s3.app import S3App, Serving
from deltaglider_proxy.s3.call import S3Settings
from deltaglider_proxy.s3.observe import Observer
from deltaglider_proxy.telemetry import worker_slots
from deltaglider_proxy.telemetry.logs import Logger
from deltaglider_proxy.telemetry.metrics import Metrics
from deltaglider_proxy.telemetry.pool import Pool

Message = MutableMapping[str, Any]

NEVER = 3600.0
"""Seconds that no test takes."""


class HeldEngine(Engine):
    """Copies and completions wait until `go` is set; whatever raises in them may be given in `failure`."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def _held(self) -> None:
        await self.go.wait()
        if self.failure is not None:
            raise self.failure

    @override
    async def copy(
        self,
        source: tuple[str, str],
        target: tuple[str, str],
        attributes: Attributes | None,
        source_precondition: Precondition | None = None,
        precondition: Precondition | None = None,
        checksum: ChecksumAlgorithm | None = None,
    ) -> ObjectInfo:
        await self._held()
        return await super().copy(source, target, attributes, source_precondition, precondition, checksum)

    @override
    async def put_part(self, bucket: str, key: str, upload_id: str, number: int, body: Body) -> PartInfo:
        await self._held()
        return await super().put_part(bucket, key, upload_id, number, body)

    @override
    async def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[CompletedPart],
        precondition: Precondition | None = None,
        verify: Verify | None = None,
    ) -> ObjectInfo:
        await self._held()
        return await super().complete_upload(bucket, key, upload_id, parts, precondition, verify)


@contextmanager
def captured_log() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the application would log, warnings and above."""
    before = structlog.get_config()
    capture = structlog.testing.LogCapture()
    structlog.configure([capture], Logger, logger_factory=structlog.stdlib.LoggerFactory())
    yield capture.entries
    structlog.configure(**before)


def app(
    engine: Engine,
    directory: Path,
    settings: S3Settings,
    pool: Pool,
    authenticator: Authenticator | None = None,
    access: AccessState = OPEN_STATE,
) -> S3App:
    """As it is, everyone is administrator."""
    worker_slots.prepare(directory, 0.0)
    clock = engine.ctx.clock
    metrics = Metrics(directory, clock, "test", "memory", 1)
    serving = Serving.of(engine, settings, access)
    return S3App(serving, authenticator or Authenticator(), ClientAddresses(), clock, pool, Observer(metrics, clock))


@dataclass
class Exchange:
    """What an application sent for one request. `on_send` sees each message before it is taken, and may raise."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False
    on_send: Callable[["Exchange"], None] = lambda _: None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    async def take(self, message: Message) -> None:
        self.on_send(self)
        assert not self.ended
        if message["type"] == "http.response.start":
            assert not self.status
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            assert self.status
            self.pieces.append(message["body"])
            self.ended = not message.get("more_body", False)
        await asyncio.sleep(0)  # as a socket would let others run


async def ask(
    target: S3App,
    method: str,
    path: str,
    query: str = "",
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes = b"",
    exchange: Exchange | None = None,
) -> Exchange:
    """One request, to its end."""
    made = exchange or Exchange()
    scope: Message = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), (b"content-length", b"%d" % len(body)), *headers],
        "client": ("127.0.0.1", 1),
    }
    sent = [body]

    async def receive() -> Message:
        return {"type": "http.request", "body": sent.pop(), "more_body": False}

    await target(scope, receive, made.take)
    return made
