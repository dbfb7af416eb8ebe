"""`advanced`: the process, its limits, caches and delta compression."""

import math
import posixpath
import re
from collections.abc import Iterator
from datetime import timedelta

from deltaglider_proxy.config import event_delivery, tls
from deltaglider_proxy.config.address import ListenAddress, NetworkText
from deltaglider_proxy.config.duration import Duration, format_duration
from deltaglider_proxy.config.event_delivery import EventDelivery
from deltaglider_proxy.config.findings import Finding, Keys, dropped, error, warning
from deltaglider_proxy.config.model import Many, Model, Positive, Uint
from deltaglider_proxy.config.secret import Secret
from deltaglider_proxy.config.tls import Tls

MAX_OBJECT_SIZE = 100 << 20
MIN_GC_GRACE = timedelta(hours=1)

_LEVEL = r"(?i:off|critical|error|warn|warning|info|debug|trace|[0-5])"
_TARGET = r"[A-Za-z0-9_:.-]+"
_LOG_FILTER = re.compile(rf"\s*({_TARGET}(\s*=\s*({_LEVEL})?)?\s*)?(,\s*({_TARGET}(\s*=\s*({_LEVEL})?)?\s*)?)*")

_PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?/?")


class Advanced(Model):
    listen_addr: ListenAddress = ListenAddress("0.0.0.0", 9000)  # noqa: S104 - containers need every interface
    """IP:PORT to serve on."""
    workers: Positive = 1
    """Server processes."""
    max_delta_ratio: float = 0.75
    """A delta of at least this share of the object's size is not kept; 0 to 1."""
    max_object_size: Uint = MAX_OBJECT_SIZE
    """Bytes; larger uploads are refused, in whatever way they come."""
    max_passthrough_object_size: Uint | None = None
    """Bytes; a lower limit for objects that are stored as they are."""
    cache_size_mb: Uint = 100
    """MiB of references kept on local disk; 0 keeps none between requests."""
    metadata_cache_mb: Uint = 50
    """MiB of object metadata kept in memory; 0 keeps none."""
    metadata_index_mb: Uint = 1024
    """MiB of object metadata kept on local disk, for listings."""
    cache_dir: str = "./cache"
    """Directory for caches and temporary files; never inside a backend's directory."""
    fsync: bool = True
    """Wait until the disk has each object before the upload is acknowledged."""
    codec_concurrency: Positive | None = None
    """Deltas computed at once; the number of CPUs if absent."""
    codec_timeout_secs: Positive = 60
    """Seconds for one piece of delta work; an upload is then stored as it is, a download fails with 503."""
    blocking_threads: Positive = 512
    """Threads for file work, at most."""
    gc_grace: Duration = timedelta(hours=24)
    """How long unused references are kept; at least 1h, and longer than any request."""
    log_level: str | None = None
    """Log filter such as `deltaglider_proxy=info`; the default is `deltaglider_proxy=debug,tower_http=debug`."""
    virtual_host_domain: str | None = None
    """Domain below which host names are bucket names, such as s3.example.com."""
    config_sync_bucket: str | None = None
    """Bucket through which instances share users and settings."""
    config_sync_object_key: str = ".deltaglider/config.db"
    """Key of the shared database in that bucket."""
    bootstrap_password_hash: Secret | None = None
    """bcrypt hash, or its base64, of the first administrator's password; generated if absent."""
    database_path: str = "./deltaglider_config.db"
    """File with users, groups and sessions, encrypted."""
    database_url: Secret | None = None
    """PostgreSQL instead of the file, shared by several instances: postgresql://USER:PASSWORD@HOST/NAME."""
    database_key_file: str | None = None
    """File whose content is needed too to open the database."""
    audit_dir: str = "./audit"
    """Directory of the audit log."""
    audit_max_mb: Positive = 256
    """MiB of audit log that are kept."""
    audit_object_writes: bool = True
    """Whether uploads, copies and deletions of objects are part of the audit log."""
    public_url: str | None = None
    """How people reach this server, such as https://s3.example.com; needed for sign-in through a provider."""
    outbound_allow_cidrs: Many[NetworkText] = ()
    """Private networks that sign-in providers and webhooks may live in."""
    tls: Tls | None = None
    """HTTPS without a proxy in front."""
    event_delivery: EventDelivery | None = None
    """Webhooks and Slack."""


def is_log_filter(text: str) -> bool:
    """Whether the text is a comma list of levels and `target=level`."""
    return _LOG_FILTER.fullmatch(text) is not None


def check(advanced: Advanced) -> Iterator[Finding]:
    keys: Keys = ("advanced",)
    ratio = advanced.max_delta_ratio
    if not math.isfinite(ratio):
        place: Keys = (*keys, "max_delta_ratio")
        yield warning(place, "0.75 is used instead, because this is no number", value=ratio).dropping(place)
    elif not 0 <= ratio <= 1:
        yield warning((*keys, "max_delta_ratio"), "is outside 0 to 1", value=ratio)
    if advanced.max_object_size == 0:
        yield warning((*keys, "max_object_size"), "0 refuses every upload")
    smaller = advanced.max_passthrough_object_size
    if smaller is not None and smaller > advanced.max_object_size:
        place = (*keys, "max_passthrough_object_size")
        yield warning(place, "has no effect, because max_object_size is lower", value=smaller)
    if advanced.gc_grace < MIN_GC_GRACE:
        place = (*keys, "gc_grace")
        yield error(place, "must be at least 1h", value=format_duration(advanced.gc_grace))
    if advanced.log_level is not None and not is_log_filter(advanced.log_level):
        remedy = "use LEVEL, TARGET or TARGET=LEVEL, separated by commas"
        place = (*keys, "log_level")
        yield dropped(place, "is no log filter", remedy, drop=place, value=advanced.log_level)
    if not advanced.cache_dir:
        yield error((*keys, "cache_dir"), "must not be empty", "name a directory")
    for name, path in (("audit_dir", advanced.audit_dir), ("database_path", advanced.database_path)):
        if not path:
            yield error((*keys, name), "must not be empty", "name a place on a local disk")
    if advanced.public_url is not None and not _PUBLIC_URL.fullmatch(advanced.public_url):
        place = (*keys, "public_url")
        yield error(place, "is no URL of a server", "write https://s3.example.com", value=advanced.public_url)
    if not advanced.config_sync_object_key.strip():
        place = (*keys, "config_sync_object_key")
        yield warning(place, "is ignored, because it is blank", "remove it").dropping(place)
    domain = advanced.virtual_host_domain
    if domain is not None and not _is_domain(domain):
        yield error((*keys, "virtual_host_domain"), "is no domain name", "write s3.example.com", value=domain)
    yield from tls.check(advanced.tls)
    yield from event_delivery.check(advanced.event_delivery)


def _is_domain(text: str) -> bool:
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    return len(text) <= 253 and re.fullmatch(rf"{label}(\.{label})*", text) is not None


def is_inside(path: str, directory: str) -> bool:
    """Whether `path` is, or lies below, `directory`; judged by the text, both relative to the same place."""
    inner, outer = (posixpath.normpath(text).split("/") for text in (path, directory))
    if posixpath.isabs(path) != posixpath.isabs(directory):
        return False
    outer = [] if outer == ["."] else outer
    inner = [] if inner == ["."] else inner
    return inner[: len(outer)] == outer
