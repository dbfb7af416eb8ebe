"""What the operator decides about the admin API; the server maps the configuration to this."""

from dataclasses import dataclass

PREFIX = "/_/api/"


@dataclass(frozen=True, slots=True)
class AdminSettings:
    version: str
    secure_cookies: bool = True
    session_seconds: float = 4 * 3600.0
    idle_seconds: float = 3600.0
    """0: sessions end at their time only."""
    cors_permissive: bool = False
    endpoint: str = ""
    """Where browsers find the S3 API, if that is not where they found this page."""
    max_body: int = 2 << 20
    """Bytes of a request."""
