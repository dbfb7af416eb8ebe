"""The facts of one request that conditions look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Fact = str | float | IPv4Address | IPv6Address | None


@dataclass(slots=True)
class Context:
    """Made for every request, so it is not frozen, which would cost three times as much; nobody changes it."""

    now: float
    """Seconds since the epoch."""
    source_ip: IPv4Address | IPv6Address | None = None
    secure: bool = False
    """The client speaks TLS, as far as this process can tell."""
    user_agent: str = ""
    username: str = ""
    signature_version: str = ""
    auth_type: str = ""
    prefix: str | None = None
    """Decoded. This and what follows count for `list` only, whatever parameters a client gives to other requests."""
    delimiter: str | None = None
    max_keys: str | None = None


FACTS: Mapping[str, Callable[[Context], Fact]] = {
    "aws:sourceip": lambda context: context.source_ip,
    "aws:securetransport": lambda context: "true" if context.secure else "false",
    "aws:currenttime": lambda context: context.now,
    "aws:epochtime": lambda context: context.now,
    "aws:useragent": lambda context: context.user_agent or None,
    "aws:username": lambda context: context.username or None,
    "s3:prefix": lambda context: context.prefix,
    "s3:delimiter": lambda context: context.delimiter,
    "s3:max-keys": lambda context: context.max_keys,
    "s3:signatureversion": lambda context: context.signature_version or None,
    "s3:authtype": lambda context: context.auth_type or None,
}
"""By the lower-case name of the condition key, whose case does not matter; None: there is no such fact."""

PREFIX_KEY = "s3:prefix"
LISTING_KEYS = frozenset({PREFIX_KEY, "s3:delimiter", "s3:max-keys"})
"""Facts of listings. Other actions lack them: a client chooses them, and would choose what a rule asks for."""

KEY_NAMES = (
    "aws:SourceIp",
    "aws:SecureTransport",
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:UserAgent",
    "aws:username",
    "s3:prefix",
    "s3:delimiter",
    "s3:max-keys",
    "s3:signatureversion",
    "s3:authType",
)
"""As documented, for messages."""
