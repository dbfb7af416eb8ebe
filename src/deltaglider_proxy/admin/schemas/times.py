"""Times as the admin API shows them."""

from datetime import UTC, datetime


def sql_time(at: float) -> str:
    """`2026-01-31 12:00:00`, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
