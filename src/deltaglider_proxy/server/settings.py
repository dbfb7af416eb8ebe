"""What the server process hands to its workers: everything that the layers need, and nothing of where it came from."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deltaglider_proxy.access.client_address import Network
from deltaglider_proxy.access.failure_limit import Limits
from deltaglider_proxy.access.state import AccessState
from deltaglider_proxy.admin.settings import AdminSettings
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.ops.readiness import ReadySettings
from deltaglider_proxy.s3.call import S3Settings
from deltaglider_proxy.server.control_plane import ControlSettings
from deltaglider_proxy.server.storage import StorageSettings
from deltaglider_proxy.server.sync_bucket import SyncSettings
from deltaglider_proxy.telemetry.log_filter import LogFilter
from deltaglider_proxy.telemetry.logs import LogFormat


class BootProbe(StrEnum):
    """What is done about backends that do not answer at start."""

    ENFORCE = "enforce"
    """The server does not start if none does."""
    WARN = "warn"
    OFF = "off"
    """They are not asked."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    access_key: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    directory: Path
    max_bytes: int
    object_writes: bool
    node: str


@dataclass(frozen=True, slots=True)
class ServerSettings:
    host: str
    port: int
    workers: int
    storage: StorageSettings
    boot_probe: BootProbe
    key_pair: KeyPair | None
    """None: everyone is administrator."""
    access: AccessState
    """As the configuration alone says; users of the database come over it."""
    control: ControlSettings
    sync: SyncSettings | None
    """None: this node shares its users with no other through a bucket."""
    audit: AuditSettings
    admin: AdminSettings
    engine: EngineSettings
    """For the whole host; see `data_plane.share`."""
    s3: S3Settings
    ready: ReadySettings
    log_filter: LogFilter
    log_format: LogFormat
    log_warnings: tuple[str, ...]
    """Sources of a log filter that could not be used."""
    log_ring_size: int
    """Lines."""
    log_ring_floor: int
    """Least level of those lines."""
    traces_endpoint: str | None
    """Of a collector that takes OTLP; None: there are no traces."""
    run_dir: Path
    """Shared by the workers of this server, emptied at each start."""
    cache_mb: int
    metadata_cache_mb: int
    clock_skew: float = 300.0
    replay_window: float = 2.0
    failure_limits: Limits = field(default_factory=Limits)
    account_limits: Limits = field(default_factory=Limits)
    trust_proxy_headers: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    """Empty: whoever connects is one, if headers are trusted at all."""
    pool_threads: int = 16
    shutdown_grace: float = 25.0
    shutdown_drain: float = 3.0
    sweep_interval: float = 300.0
    gc_interval: float = 24 * 3600.0
    version: str = ""

    @property
    def log_ring(self) -> Path:
        """The last lines of the log, of all processes of the server."""
        return self.run_dir / "log-ring"
