"""Which changes wait for the next start."""

from collections.abc import Iterator
from typing import Final

from deltaglider_proxy.config.diff import changed_fields
from deltaglider_proxy.config.findings import Finding, Keys, warning
from deltaglider_proxy.config.settings import Settings

NEED_RESTART: Final[frozenset[Keys]] = frozenset(
    ("advanced", name)
    for name in (
        "listen_addr",
        "workers",
        "cache_size_mb",
        "cache_dir",
        "blocking_threads",
        "tls",
        "config_sync_bucket",
        "config_sync_object_key",
        "database_path",
        "database_url",
        "database_key_file",
        "audit_dir",
        "audit_max_mb",
    )
) | {("access", "authentication")}

_SILENT = frozenset({"tls", "database_url"})
"""Not to be shown."""


def restart_findings(before: Settings, after: Settings) -> Iterator[Finding]:
    """One for each field that has changed and is read at start only."""
    for keys in changed_fields(before, after):
        if keys in NEED_RESTART:
            value = getattr(getattr(after, str(keys[0])), str(keys[1]))
            shown = None if keys[1] in _SILENT else str(value)
            yield warning(keys, "takes effect at the next start", "restart the server", value=shown)
