"""Why a request was not let in. S3 codes and metrics are other layers' words; this is what they are made from."""

from enum import StrEnum

NO_SUCH_KEY = "The AWS Access Key Id you provided does not exist in our records."
"""Said of keys that are disabled too."""


class Reason(StrEnum):
    """Each reason says which metric label it counts under; an empty label: not a failure to authenticate."""

    metric: str

    def __new__(cls, value: str, metric: str) -> "Reason":
        member = str.__new__(cls, value)
        member._value_ = value
        member.metric = metric
        return member

    SEVERAL_SCHEMES = "several_schemes", "missing_header"
    """The request carries a signature in its header and another in its query."""
    UNSUPPORTED_SCHEME = "unsupported_scheme", "missing_header"
    """Signature version 2, or no AWS scheme at all."""
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm", "missing_header"
    """A known AWS algorithm that is not implemented."""
    MALFORMED_HEADER = "malformed_header", "missing_header"
    MALFORMED_QUERY = "malformed_query", "invalid_presigned"
    MALFORMED_FORM = "malformed_form", "form_post_denied"
    MISSING_HEADER = "missing_header", "missing_header"
    """A header that a signed request needs is not there."""
    SECURITY_TOKEN = "security_token", "invalid_access_key"
    """The request has a session token, and none were ever issued."""
    UNKNOWN_KEY = "unknown_key", "invalid_access_key"
    DISABLED_KEY = "disabled_key", "user_disabled"
    SKEWED = "skewed", "invalid_signature"
    EXPIRED = "expired", "invalid_presigned"
    UNSIGNED_HEADER = "unsigned_header", "invalid_signature"
    """A header that changes what the request means is not covered by the signature."""
    BAD_SIGNATURE = "bad_signature", "invalid_signature"
    INCOMPLETE_FORM = "incomplete_form", "form_post_denied"
    """A form without the fields of a signed policy."""
    REPLAYED = "replayed", "replay"
    CROWDED = "crowded", ""
    """The signature is good, and whether it is a replay could not be remembered."""
    LOCKED_OUT = "locked_out", ""
    """Nobody looked at the signature: too many from there were wrong."""
    DENIED = "denied", ""
    """Known, and not allowed."""
    BLOCKED = "blocked", ""
    """A rule of the operator refused it before anyone asked who it was."""
    LOCKED_DATABASE = "locked_database", ""
    """Nobody can be known."""
    MAINTENANCE = "maintenance", ""
    """Nothing may be changed for now."""


GUESSES = frozenset(
    {
        Reason.SEVERAL_SCHEMES,
        Reason.UNSUPPORTED_SCHEME,
        Reason.UNSUPPORTED_ALGORITHM,
        Reason.MALFORMED_HEADER,
        Reason.MALFORMED_QUERY,
        Reason.MALFORMED_FORM,
        Reason.MISSING_HEADER,
        Reason.SECURITY_TOKEN,
        Reason.UNKNOWN_KEY,
        Reason.DISABLED_KEY,
        Reason.UNSIGNED_HEADER,
        Reason.BAD_SIGNATURE,
        Reason.INCOMPLETE_FORM,
    }
)
"""What somebody is told who tries keys and secrets. A link that has expired and a clock that is off are honest."""


class AccessError(Exception):
    """`details` are the facts that help a client to find its mistake: names of S3's error fields, and no secrets.

    `delay`: seconds that the answer should be held back; `retry_after`: after how many another attempt makes sense;
    `denied`: the action, bucket and key that were not allowed.
    """

    delay = 0.0
    retry_after: float | None = None
    denied: tuple[str, str, str] | None = None
    block = ""
    """Name of the admission block."""
    user = ""
    """Whose request it was, where that is known."""

    def __init__(self, reason: Reason, message: str, details: dict[str, str] | None = None) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.details = details or {}
