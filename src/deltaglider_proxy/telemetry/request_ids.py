"""Names for requests: what `x-amz-request-id`, `<RequestId>` and every log line of a request show.

A random prefix per process and a counter are unique without asking the kernel for randomness per request. They are
names, not secrets.
"""

import secrets
from base64 import b64encode
from dataclasses import dataclass
from itertools import count

import structlog

_PREFIX_BYTES = 6
_COUNTER_DIGITS = 12


@dataclass(frozen=True, slots=True)
class RequestId:
    id: str
    """24 upper-case hex digits."""
    extended: str
    """`x-amz-id-2`: 64 base64 characters that mean nothing."""


class RequestIds:
    """Make one per process, after any fork."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(_PREFIX_BYTES).upper()
        self._host = b64encode(secrets.token_bytes(36)).decode()
        self._numbers = count(1)

    def next(self) -> RequestId:
        """Never the same twice in one process, and by chance of 2⁻⁴⁸ in two."""
        name = f"{self._prefix}{next(self._numbers):0{_COUNTER_DIGITS}X}"
        return RequestId(name, self._host + b64encode(bytes.fromhex(name)).decode())


def bind_to_log(request_id: RequestId) -> None:
    """Add the id to every log line of this task and of the tasks that it starts."""
    structlog.contextvars.bind_contextvars(request_id=request_id.id)
