"""Settings that only the environment can set: limits and switches of one process, not part of the shared document.

The field `x` is read from `DGP_X`; `config.environment` lists the few that have another name.
"""

from typing import Literal

from deltaglider_proxy.config.address import NetworkText
from deltaglider_proxy.config.model import Many, Model, Positive, Uint


class RuntimeSettings(Model):
    request_timeout_secs: Positive = 300
    """Seconds that the body of a request may stand still; 400 RequestTimeout beyond."""
    max_concurrent_requests: Positive = 1024
    """Requests worked on at once; more wait."""
    max_multipart_uploads: Positive = 1000
    """Multipart uploads open at once; 503 beyond."""
    max_total_multipart_bytes: Positive | None = None
    """Bytes of all parts kept at once; by default max_object_size times a quarter of the uploads, at least one."""
    multipart_idle_ttl_hours: Positive = 24
    """Hours after which an upload without new parts is removed."""
    multipart_sweep_interval_secs: Positive = 300
    """Seconds between two searches for such uploads."""
    multipart_sweep_max_age_secs: Positive = 3600
    """Seconds after which leftovers of finished uploads are removed."""
    multipart_completing_timeout_secs: Positive | None = None
    """Seconds after which an unfinished completion may be tried again; by default the age of leftovers."""
    recursive_delete_page_size: Positive = 1000
    """Keys per step when a prefix is deleted."""
    ready_timeout_secs: Positive = 3
    """Seconds for one look at the backends by the readiness check."""
    ready_retries: Uint = 2
    """Further tries of the readiness check."""
    ready_cache_ttl_secs: Uint = 0
    """Seconds for which a readiness result is reused."""
    debug_headers: bool = False
    """Tell in response headers how an object is stored and cached."""
    cors_permissive: bool = False
    """Allow scripts of every origin; for development."""
    usage_cache_ttl_secs: Uint = 300
    """Seconds for which the usage of a bucket is reused by quotas."""
    reference_scan_limit: Uint = 1000
    """References looked at when savings are computed."""
    shutdown_grace_secs: Uint = 25
    """Seconds that running requests get at shutdown."""
    shutdown_drain_secs: Uint = 3
    """Seconds between not being ready any more and no longer accepting connections."""
    config_sync_poll_secs: Positive = 300
    """Seconds between two looks at the sync bucket."""
    boot_backend_probe: Literal["enforce", "warn", "off"] = "enforce"
    """Whether a backend that cannot be reached stops the start."""
    backend_list_cooldown_secs: Uint = 30
    """Seconds for which a backend that failed to list its buckets is left alone."""
    backend_list_timeout_secs: Positive = 5
    """Seconds for one backend to list its buckets."""
    backend_list_fresh_secs: Uint = 5
    """Seconds for which a list of buckets is reused."""
    s3_connect_timeout_secs: Positive = 10
    """Seconds to connect to an S3 backend."""
    s3_read_timeout_secs: Positive = 60
    """Seconds that an S3 backend may say nothing before or within an answer."""
    s3_operation_attempt_timeout_secs: Positive = 300
    """Seconds for a request to an S3 backend, repeats included; one more per MiB. At most a quarter of gc_grace."""
    s3_stall_grace_secs: Positive = 20
    """Seconds that a streamed body may stand still."""
    stream_copy_threshold: Positive = 64 << 20
    """Bytes from which a copy between backends is streamed in parts."""
    multipart_part_size: int = 64 << 20
    """Bytes of a part sent to an S3 backend; at least 5 MiB."""
    parity_head_concurrency: Positive = 15
    """Objects compared at once by the parity check."""
    parity_max_objects: Positive = 1_000_000
    """Objects compared at most."""
    spool_dir: str | None = None
    """Directory for temporary files; by default inside the cache directory."""
    spool_max_bytes: Positive = 16 << 30
    """Bytes of temporary files at once."""
    spool_threshold_bytes: Uint | None = None
    """Bytes from which an upload is spooled; by default max_object_size."""
    spool_acquire_timeout_secs: Positive = 120
    """Seconds that a request waits for room in the spool."""
    trust_proxy_headers: bool = False
    """Take the client's address from X-Forwarded-For and X-Real-IP; only behind a reverse proxy."""
    trusted_proxy_cidrs: Many[NetworkText] | None = None
    """Only these peers may set such headers, separated by commas; every peer if absent."""
    secure_cookies: bool = True
    """Send session cookies over HTTPS only."""
    session_ttl_hours: Positive = 4
    """Hours that a session lasts."""
    session_idle_minutes: Uint = 60
    """Minutes without a request after which a session ends; 0 turns this off."""
    clock_skew_seconds: Uint = 300
    """Seconds that a signature's time may be off."""
    replay_window_secs: Uint = 2
    """Seconds in which a signature is accepted once only; 0 turns this off."""
    rate_limit_max_attempts: Uint = 100
    """Failed sign-ins per address and window; 0 turns the limit off."""
    rate_limit_window_secs: Positive = 300
    """Seconds of that window."""
    rate_limit_lockout_secs: Positive = 600
    """Seconds that an address is locked out."""
    rate_limit_account_max_attempts: Uint = 10
    """Failed sign-ins per account and window; 0 turns the limit off."""
    rate_limit_account_window_secs: Positive = 3600
    """Seconds of that window."""
    rate_limit_account_lockout_secs: Positive = 3600
    """Seconds that an account is locked out."""
    node_id: str | None = None
    """Name of this instance among several; by default HOSTNAME, or else a stored random one."""
    log_format: Literal["text", "json"] = "text"
    """How log lines are written."""
    log_ring_size: Positive = 2000
    """Log lines kept in memory for the admin API."""
    log_ring_level: Literal["error", "warn", "info", "debug", "trace"] = "info"
    """Least level of those lines."""
    audit_ring_size: Positive = 500
    """Audit entries kept in memory for the admin API."""
    rust_log: str | None = None
    """Log filter; comes before every other source of one."""
    otel_exporter_otlp_endpoint: str | None = None
    """Collector that traces are sent to, by OTLP over HTTP; needs `deltaglider-proxy[otel]`. No traces if absent."""
    silence_toml_deprecation: bool = False
    """Do not warn about a TOML configuration file."""
