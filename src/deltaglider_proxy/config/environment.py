"""Every environment variable that is understood, in one table; descriptions and defaults come from the models.

The table is the source of `--show-env`, of the layer between file and flags, and of the warnings about unknown names.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deltaglider_proxy.config.backends import S3Backend
from deltaglider_proxy.config.duration import format_duration
from deltaglider_proxy.config.findings import Finding, Keys, warning
from deltaglider_proxy.config.runtime import RuntimeSettings
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.tls import Tls

PREFIX = "DGP_"
PER_BACKEND = re.compile(r"DGP_BACKEND_([A-Z0-9_]+?)_(ENCRYPTION_KEY|SSE_KMS_KEY_ID)")


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    category: str
    field: str = ""
    """Dotted path in the configuration, `runtime.FIELD`, or nothing for a variable with a rule of its own."""
    example: str = ""
    about: str = ""
    """Description; the field's own if empty."""

    @property
    def description(self) -> str:
        info = self.info
        return self.about or (info.description or "" if info is not None else "")

    @property
    def default(self) -> str | None:
        """As text; None if the variable has no default."""
        info = self.info
        return None if info is None else _default_text(info)

    @property
    def sample(self) -> str:
        return self.example or self.default or ""

    @property
    def keys(self) -> Keys:
        """The place in the configuration; empty for the others."""
        return () if self.field.startswith("runtime.") or not self.field else tuple(self.field.split("."))

    @property
    def runtime_field(self) -> str | None:
        return self.field.removeprefix("runtime.") if self.field.startswith("runtime.") else None

    @property
    def info(self) -> FieldInfo | None:
        if self.runtime_field is not None:
            return RuntimeSettings.model_fields[self.runtime_field]
        return _setting_field(self.keys) if self.keys else None


# Parts of the document that can be of several types: the variables belong to one of them.
_PARTS: Mapping[Keys, type[BaseModel]] = {
    ("storage", "backend"): S3Backend,
    ("advanced", "tls"): Tls,
}


def _setting_field(keys: Keys) -> FieldInfo | None:
    model: type[BaseModel] = Settings
    for length, key in enumerate(keys[:-1], start=1):
        part: object = _PARTS.get(keys[:length]) or model.model_fields[str(key)].annotation
        assert isinstance(part, type)
        assert issubclass(part, BaseModel)
        model = part
    return model.model_fields.get(str(keys[-1]))


def _default_text(info: FieldInfo) -> str | None:
    default = info.default
    if default is None or default is PydanticUndefined or default == ():
        return None
    if isinstance(default, timedelta):
        return format_duration(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


def _runtime(category: str, *names: str) -> tuple[Variable, ...]:
    return tuple(Variable(name, category, "runtime." + name.removeprefix(PREFIX).lower()) for name in names)


def _without_effect(*names: str) -> tuple[Variable, ...]:
    about = "Accepted for older deployments; has no effect."
    return tuple(Variable(name, WITHOUT_EFFECT, about=about) for name in names)


WITHOUT_EFFECT = "Without effect"
NOT_YET = "Not acted on yet"
_FILES, _SERVER, _ACCESS, _STORAGE = "Files", "Server", "Access", "Storage"
_DELTA, _LIMITS, _HEALTH, _LOGS = "Deltas and caches", "Limits", "Health", "Logs"
_SECURITY, _NODES, _COMMANDS = "Security", "Several instances", "Commands"
_HASH = "$2b$12$..."

VARIABLES: tuple[Variable, ...] = (
    Variable("DGP_CONFIG", _FILES, example="/etc/deltaglider_proxy/config.yaml", about="The configuration file."),
    *_runtime(_FILES, "DGP_SILENCE_TOML_DEPRECATION"),
    Variable("DGP_LISTEN_ADDR", _SERVER, "advanced.listen_addr"),
    Variable("DGP_WORKERS", _SERVER, "advanced.workers"),
    Variable("DGP_BLOCKING_THREADS", _SERVER, "advanced.blocking_threads"),
    Variable("DGP_VIRTUAL_HOST_DOMAIN", _SERVER, "advanced.virtual_host_domain", "s3.example.com"),
    Variable("DGP_TLS_ENABLED", _SERVER, "advanced.tls.enabled"),
    Variable("DGP_TLS_CERT", _SERVER, "advanced.tls.cert_path", "/etc/deltaglider_proxy/tls.crt"),
    Variable("DGP_TLS_KEY", _SERVER, "advanced.tls.key_path", "/etc/deltaglider_proxy/tls.key"),
    *_runtime(_SERVER, "DGP_SHUTDOWN_GRACE_SECS", "DGP_SHUTDOWN_DRAIN_SECS", "DGP_DEBUG_HEADERS"),
    *_runtime(_SERVER, "DGP_CORS_PERMISSIVE"),
    Variable("DGP_ACCESS_KEY_ID", _ACCESS, "access.access_key_id", "DGPEXAMPLE"),
    Variable("DGP_SECRET_ACCESS_KEY", _ACCESS, "access.secret_access_key", "change-me"),
    Variable("DGP_AUTHENTICATION", _ACCESS, "access.authentication", "none"),
    Variable("DGP_BOOTSTRAP_PASSWORD_HASH", _ACCESS, "advanced.bootstrap_password_hash", _HASH),
    Variable(
        "DGP_ADMIN_PASSWORD_HASH",
        _ACCESS,
        "advanced.bootstrap_password_hash",
        _HASH,
        "Former name of DGP_BOOTSTRAP_PASSWORD_HASH, which comes first.",
    ),
    Variable("DGP_DATABASE_PATH", _ACCESS, "advanced.database_path"),
    Variable("DGP_DATABASE_URL", _ACCESS, "advanced.database_url", "postgresql://dgp:change-me@db.example.com/dgp"),
    Variable("DGP_DATABASE_KEY_FILE", _ACCESS, "advanced.database_key_file", "/etc/deltaglider_proxy/database.key"),
    Variable(
        "DGP_DATA_DIR", _STORAGE, example="./data", about="Directory of the filesystem backend `storage.backend`."
    ),
    Variable("DGP_S3_ENDPOINT", _STORAGE, "storage.backend.endpoint", "https://s3.eu-central-1.amazonaws.com"),
    Variable("DGP_S3_REGION", _STORAGE, "storage.backend.region"),
    Variable("DGP_S3_PATH_STYLE", _STORAGE, "storage.backend.force_path_style"),
    Variable("DGP_BE_AWS_ACCESS_KEY_ID", _STORAGE, "storage.backend.access_key_id", "AKIAEXAMPLE"),
    Variable("DGP_BE_AWS_SECRET_ACCESS_KEY", _STORAGE, "storage.backend.secret_access_key", "change-me"),
    Variable("DGP_BACKEND_ALLOW_LOCAL", _STORAGE, "storage.backend.allow_local"),
    Variable("DGP_ENCRYPTION_KEY", _STORAGE, example="0" * 64, about="Key of mode aes256-gcm-proxy; 64 hex digits."),
    Variable("DGP_SSE_KMS_KEY_ID", _STORAGE, example="alias/objects", about="Id or ARN of the key of mode sse-kms."),
    Variable(
        "DGP_BACKEND_<NAME>_ENCRYPTION_KEY",
        _STORAGE,
        example="0" * 64,
        about="The same for the entry NAME of storage.backends; in capitals, with `_` for `-` and `.`.",
    ),
    Variable("DGP_BACKEND_<NAME>_SSE_KMS_KEY_ID", _STORAGE, example="alias/objects", about="The same for an entry."),
    *_runtime(_STORAGE, "DGP_BOOT_BACKEND_PROBE"),
    *_runtime(_STORAGE, "DGP_S3_CONNECT_TIMEOUT_SECS", "DGP_S3_READ_TIMEOUT_SECS", "DGP_S3_STALL_GRACE_SECS"),
    *_runtime(_STORAGE, "DGP_S3_OPERATION_ATTEMPT_TIMEOUT_SECS"),
    Variable("DGP_FSYNC", _STORAGE, "advanced.fsync"),
    Variable("DGP_MAX_DELTA_RATIO", _DELTA, "advanced.max_delta_ratio"),
    Variable("DGP_CACHE_MB", _DELTA, "advanced.cache_size_mb"),
    Variable("DGP_CACHE_DIR", _DELTA, "advanced.cache_dir"),
    Variable("DGP_METADATA_CACHE_MB", _DELTA, "advanced.metadata_cache_mb"),
    Variable("DGP_METADATA_INDEX_MB", _DELTA, "advanced.metadata_index_mb"),
    Variable("DGP_CODEC_CONCURRENCY", _DELTA, "advanced.codec_concurrency", "4"),
    Variable("DGP_CODEC_TIMEOUT_SECS", _DELTA, "advanced.codec_timeout_secs"),
    Variable("DGP_GC_GRACE", _DELTA, "advanced.gc_grace"),
    *_runtime(_DELTA, "DGP_SPOOL_DIR", "DGP_SPOOL_MAX_BYTES"),
    Variable("DGP_MAX_OBJECT_SIZE", _LIMITS, "advanced.max_object_size"),
    Variable("DGP_MAX_PASSTHROUGH_OBJECT_SIZE", _LIMITS, "advanced.max_passthrough_object_size", "104857600"),
    *_runtime(_LIMITS, "DGP_REQUEST_TIMEOUT_SECS", "DGP_MAX_CONCURRENT_REQUESTS", "DGP_MAX_MULTIPART_UPLOADS"),
    *_runtime(_LIMITS, "DGP_MAX_TOTAL_MULTIPART_BYTES", "DGP_MULTIPART_IDLE_TTL_HOURS"),
    *_runtime(_LIMITS, "DGP_MULTIPART_SWEEP_INTERVAL_SECS", "DGP_RECURSIVE_DELETE_PAGE_SIZE"),
    *_runtime(_LIMITS, "DGP_USAGE_CACHE_TTL_SECS"),
    *_runtime(_HEALTH, "DGP_READY_TIMEOUT_SECS", "DGP_READY_RETRIES", "DGP_READY_CACHE_TTL_SECS"),
    Variable("RUST_LOG", _LOGS, "runtime.rust_log", "deltaglider_proxy=info"),
    Variable("DGP_LOG_LEVEL", _LOGS, "advanced.log_level", "deltaglider_proxy=info"),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT", _LOGS, "runtime.otel_exporter_otlp_endpoint", "http://collector.example.com:4318"
    ),
    *_runtime(_LOGS, "DGP_LOG_FORMAT", "DGP_LOG_RING_SIZE", "DGP_LOG_RING_LEVEL"),
    Variable("DGP_AUDIT_DIR", _LOGS, "advanced.audit_dir"),
    Variable("DGP_AUDIT_MAX_MB", _LOGS, "advanced.audit_max_mb"),
    Variable("DGP_AUDIT_OBJECT_WRITES", _LOGS, "advanced.audit_object_writes"),
    *_runtime(_SECURITY, "DGP_TRUST_PROXY_HEADERS"),
    Variable("DGP_TRUSTED_PROXY_CIDRS", _SECURITY, "runtime.trusted_proxy_cidrs", "10.0.0.0/8,fd00::/8"),
    *_runtime(_SECURITY, "DGP_SECURE_COOKIES", "DGP_SESSION_TTL_HOURS", "DGP_SESSION_IDLE_MINUTES"),
    *_runtime(_SECURITY, "DGP_CLOCK_SKEW_SECONDS"),
    Variable("DGP_PUBLIC_URL", _SECURITY, "advanced.public_url", "https://s3.example.com"),
    *_runtime(_SECURITY, "DGP_REPLAY_WINDOW_SECS", "DGP_RATE_LIMIT_MAX_ATTEMPTS", "DGP_RATE_LIMIT_WINDOW_SECS"),
    *_runtime(_SECURITY, "DGP_RATE_LIMIT_LOCKOUT_SECS", "DGP_RATE_LIMIT_ACCOUNT_MAX_ATTEMPTS"),
    *_runtime(_SECURITY, "DGP_RATE_LIMIT_ACCOUNT_WINDOW_SECS", "DGP_RATE_LIMIT_ACCOUNT_LOCKOUT_SECS"),
    Variable("DGP_CONFIG_SYNC_BUCKET", _NODES, "advanced.config_sync_bucket", "my-dgp-iam-sync"),
    Variable("DGP_CONFIG_SYNC_KEY", _NODES, "advanced.config_sync_object_key"),
    *_runtime(_NODES, "DGP_CONFIG_SYNC_POLL_SECS"),
    Variable("DGP_NODE_ID", _NODES, "runtime.node_id", "proxy-1"),
    *_runtime(NOT_YET, "DGP_MULTIPART_PART_SIZE", "DGP_STREAM_COPY_THRESHOLD", "DGP_BACKEND_LIST_COOLDOWN_SECS"),
    *_runtime(NOT_YET, "DGP_BACKEND_LIST_TIMEOUT_SECS", "DGP_BACKEND_LIST_FRESH_SECS"),
    Variable("DGP_REPLICATION_TRANSFERS", NOT_YET, "storage.replication.transfers"),
    Variable("DGP_UPLOAD_CONCURRENCY", NOT_YET, "storage.replication.upload_concurrency"),
    *_runtime(NOT_YET, "DGP_PARITY_HEAD_CONCURRENCY", "DGP_PARITY_MAX_OBJECTS", "DGP_REFERENCE_SCAN_LIMIT"),
    *_runtime(NOT_YET, "DGP_MULTIPART_SWEEP_MAX_AGE_SECS", "DGP_MULTIPART_COMPLETING_TIMEOUT_SECS"),
    *_runtime(NOT_YET, "DGP_SPOOL_THRESHOLD_BYTES", "DGP_SPOOL_ACQUIRE_TIMEOUT_SECS", "DGP_AUDIT_RING_SIZE"),
    Variable(
        "DGP_TOKEN",
        _COMMANDS,
        example="dgp_0",
        about="A token for commands that call the admin API, before any password; the server never reads it.",
    ),
    Variable(
        "DGP_BOOTSTRAP_PASSWORD",
        _COMMANDS,
        example="change-me",
        about="The administrator's password for commands that call the admin API; the server never reads it.",
    ),
    Variable(
        "DGP_BACKUP_PASSPHRASE",
        _COMMANDS,
        example="several words that nobody guesses",
        about="What `backup create --encrypt` and `backup restore` encrypt with; the server never reads it.",
    ),
    *_without_effect("DGP_MPU_DELTA_RECONSTRUCT_MAX_BYTES", "DGP_CODEC_STALL_SECS", "DGP_CODEC_ABSOLUTE_SECS"),
    *_without_effect("DGP_REFERENCE_LOCK_TTL_SECS", "DGP_REFERENCE_LOCK_ACQUIRE_TIMEOUT_SECS"),
    *_without_effect("DGP_RELAY_FOREIGN_MIN_AGE_SECS"),
)


def process_environment() -> dict[str, str]:
    """The environment of this process, without empty variables: empty means not set."""
    return present(os.environ)


def present(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if value}


@lru_cache(maxsize=1)
def by_name() -> Mapping[str, Variable]:
    return {variable.name: variable for variable in VARIABLES}


def check_names(environ: Mapping[str, str]) -> Iterator[Finding]:
    """At most one warning each about unknown names, names without effect, and switches for tests."""
    ours = sorted(name for name in environ if name.startswith(PREFIX))
    tests = [name for name in ours if name.startswith("DGP_TEST_")]
    known = by_name()
    idle = [name for name in ours if name in known and known[name].category in (WITHOUT_EFFECT, NOT_YET)]
    unknown = [name for name in ours if name not in known and not PER_BACKEND.fullmatch(name) and name not in tests]
    if unknown:
        text = ", ".join(f"{name}{_suggestion(name, known)}" for name in unknown)
        yield warning((), f"unknown environment variables are ignored: {text}", "see --show-env")
    if idle:
        yield warning((), f"these environment variables have no effect: {', '.join(idle)}", "remove them")
    if tests:
        yield warning((), f"switches for tests are set: {', '.join(tests)}", "remove them in production")


def _suggestion(name: str, known: Mapping[str, Variable]) -> str:
    close = get_close_matches(name, known, 1, 0.75)
    return f" (did you mean {close[0]}?)" if close else ""


def dotenv() -> str:
    """All variables as a `.env` file with examples; those without effect are comments."""
    lines: list[str] = []
    for category in dict.fromkeys(variable.category for variable in VARIABLES):
        lines.append(f"# {category}")
        for variable in VARIABLES:
            if variable.category == category:
                commented = "# " if category == WITHOUT_EFFECT else ""
                default = f" Default: {variable.default}." if variable.default is not None else ""
                lines.append(f"# {variable.description}{default}")
                lines.append(f"{commented}{variable.name.replace('<NAME>', 'ARCHIVE')}={variable.sample}")
        lines.append("")
    return "\n".join(lines)
