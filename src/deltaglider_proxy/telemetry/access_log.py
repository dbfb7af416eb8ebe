"""One line per request on the access logger, after the response: who asked for what, and how it went.

Only the path is logged, never a query, because the query of a presigned URL is a credential.
"""

import logging
from urllib.parse import quote

from deltaglider_proxy.telemetry.log_filter import ACCESS
from deltaglider_proxy.telemetry.logs import Logger, get_logger

_UNTOUCHED = "%!$&'()*+,;=:@/~"
"""What a path may hold beside letters and digits as it is: RFC 3986, with the escapes that are there already."""


def escape_path(path: str) -> str:
    """A path as sent, with every byte escaped that could end a line, a field or a quotation."""
    return quote(path, safe=_UNTOUCHED, errors="surrogateescape")


class AccessLog:
    """The lines are `info`; answers of 500 and above are `warning`, so that they can be kept when the rest is off."""

    def __init__(self) -> None:
        self._log: Logger = get_logger(ACCESS)

    def request_done(
        self, method: str, path: str, status: int, sent_bytes: int, seconds: float, request_id: str, peer: str
    ) -> None:
        """`path` is as on the wire, still percent-encoded, without query; `seconds` until the last byte was sent."""
        level = logging.WARNING if status >= 500 else logging.INFO
        if not self._log.enabled(level):
            return
        (self._log.warning if status >= 500 else self._log.info)(
            "request",
            method=method,
            path=escape_path(path),
            status=status,
            bytes=sent_bytes,
            duration_ms=round(seconds * 1000, 3),
            request_id=request_id,
            peer=peer,
        )
