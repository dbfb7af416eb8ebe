"""Whether requests must be signed: decided once, from key pair and mode, and never by leaving something out."""

from dataclasses import dataclass

from deltaglider_proxy.config.access import Access
from deltaglider_proxy.config.secret import Secret


@dataclass(frozen=True, slots=True)
class SignedRequests:
    """Every request is signed with this pair, or with one of a user."""

    access_key_id: str
    secret_access_key: Secret
    overrides_open_access: bool
    """`authentication: none` is set too, and has no effect."""


@dataclass(frozen=True, slots=True)
class OpenAccess:
    """Everyone may do everything, as configured."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Neither was configured; the server must not start."""

    reason: str


AuthState = SignedRequests | OpenAccess | Undecided

_REMEDY = (
    "set DGP_ACCESS_KEY_ID and DGP_SECRET_ACCESS_KEY (or access.access_key_id and access.secret_access_key), "
    "or allow everyone with DGP_AUTHENTICATION=none (or access.authentication: none)"
)


def classify(access: Access) -> AuthState:
    """An empty key counts as none, and so does half a pair."""
    mode = access.authentication.strip() if access.authentication is not None else ""
    is_open = mode.lower() == "none"
    if access.access_key_id and access.secret_access_key:
        return SignedRequests(access.access_key_id, access.secret_access_key, is_open)
    if is_open:
        return OpenAccess()
    if mode:
        return Undecided(f"authentication is {mode!r}, but the only mode is `none`; {_REMEDY}")
    if access.access_key_id or access.secret_access_key:
        return Undecided(f"only half a key pair is configured; {_REMEDY}")
    return Undecided(f"neither a key pair nor open access is configured; {_REMEDY}")
