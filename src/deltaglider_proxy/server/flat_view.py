"""The effective values by name, without secrets, as people and programs look for them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from deltaglider_proxy.config.backends import FilesystemBackend, S3Backend
from deltaglider_proxy.config.findings import Keys, dotted
from deltaglider_proxy.config.load import LoadedConfig
from deltaglider_proxy.config.plain import plain
from deltaglider_proxy.config.render import Tier, redacted
from deltaglider_proxy.config.restart import NEED_RESTART
from deltaglider_proxy.config.settings import Settings
from deltaglider_proxy.config.storage import SINGLETON, Storage
from deltaglider_proxy.server.settings import ServerSettings

_ADVANCED: Final = (
    "max_delta_ratio",
    "max_object_size",
    "cache_size_mb",
    "metadata_cache_mb",
    "codec_timeout_secs",
    "config_sync_bucket",
)
_RUNTIME: Final = (
    "request_timeout_secs",
    "max_concurrent_requests",
    "max_multipart_uploads",
    "clock_skew_seconds",
    "replay_window_secs",
    "rate_limit_max_attempts",
    "rate_limit_window_secs",
    "rate_limit_lockout_secs",
    "session_ttl_hours",
    "trust_proxy_headers",
    "secure_cookies",
    "debug_headers",
)


def tainted(started: Settings, loaded: LoadedConfig) -> Sequence[str]:
    """Fields whose value in use is not that of the file: others decide them, or it takes effect at the next start."""
    return sorted({dotted(keys) for keys in (*loaded.overrides, *_waiting(started, loaded.settings))})


def _waiting(started: Settings, now: Settings) -> Iterator[Keys]:
    for section, name in NEED_RESTART:
        before, after = getattr(started, str(section)), getattr(now, str(section))
        if getattr(before, str(name)) != getattr(after, str(name)):
            yield section, name


def flat(started: Settings, loaded: LoadedConfig, running: ServerSettings, path: Path | None) -> dict[str, object]:
    """`started`: what the server began with, and lives by until its next start where it cannot change."""
    now, storage = loaded.settings.advanced, loaded.settings.storage
    in_use = {
        name: getattr(started.advanced if ("advanced", name) in NEED_RESTART else now, name)
        for name in (*_ADVANCED, "listen_addr")
    }
    shown = redacted(plain(loaded.settings), {}, Tier.EXPORT)
    return {
        **in_use,
        "listen_addr": str(in_use["listen_addr"]),
        "codec_concurrency": running.engine.codec_slots,
        "log_level": running.log_filter.text,
        "access_key_id": loaded.settings.access.access_key_id,
        "iam_mode": loaded.settings.access.iam_mode,
        **{name: getattr(loaded.runtime, name) for name in _RUNTIME},
        **_backends(storage),
        "bucket_policies": shown.get("storage", {}).get("buckets", {}),
        "default_backend": storage.default_backend,
        "admission_blocks": shown.get("admission", {}).get("blocks", []),
        "config_path": str(path) if path is not None else None,
        "tainted_fields": list(tainted(started, loaded)),
    }


def _backends(storage: Storage) -> Mapping[str, object]:
    """All by name, and the fields of the one that buckets have which name none."""
    named: dict[str, FilesystemBackend | S3Backend] = {backend.name: backend for backend in storage.backends}
    named = named or {SINGLETON: storage.backend}
    chosen = named[storage.default_backend or next(iter(named))]
    listed = [{"name": name, "backend_type": backend.type} for name, backend in named.items()]
    if isinstance(chosen, FilesystemBackend):
        fields: Mapping[str, object] = {"backend_path": chosen.path, "backend_has_credentials": False}
    else:
        fields = {
            "backend_endpoint": chosen.endpoint,
            "backend_region": chosen.region,
            "backend_force_path_style": chosen.force_path_style,
            "backend_has_credentials": bool(chosen.access_key_id and chosen.secret_access_key),
        }
    return {"backends": listed, "backend_type": chosen.type, **fields}
