"""Who acts. There is one administrator, or, in open mode, everyone is one; users and groups come beside it."""

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Role(Enum):
    ANONYMOUS = "anonymous"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Identity:
    name: str
    role: Role


ANONYMOUS = Identity("$anonymous", Role.ANONYMOUS)
BOOTSTRAP = Identity("$bootstrap", Role.ADMINISTRATOR)
OPEN = Identity("$open", Role.ADMINISTRATOR)


class Credentials(Protocol):
    def secret_for(self, access_key: str) -> bytes | None:
        """The secret of a key; None for a key that nobody has. Raises AccessError for one that is disabled."""
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

    def secret_for(self, access_key: str) -> bytes | None:
        given = hashlib.sha256(access_key.encode()).digest()
        return self._secret if hmac.compare_digest(given, self._key_hash) else None

    def identity_for(self, access_key: str) -> Identity:
        del access_key  # verified, so it is the only one
        return self._identity
