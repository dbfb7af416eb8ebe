"""Which release this is, and when it was built, as far as that is known."""

from datetime import UTC, datetime
from importlib import metadata

from deltaglider_proxy.config.environment import process_environment


def line() -> str:
    return f"deltaglider_proxy {metadata.version('deltaglider-proxy')} (built {_built()})"


def _built() -> str:
    """Builders of reproducible packages name their time in SOURCE_DATE_EPOCH."""
    epoch = process_environment().get("SOURCE_DATE_EPOCH", "")
    if not epoch.isascii() or not epoch.isdigit() or len(epoch) > 11:
        return "unknown"
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
