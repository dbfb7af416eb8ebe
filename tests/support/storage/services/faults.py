"""What can go wrong with a request on its way to a service and back, and which requests it happens to.

Faults are values; `fault_proxy` carries them out. Offsets count bytes of a body without the framing of HTTP.
"""

import asyncio
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.storage.services.http1 import Head


class Side(Enum):
    REQUEST = auto()
    ANSWER = auto()


@dataclass(frozen=True, slots=True)
class Delay:
    """Latency before the request is passed on, or before its answer is."""

    seconds: float
    side: Side = Side.REQUEST


@dataclass(frozen=True, slots=True)
class Refuse:
    """An answer that the service never gave, to a request that it never saw."""

    status: int
    code: str
    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""
    """In place of the error document."""

    def body(self) -> bytes:
        return (
            self.text.encode()
            or (
                '<?xml version="1.0" encoding="UTF-8"?>\n'
                f"<Error><Code>{self.code}</Code><Message>Made by the fault proxy.</Message>"
                "<RequestId>FAULT</RequestId></Error>"
            ).encode()
        )


INTERNAL_ERROR: Final = Refuse(500, "InternalError")
SLOW_DOWN: Final = Refuse(503, "SlowDown")


@dataclass(frozen=True, slots=True)
class LoseRequest:
    """The connection is reset; the service saw nothing."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The service has done what was asked and has answered; the connection is reset instead."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection breaks after so many bytes of a body: by a reset, or by an orderly end that is too early."""

    side: Side
    after: int
    reset: bool = True


@dataclass(frozen=True, slots=True)
class Corrupt:
    """One byte of a body has all its bits turned over. A body that ends before is left as it is."""

    side: Side
    at: int


@dataclass(frozen=True, slots=True)
class Drip:
    """A body in small pieces, with a pause before each."""

    side: Side
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Strip:
    """Fields of the head that the other side does not get to see. What was signed is signed again without them."""

    side: Side
    names: tuple[str, ...]


NO_CONDITIONS: Final = Strip(
    Side.REQUEST,
    ("If-Match", "If-None-Match", "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match"),
)
"""A store without compare-and-swap."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The request, or its answer, waits for `release`; `reached` tells that it is there."""

    side: Side = Side.REQUEST
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Keep:
    """The whole request is kept in memory, at most 64 MiB, to be sent (again) on demand with `FaultProxy.send`.

    `passed`: it also takes its usual way, so that a later sending is a duplicate. Otherwise the connection is reset,
    as if it had been lost, and a later sending is the late effect of a request that its client gave up.
    """

    passed: bool = True
    kept: "list[Kept]" = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kept:
    head: Head
    body: bytes


Fault = Delay | Refuse | LoseRequest | LoseAnswer | Cut | Corrupt | Drip | Strip | Hold | Keep


@dataclass(frozen=True, slots=True)
class Request:
    """A request as rules see it."""

    head: Head

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def path(self) -> str:
        """`/BUCKET/KEY`, decoded."""
        return unquote(urlsplit(self.head.target).path)

    @property
    def query(self) -> dict[str, str]:
        """Of a name that is repeated, the last value."""
        found = parse_qs(urlsplit(self.head.target).query, keep_blank_values=True)
        return {name: values[-1] for name, values in found.items()}


@dataclass(slots=True)
class Rule:
    """Says to which requests a fault happens: of those that match, `times` of them after the first `skip`."""

    fault: Fault
    method: str | None = None
    path: str | None = None
    """A regular expression for a part of the decoded path."""
    query: Collection[str] = ()
    """Names of parameters that the request must have."""
    when: Callable[[Request], bool] | None = None
    skip: int = 0
    times: int | None = 1
    """None: all."""
    matched: int = field(default=0, init=False)
    happened: int = field(default=0, init=False)

    def takes(self, request: Request) -> bool:
        """Counts; to be asked once for each request."""
        if not self._matches(request):
            return False
        self.matched += 1
        if self.matched <= self.skip or (self.times is not None and self.happened >= self.times):
            return False
        self.happened += 1
        return True

    def _matches(self, request: Request) -> bool:
        return (
            (self.method is None or self.method == request.method)
            and (self.path is None or re.search(self.path, request.path, re.DOTALL) is not None)
            and set(self.query) <= request.query.keys()
            and (self.when is None or self.when(request))
        )
