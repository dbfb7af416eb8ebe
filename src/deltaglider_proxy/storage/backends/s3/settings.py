"""What the backend is told about its service: where it is, who we are there, and how long to wait for it.

One rule of AWS is applied here: without an endpoint the region names it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class KeyPair:
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class S3Settings:
    lock_dir: Path
    """Local directory, shared by all processes of this host that write to the service."""
    endpoint: str | None = None
    """`http(s)://HOST[:PORT]`; None: AWS in `region`."""
    region: str = "us-east-1"
    path_style: bool = True
    """The bucket is in the path, not in the host name."""
    key_pair: KeyPair | None = None
    """None: the sources that botocore knows, in its order."""
    allow_local: bool = False
    """Hosts that are not public may be connected to."""
    connections: int = 64
    """Open at once, per process."""
    connect_timeout: float = 5.0
    """Seconds for one connection, TLS included."""
    deadline: float = 60.0
    """Seconds for a request with all that is repeated of it, bodies of streams excepted; one more for each MiB that is
    sent, and for each 20 MiB that the service copies. Whatever makes an object visible ends within it: keep it far
    below a quarter of the time that garbage collection waits."""
    idle_timeout: float = 30.0
    """Seconds that a streamed body may stand still."""
    name: str = ""
    """What the operator calls the backend."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    scheme: str
    host: str
    """As the Host header has it: with the port unless it is the scheme's own."""
    hostname: str

    @property
    def secure(self) -> bool:
        return self.scheme == "https"


def endpoint_of(settings: S3Settings) -> Endpoint:
    """Raises ValueError for what is no endpoint."""
    text = settings.endpoint
    if text is None:
        china = ".cn" if settings.region.startswith("cn-") else ""
        text = f"https://s3.{settings.region}.amazonaws.com{china}"
    url = urlsplit(text)
    if url.scheme not in _DEFAULT_PORTS or not url.hostname or url.path.strip("/") or url.username is not None:
        raise ValueError(f"endpoint {text!r}: must be http://HOST[:PORT] or https://HOST[:PORT]")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    if url.port is not None and url.port != _DEFAULT_PORTS[url.scheme]:
        host += f":{url.port}"
    return Endpoint(url.scheme, host, url.hostname)
