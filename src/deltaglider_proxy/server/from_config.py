"""From the configuration to what the layers take as arguments: the one place that knows both."""

import os
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_network
from pathlib import Path

from deltaglider_proxy.access.admission.chain import BadBlock, Chain
from deltaglider_proxy.access.failure_limit import Limits
from deltaglider_proxy.access.identity import ANONYMOUS, Identity, StaticCredentials
from deltaglider_proxy.access.policy.strangers import anonymous_rules
from deltaglider_proxy.access.state import AccessState, Mode
from deltaglider_proxy.admin.settings import AdminSettings
from deltaglider_proxy.config.auth_state import OpenAccess, SignedRequests, Undecided
from deltaglider_proxy.config.backends import FilesystemBackend, S3Backend
from deltaglider_proxy.config.load import LoadedConfig
from deltaglider_proxy.config.storage import SINGLETON
from deltaglider_proxy.config.storage import BucketPolicy as ConfiguredPolicy
from deltaglider_proxy.control import bootstrap_hash
from deltaglider_proxy.engine.model import BucketPolicy
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.ops.readiness import ReadySettings
from deltaglider_proxy.s3.call import S3Settings
from deltaglider_proxy.server.control_plane import ControlSettings
from deltaglider_proxy.server.settings import AuditSettings, BootProbe, KeyPair, ServerSettings
from deltaglider_proxy.server.storage import Directory, Service, StorageSettings
from deltaglider_proxy.server.sync_bucket import SyncSettings
from deltaglider_proxy.storage.backends.s3.settings import KeyPair as ServiceKeyPair
from deltaglider_proxy.storage.backends.s3.settings import S3Settings as ServiceSettings
from deltaglider_proxy.storage.backends.s3.settings import endpoint_of
from deltaglider_proxy.storage.routing import Route
from deltaglider_proxy.telemetry import log_filter
from deltaglider_proxy.telemetry.log_ring import query_level
from deltaglider_proxy.telemetry.logs import LogFormat

_MIB = 1 << 20
_MOST_THREADS = 32
"""More threads than this wait for one another on any disk."""


class CannotStart(Exception):
    """Says what is in the way and what to do about it."""


def settings_of(loaded: LoadedConfig, *, verbose: bool) -> ServerSettings:
    """Raises CannotStart."""
    settings, runtime = loaded.settings, loaded.runtime
    advanced, policies = settings.advanced, settings.storage.buckets
    cache_dir = Path(advanced.cache_dir).absolute()
    spool_dir = Path(runtime.spool_dir).absolute() if runtime.spool_dir else cache_dir / "spool"
    run_dir = cache_dir / "run"
    storage = _storage(loaded, run_dir)
    sync = _sync(loaded, storage)
    control = _control(loaded, shared=sync is not None)
    audit_dir = Path(advanced.audit_dir).absolute()
    own = {
        cache_dir: "advanced.cache_dir",
        spool_dir: "DGP_SPOOL_DIR",
        audit_dir: "advanced.audit_dir",
        control.path: "advanced.database_path",
        control.directory / bootstrap_hash.FILE_NAME: "the working directory",
    }
    if loaded.path is not None:
        own[loaded.path.absolute()] = "the configuration file"
    _check_apart(storage, own, audit_dir)
    pair = _key_pair(loaded)
    sources = loaded.log_sources
    resolution = log_filter.resolve(sources.rust_log, sources.dgp_log_level, sources.file, verbose=verbose)
    return ServerSettings(
        host=str(advanced.listen_addr.host),
        port=advanced.listen_addr.port,
        workers=advanced.workers,
        storage=storage,
        boot_probe=BootProbe(runtime.boot_backend_probe),
        key_pair=pair,
        access=access_of(loaded, pair),
        control=control,
        sync=sync,
        audit=AuditSettings(
            directory=audit_dir / _file_name(runtime.node_id or "local"),
            max_bytes=advanced.audit_max_mb * _MIB,
            object_writes=advanced.audit_object_writes,
            node=runtime.node_id or "local",
        ),
        admin=AdminSettings(
            version=package_version(),
            secure_cookies=runtime.secure_cookies,
            session_seconds=runtime.session_ttl_hours * 3600.0,
            idle_seconds=runtime.session_idle_minutes * 60.0,
            cors_permissive=runtime.cors_permissive,
            endpoint=(advanced.public_url or "").rstrip("/"),
        ),
        engine=_engine(loaded, cache_dir, spool_dir),
        s3=S3Settings(
            max_object_size=advanced.max_object_size,
            debug_headers=runtime.debug_headers,
            cors_permissive=runtime.cors_permissive,
            virtual_host_domain=(advanced.virtual_host_domain or "").lower().encode(),
            max_concurrent_requests=runtime.max_concurrent_requests,
            recursive_page=runtime.recursive_delete_page_size,
            idle_timeout=float(runtime.request_timeout_secs),
            closed=storage.names_of([name for name, policy in policies.items() if policy.replication_target_only]),
        ),
        ready=ReadySettings(
            timeout=float(runtime.ready_timeout_secs),
            retries=runtime.ready_retries,
            cache_ttl=float(runtime.ready_cache_ttl_secs),
        ),
        log_filter=resolution.filter,
        log_warnings=resolution.warnings,
        log_format=LogFormat(runtime.log_format),
        log_ring_size=runtime.log_ring_size,
        log_ring_floor=query_level(runtime.log_ring_level),
        traces_endpoint=runtime.otel_exporter_otlp_endpoint,
        run_dir=run_dir,
        cache_mb=advanced.cache_size_mb,
        metadata_cache_mb=advanced.metadata_cache_mb,
        clock_skew=float(runtime.clock_skew_seconds),
        replay_window=float(runtime.replay_window_secs),
        failure_limits=Limits(
            runtime.rate_limit_max_attempts,
            float(runtime.rate_limit_window_secs),
            float(runtime.rate_limit_lockout_secs),
        ),
        account_limits=Limits(
            runtime.rate_limit_account_max_attempts,
            float(runtime.rate_limit_account_window_secs),
            float(runtime.rate_limit_account_lockout_secs),
        ),
        trust_proxy_headers=runtime.trust_proxy_headers and runtime.trusted_proxy_cidrs != (),
        trusted_proxies=tuple(ip_network(text, strict=False) for text in runtime.trusted_proxy_cidrs or ()),
        pool_threads=min(advanced.blocking_threads, _MOST_THREADS),
        shutdown_grace=float(runtime.shutdown_grace_secs),
        shutdown_drain=float(runtime.shutdown_drain_secs),
        sweep_interval=float(runtime.multipart_sweep_interval_secs),
        version=package_version(),
    )


def _sync(loaded: LoadedConfig, storage: StorageSettings) -> SyncSettings | None:
    advanced = loaded.settings.advanced
    service = next(backend for backend in storage.backends if backend.name == storage.default)
    if advanced.config_sync_bucket is None or not isinstance(service, Service):
        return None  # the checks of the configuration say so
    poll = float(loaded.runtime.config_sync_poll_secs)
    return SyncSettings(service, advanced.config_sync_bucket, advanced.config_sync_object_key, poll)


def _control(loaded: LoadedConfig, *, shared: bool) -> ControlSettings:
    """Raises CannotStart."""
    advanced = loaded.settings.advanced
    key_file = b""
    if advanced.database_key_file is not None:
        try:
            key_file = Path(advanced.database_key_file).read_bytes()
        except OSError as error:
            raise CannotStart(f"advanced.database_key_file: {advanced.database_key_file}: {error.strerror}") from error
    path, hashed = Path(advanced.database_path), advanced.bootstrap_password_hash
    if not path.is_absolute() and not path.exists() and loaded.path is not None:
        beside = loaded.path.parent / path.name
        path = beside if beside.exists() else path
    return ControlSettings(
        path=path.absolute(),
        configured_hash=hashed.reveal() if hashed is not None else None,
        url=advanced.database_url.reveal() if advanced.database_url is not None else None,
        key_file=key_file,
        directory=Path.cwd(),
        shared=shared,
    )


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:100]


def package_version() -> str:
    try:
        return version("deltaglider-proxy")
    except PackageNotFoundError:
        return "unknown"


def _storage(loaded: LoadedConfig, run_dir: Path) -> StorageSettings:
    section = loaded.settings.storage
    named: dict[str, FilesystemBackend | S3Backend] = {backend.name: backend for backend in section.backends}
    named = named or {SINGLETON: section.backend}
    default = section.default_backend or next(iter(named))
    fsync = loaded.settings.advanced.fsync
    backends = tuple(
        Directory(name, Path(backend.path).absolute(), fsync)
        if isinstance(backend, FilesystemBackend)
        else _service(name, backend, loaded, run_dir)
        for name, backend in named.items()
    )
    routes = {
        bucket: Route(policy.backend or default, policy.alias or bucket)
        for bucket, policy in section.buckets.items()
        if policy.backend or policy.alias
    }
    made = tuple(
        bucket
        for bucket, policy in section.buckets.items()
        if isinstance(named[policy.backend or default], FilesystemBackend)
    )
    sync = loaded.settings.advanced.config_sync_bucket
    reserved = frozenset({Route(default, sync)} if sync is not None else ())
    return StorageSettings(backends, default, routes, made, reserved)


def _service(name: str, backend: S3Backend, loaded: LoadedConfig, run_dir: Path) -> Service:
    """Raises CannotStart."""
    runtime, secret = loaded.runtime, backend.secret_access_key
    deadline, grace = runtime.s3_operation_attempt_timeout_secs, loaded.settings.advanced.gc_grace.total_seconds()
    if deadline > grace / 4:
        raise CannotStart(
            f"DGP_S3_OPERATION_ATTEMPT_TIMEOUT_SECS: {deadline} s are more than a quarter of advanced.gc_grace "
            f"({grace:.0f} s), so garbage collection could overtake an upload; lower the one or raise the other"
        )
    settings = ServiceSettings(
        run_dir / "locks",
        backend.endpoint,
        backend.region,
        backend.force_path_style,
        ServiceKeyPair(backend.access_key_id, secret.reveal()) if backend.access_key_id and secret else None,
        backend.allow_local,
        connect_timeout=float(runtime.s3_connect_timeout_secs),
        read_timeout=float(runtime.s3_read_timeout_secs),
        deadline=float(deadline),
        idle_timeout=float(runtime.s3_stall_grace_secs),
        name=name,
    )
    try:
        endpoint_of(settings)
    except ValueError as error:
        raise CannotStart(f"backend {name!r}: {error}") from error
    return Service(name, settings)


def _check_apart(storage: StorageSettings, own: Mapping[Path, str], audit_dir: Path) -> None:
    """Nothing of the server's own in what clients read and write, nor one backend in another. Raises CannotStart."""
    for backend in storage.directories:
        for path, setting in own.items():
            if path == backend.path or backend.path in path.parents:
                raise CannotStart(f"{path} lies inside the storage backend {backend.path}; change that or {setting}")
        if audit_dir in backend.path.parents:
            raise CannotStart(f"the storage backend {backend.path} lies inside of advanced.audit_dir")
        for other in storage.directories:
            if other is not backend and (other.path == backend.path or backend.path in other.path.parents):
                raise CannotStart(f"the backend {other.name!r} ({other.path}) lies inside the backend {backend.name!r}")


def _key_pair(loaded: LoadedConfig) -> KeyPair | None:
    match loaded.auth_state:
        case SignedRequests(access_key_id=access_key, secret_access_key=secret):
            return KeyPair(access_key, secret.reveal().encode())
        case OpenAccess():
            return None
        case Undecided(reason=reason):
            raise CannotStart(reason)


def access_of(loaded: LoadedConfig, pair: KeyPair | None) -> AccessState:
    """Without the users of the database. Raises CannotStart."""
    policies = loaded.settings.storage.buckets
    public = {name: policy.readable_prefixes for name, policy in policies.items() if policy.readable_prefixes}
    try:
        chain = Chain(loaded.settings.admission.blocks, public)
    except BadBlock as error:
        raise CannotStart(str(error)) from error
    strangers = Identity(ANONYMOUS.name, anonymous_rules(public), anonymous=True)
    if pair is None:
        return AccessState(Mode.OPEN, None, chain, strangers)
    return AccessState(Mode.BOOTSTRAP, StaticCredentials(pair.access_key, pair.secret), chain, strangers)


def _engine(loaded: LoadedConfig, cache_dir: Path, spool_dir: Path) -> EngineSettings:
    advanced, runtime = loaded.settings.advanced, loaded.runtime
    return EngineSettings(
        cache_dir=cache_dir,
        spool_dir=spool_dir,
        max_object_size=advanced.max_object_size,
        max_passthrough_object_size=advanced.max_passthrough_object_size,
        max_delta_ratio=advanced.max_delta_ratio,
        cache_bytes=advanced.cache_size_mb * _MIB,
        metadata_cache_bytes=advanced.metadata_cache_mb * _MIB,
        index_bytes=advanced.metadata_index_mb * _MIB,
        spool_bytes=runtime.spool_max_bytes,
        codec_slots=advanced.codec_concurrency or os.cpu_count() or 1,
        codec_timeout=float(advanced.codec_timeout_secs),
        gc_grace=advanced.gc_grace.total_seconds(),
        max_uploads=runtime.max_multipart_uploads,
        max_staged_bytes=runtime.max_total_multipart_bytes,
        upload_idle_ttl=runtime.multipart_idle_ttl_hours * 3600.0,
        usage_ttl=float(runtime.usage_cache_ttl_secs),
        policies={name: _policy(policy) for name, policy in loaded.settings.storage.buckets.items()},
    )


def _policy(policy: ConfiguredPolicy) -> BucketPolicy:
    return BucketPolicy(
        policy.compression is not False,
        policy.max_delta_ratio,
        policy.deltaspace == "prefix",
        policy.quota_bytes,
        policy.legacy_layout,
    )
