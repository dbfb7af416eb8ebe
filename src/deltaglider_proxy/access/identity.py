"""Who acts, with the rules that say what they may do; and where secrets come from to find out."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol

from deltaglider_proxy.access.policy.rules import EVERYTHING, NOTHING, Rules


@dataclass(frozen=True, slots=True)
class Identity:
    name: str
    """Of a user, or one of the reserved names that begin with `$`."""
    rules: Rules
    access_key_id: str = ""
    """The key that signed; empty where nothing was."""
    user_id: int | None = None
    anonymous: bool = False


ANONYMOUS = Identity("$anonymous", NOTHING, anonymous=True)
BOOTSTRAP = Identity("$bootstrap", EVERYTHING)
OPEN = Identity("$open", EVERYTHING)


class Credentials(Protocol):
    def secret_for(self, access_key: str, now: float) -> bytes | None:
        """The secret of a key; None for a key that nobody has. Raises AccessError for one that is disabled or has
        expired; `now` in seconds since the epoch.
        """
        ...

    def identity_for(self, access_key: str) -> Identity:
        """Whose key it is; asked only for keys whose signature was verified."""
        ...


class StaticCredentials:
    """One key pair. Keys are compared by hash, so the time of a look-up says nothing about the key."""

    def __init__(self, access_key: str, secret: bytes, identity: Identity = BOOTSTRAP) -> None:
        self._key_hash = hashlib.sha256(access_key.encode()).digest()
        self._secret = secret
        self._identity = identity

    def secret_for(self, access_key: str, now: float) -> bytes | None:
        del now  # it does not expire
        given = hashlib.sha256(access_key.encode()).digest()
        return self._secret if hmac.compare_digest(given, self._key_hash) else None

    def identity_for(self, access_key: str) -> Identity:
        del access_key  # verified, so it is the only one
        return self._identity
