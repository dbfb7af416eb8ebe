"""One request on its way through the S3 layer, and the answer to it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from deltaglider_proxy.access.authenticator import Authenticator, Caller, Moment
from deltaglider_proxy.access.authorize import allowed
from deltaglider_proxy.access.policy.context import Context
from deltaglider_proxy.access.state import AccessState
from deltaglider_proxy.engine.api import ObjectStore
from deltaglider_proxy.s3.body import RequestBody
from deltaglider_proxy.s3.protocol.operations import Operation
from deltaglider_proxy.s3.protocol.request import Request
from deltaglider_proxy.s3.upload_checksums import UploadChecksums
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool

HeaderList = list[tuple[bytes, bytes]]

_MOST_REFUSED = 16

XML_HEADERS: HeaderList = [(b"content-type", b"application/xml")]


@dataclass(frozen=True, slots=True)
class S3Settings:
    """What the operator decides about the protocol; the server maps the configuration to this."""

    max_object_size: int
    debug_headers: bool = False
    cors_permissive: bool = False
    virtual_host_domain: bytes = b""
    max_concurrent_requests: int = 1024
    idle_timeout: float = 300.0
    """Seconds without a byte from the client."""
    recursive_page: int = 1000
    """Objects that a recursive delete looks at together."""
    silence: float = 10.0
    """Seconds that an operation which may work long says nothing."""
    closed: frozenset[str] = frozenset()
    """Buckets whose objects clients may not change."""


@dataclass(slots=True)
class Call:
    """What a handler works with."""

    request: Request
    operation: Operation
    caller: Caller
    at: Moment
    """When and from where it came."""
    context: Context
    """What conditions of rules look at."""
    state: AccessState
    """By which it was admitted."""
    filtered: bool
    """A listing must leave out what the caller may not see."""
    store: ObjectStore
    body: RequestBody
    settings: S3Settings
    clock: Clock
    pool: Pool
    authenticator: Authenticator
    uploads: UploadChecksums
    refused_keys: list[str] = field(default_factory=list)
    """Of those that an operation is about, and that the caller may not touch: the first few."""
    document: bytes = b""
    """The body of operations whose body is a small document."""

    @property
    def bucket(self) -> str:
        return self.request.bucket

    @property
    def key(self) -> str:
        return self.request.key

    @property
    def parameters(self) -> Mapping[str, str]:
        return self.request.parameters

    def may(self, action: str, key: str) -> bool:
        """Whether the caller may do something else with a key of this bucket."""
        may = allowed(self.caller.identity, action, self.bucket, key, self.context)
        if not may and len(self.refused_keys) < _MOST_REFUSED:
            self.refused_keys.append(key)
        return may

    def header(self, name: bytes) -> str | None:
        return self.request.header(name)


@dataclass(slots=True)
class Response:
    status: int = 200
    headers: HeaderList = field(default_factory=list)
    body: bytes = b""
    stream: AsyncIterator[bytes | memoryview] | None = None
    """Instead of `body`; `length` bytes in all, or as many as there are if that is None."""
    length: int | None = None
    first: Callable[[], HeaderList] | None = None
    """Headers that are known only once the first chunk of `stream` was made."""
    close: Callable[[], Awaitable[None]] | None = None
    """Called when the response has ended, however it ended."""


Handler = Callable[[Call], Awaitable[Response]]


def xml(document: bytes, status: int = 200) -> Response:
    return Response(status, [*XML_HEADERS], document)
