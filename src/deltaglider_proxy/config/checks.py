"""All rules about a typed configuration: those of each section, and those between sections. Pure functions."""

import re
from collections.abc import Iterator
from typing import Final

from deltaglider_proxy.config import access, admission, advanced, availability, storage
from deltaglider_proxy.config.advanced import Advanced, is_inside
from deltaglider_proxy.config.backends import FilesystemBackend
from deltaglider_proxy.config.findings import Finding, Keys, error, info, warning
from deltaglider_proxy.config.runtime import RuntimeSettings
from deltaglider_proxy.config.settings import Settings

_POSTGRES: Final = re.compile(r"postgres(ql)?(\+psycopg)?://[^/]")


def check(settings: Settings, runtime: RuntimeSettings, *, complete: bool) -> list[Finding]:
    """Every finding, errors first. `complete`: all layers are applied, so what is missing now stays missing."""
    findings = [
        *admission.check(settings.admission),
        *access.check(settings.access),
        *storage.check(settings.storage, complete=complete),
        *advanced.check(settings.advanced),
        *availability.check(settings),
        *_check_directories(settings, runtime),
        *_check_database(settings.advanced),
        *_check_sync_bucket(settings),
        *_check_sync(settings),
        *_advise(settings, runtime),
    ]
    order = {severity: place for place, severity in enumerate(("error", "warning", "info"))}
    return sorted(findings, key=lambda finding: order[finding.severity])


def _check_directories(settings: Settings, runtime: RuntimeSettings) -> Iterator[Finding]:
    listed: list[tuple[Keys, object]] = [
        (("storage", "backends", index), backend) for index, backend in enumerate(settings.storage.backends)
    ]
    used = listed or [(("storage", "backend"), settings.storage.backend)]
    for keys, backend in used:
        if not isinstance(backend, FilesystemBackend) or not backend.path:
            continue
        if is_inside(settings.advanced.cache_dir, backend.path):
            message = f"lies inside the directory of a backend ({backend.path}), where it would be served as objects"
            remedy = "name a directory outside of it"
            yield error(("advanced", "cache_dir"), message, remedy, value=settings.advanced.cache_dir)
        if runtime.spool_dir is not None and is_inside(runtime.spool_dir, backend.path):
            message = f"DGP_SPOOL_DIR lies inside the directory of this backend ({backend.path})"
            yield error((*keys, "path"), message, "name a directory outside of it", value=runtime.spool_dir)
        if is_inside(settings.advanced.audit_dir, backend.path):
            message = f"the audit log ({settings.advanced.audit_dir}) lies inside the directory of this backend"
            yield error((*keys, "path"), message, "name a directory for one of them that does not", value=backend.path)
        for other_keys, other in used:
            if other_keys != keys and isinstance(other, FilesystemBackend) and is_inside(other.path, backend.path):
                message = f"lies inside the directory of another backend ({backend.path})"
                yield error((*other_keys, "path"), message, "name a directory outside of it", value=other.path)


def _check_database(advanced: Advanced) -> Iterator[Finding]:
    if advanced.database_url is not None and not _POSTGRES.match(advanced.database_url.reveal()):
        message = "is no URL of a PostgreSQL database"
        yield error(("advanced", "database_url"), message, "write postgresql://USER:PASSWORD@HOST/DATABASE")


def _check_sync_bucket(settings: Settings) -> Iterator[Finding]:
    bucket = settings.advanced.config_sync_bucket
    for name, policy in settings.storage.buckets.items():
        if bucket is not None and bucket in (name, policy.alias):
            message = "the bucket that instances share their users through cannot be served to clients"
            yield error(
                ("storage", "buckets", name), message, "use a bucket of its own for advanced.config_sync_bucket"
            )


def _check_sync(settings: Settings) -> Iterator[Finding]:
    advanced, storage = settings.advanced, settings.storage
    keys: Keys = ("advanced", "config_sync_bucket")
    bucket = advanced.config_sync_bucket
    if bucket is None:
        return
    if advanced.database_url is not None:
        message = "instances with one PostgreSQL database share everything already"
        yield error(keys, message, "leave out config_sync_bucket, or database_url", value=bucket)
    named = {backend.name: backend for backend in storage.backends}
    default = named.get(storage.default_backend or next(iter(named), ""), storage.backend)
    if isinstance(default, FilesystemBackend):
        message = "nothing is shared: the default backend is a local directory, and the bucket must be on an S3 service"
        yield warning(keys, message, "make an S3 service the default backend, or use advanced.database_url")
    if settings.access.iam_mode == "declarative":
        message = "each instance makes the users that its file declares: shared as well, they get in one another's way"
        yield warning(keys, message, "leave out config_sync_bucket")


def _advise(settings: Settings, runtime: RuntimeSettings) -> Iterator[Finding]:
    if runtime.rate_limit_max_attempts and not runtime.trust_proxy_headers:
        message = "behind a reverse proxy all clients share one rate limit, because forwarded addresses are not trusted"
        yield warning((), message, "set DGP_TRUST_PROXY_HEADERS=true, but only behind a reverse proxy")
    if runtime.trust_proxy_headers and runtime.trusted_proxy_cidrs is None:
        message = "DGP_TRUST_PROXY_HEADERS is on for every peer: whoever connects directly can claim any address"
        yield warning((), message, "name the networks of the reverse proxy in DGP_TRUSTED_PROXY_CIDRS")
    mode = settings.access.authentication
    open_access = mode is not None and mode.strip().lower() == "none"
    for name, policy in settings.storage.buckets.items():
        if open_access and policy.public_prefixes:
            keys: Keys = ("storage", "buckets", name, "public_prefixes")
            yield info(keys, "is redundant, because everyone may do everything with authentication: none")
