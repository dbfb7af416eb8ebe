"""What the backend is told about its service: where it is, who we are there, and how long to wait for it.

One rule of AWS is applied here: without an endpoint the region names it.
"""

from dataclasses import dataclass, field
from pathlib import Path

from deltaglider_proxy.outbound.addresses import Kind
from deltaglider_proxy.outbound.policy import RefusedUrl, Target, check_url


@dataclass(frozen=True, slots=True)
class KeyPair:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    """Of temporary credentials."""


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
    connect_timeout: float = 10.0
    """Seconds for one connection, TLS included."""
    read_timeout: float = 60.0
    """Seconds between a request that is sent and its answer, or a part of that; not of copies, which say nothing while
    they are made. A request that met with silence is not repeated."""
    deadline: float = 300.0
    """Seconds for a request with all that is repeated of it, bodies of streams excepted; one more for each MiB that is
    sent, and for each 20 MiB that the service copies. Whatever makes an object visible ends within it: keep it below a
    quarter of the time that garbage collection waits."""
    idle_timeout: float = 20.0
    """Seconds that a streamed body may stand still."""
    name: str = ""
    """What the operator calls the backend."""
    ca_bundle: Path | None = None
    """Authorities to trust in place of the system's."""


def kind_of(settings: S3Settings) -> Kind:
    return Kind.BACKEND_DEV if settings.allow_local else Kind.BACKEND


def endpoint_of(settings: S3Settings) -> Target:
    """Raises ValueError for what is no endpoint, and for one that may not be connected to."""
    text = settings.endpoint
    if text is None:
        china = ".cn" if settings.region.startswith("cn-") else ""
        text = f"https://s3.{settings.region}.amazonaws.com{china}"
    try:
        target = check_url(text, kind_of(settings))
    except RefusedUrl as error:
        raise ValueError(f"endpoint: {error}") from error
    if target.path.strip("/"):
        raise ValueError(f"endpoint: {target.authority!r} must not be followed by a path")
    return target
