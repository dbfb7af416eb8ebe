"""Where objects are kept: a directory, or an S3 service."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Discriminator, Tag

from deltaglider_proxy.config.encryption import Encryption, Unencrypted
from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.model import Model
from deltaglider_proxy.config.secret import Secret

MAX_ENDPOINT = 4096
_METADATA_HOSTS = frozenset(
    {
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "fd00:ec2::254",
        "metadata.google.internal",
        "metadata.goog",
    }
)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]+")


class FilesystemBackend(Model):
    type: Literal["filesystem"]
    """A directory on a local or mounted file system."""
    path: str
    """The directory; relative to the working directory."""


class S3Backend(Model):
    type: Literal["s3"]
    """A service that speaks S3."""
    endpoint: str | None = None
    """URL of the service; AWS in the given region if absent."""
    region: str = "us-east-1"
    """Region that requests are signed for."""
    force_path_style: bool = True
    """Put the bucket into the path instead of the host name."""
    access_key_id: str | None = None
    """Key id for the service; without a pair, the usual sources of AWS credentials are tried."""
    secret_access_key: Secret | None = None
    """Secret for the service."""
    allow_local: bool = False
    """Permit plain HTTP, and hosts that are not public."""


class NamedFilesystemBackend(FilesystemBackend):
    name: str
    """Unique; buckets refer to it."""
    encryption: Encryption = Unencrypted()
    """How objects are encrypted."""


class NamedS3Backend(S3Backend):
    name: str
    """Unique; buckets refer to it."""
    encryption: Encryption = Unencrypted()
    """How objects are encrypted."""


def _tag(value: object) -> object:
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


Backend = Annotated[
    Annotated[FilesystemBackend, Tag("filesystem")] | Annotated[S3Backend, Tag("s3")], Discriminator(_tag)
]
NamedBackend = Annotated[
    Annotated[NamedFilesystemBackend, Tag("filesystem")] | Annotated[NamedS3Backend, Tag("s3")], Discriminator(_tag)
]


def environment_suffix(name: str) -> str:
    """How the name of a backend is written in names of environment variables."""
    return name.upper().replace("-", "_").replace(".", "_")


def check(backend: FilesystemBackend | S3Backend, keys: Keys, *, complete: bool) -> Iterator[Finding]:
    """`complete`: the environment has been applied, so what is missing now stays missing."""
    if isinstance(backend, FilesystemBackend):
        if not backend.path:
            yield error((*keys, "path"), "must not be empty", "name a directory")
        if ".." in backend.path.split("/") or "\0" in backend.path:
            yield error((*keys, "path"), "must not hold `..` or NUL", "write the directory itself", value=backend.path)
        return
    if backend.endpoint is not None:
        yield from _check_endpoint(backend.endpoint, (*keys, "endpoint"), local=backend.allow_local)
    if not backend.region:
        yield error((*keys, "region"), "must not be empty", "remove it, or name a region")
    if bool(backend.access_key_id) != bool(backend.secret_access_key):
        missing = "secret_access_key" if backend.access_key_id else "access_key_id"
        report = error if complete else warning
        yield report((*keys, missing), "half a key pair is of no use", "set it here or in the environment")


def _check_endpoint(endpoint: str, keys: Keys, *, local: bool) -> Iterator[Finding]:
    if len(endpoint) > MAX_ENDPOINT:
        yield error(keys, f"is longer than {MAX_ENDPOINT} characters")
        return
    try:
        url = urlsplit(endpoint)
        host = (url.hostname or "").lower()
        usable = url.scheme in ("http", "https") and bool(_HOST.fullmatch(host)) and url.port != 0
    except ValueError:
        usable, host, url = False, "", urlsplit("")
    if url.username is not None or url.password is not None:
        yield error(keys, "must not hold credentials", "use access_key_id and secret_access_key")
        return
    if not usable or url.query or url.fragment:
        yield error(keys, "must be http://HOST[:PORT] or https://HOST[:PORT]", value=endpoint)
    elif host in _METADATA_HOSTS:
        yield error(keys, "is the address of a cloud's metadata service, never of storage", value=endpoint)
    elif not local and (url.scheme == "http" or _is_local(host)):
        remedy = "use https and a public host, or set allow_local: true for this backend"
        yield error(keys, "is reached without TLS or is not a public host", remedy, value=endpoint)


def _is_local(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        name = host.rstrip(".")
        return "." not in name or name.endswith((".local", ".internal", ".localhost"))
