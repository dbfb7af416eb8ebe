"""S3 requests as finished bytes, signed ahead of time, so that the clock runs for the server alone.

AWS Signature Version 4 with the Authorization header, for names that need no escaping beyond what `quote` does.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256().hexdigest()
_SERVICE = "us-east-1/s3/aws4_request"


@dataclass(frozen=True)
class Endpoint:
    """A server on this machine and the account that it knows."""

    port: int
    access_key: str
    secret_key: str

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


def request(
    endpoint: Endpoint,
    method: str,
    path: str,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    size: int = 0,
    payload: str = EMPTY,
) -> bytes:
    """Everything up to the body, which has `size` bytes and the SHA-256 `payload` in hex (or UNSIGNED)."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {
        "host": endpoint.host,
        "x-amz-content-sha256": payload,
        "x-amz-date": now,
        **({name.lower(): value for name, value in (headers or {}).items()}),
    }
    names = ";".join(sorted(signed))
    encoded = "&".join(sorted(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in (query or {}).items()))
    target = quote(path, safe="/-_.~")
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = f"{method}\n{target}\n{encoded}\n{lines}\n{names}\n{payload}"
    scope = f"{now[:8]}/{_SERVICE}"
    to_sign = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(_key(endpoint.secret_key, now[:8]), to_sign.encode(), hashlib.sha256).hexdigest()
    sent = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return (
        f"{method} {target}{'?' if encoded else ''}{encoded} HTTP/1.1\r\n{sent}content-length: {size}\r\n"
        f"authorization: AWS4-HMAC-SHA256 Credential={endpoint.access_key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}\r\n\r\n"
    ).encode()


@lru_cache
def _key(secret: str, day: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, *_SERVICE.split("/")):
        key = hmac.digest(key, part.encode(), hashlib.sha256)
    return key
