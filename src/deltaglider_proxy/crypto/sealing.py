"""Secrets at rest: AES-256-GCM under a data key that itself is kept only wrapped.

What is sealed is bound to its place (table, row, column), so that a sealed value moved elsewhere does not open. Source:
NIST SP 800-38D; keys are derived by HKDF (RFC 5869), because what they are derived from is no human's password but a
bcrypt hash or a key file.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from typing_extensions import override

_NONCE: Final = 12
KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
_VERSION: Final = b"\x01"


class CannotUnseal(Exception):
    """The key is another one, or the value was changed or moved."""


class Sealer:
    """Seals and opens under one data key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)

    def seal(self, text: str, place: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())

    def unseal(self, sealed: bytes, place: str) -> str:
        """Raises CannotUnseal."""
        if sealed[:1] != _VERSION:
            raise CannotUnseal(f"{place}: sealed by another version")
        nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._cipher.decrypt(nonce, body, place.encode()).decode()
        except (InvalidTag, ValueError):  # the latter for what is too short, or no text
            raise CannotUnseal(f"{place}: cannot be opened") from None

    def derived_key(self, purpose: str) -> bytes:
        """32 bytes for something else than sealing."""
        return derive(self._key, b"", purpose)

    def wrapped(self, wrapping: bytes) -> bytes:
        """The data key under another key."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + AESGCM(wrapping).encrypt(nonce, self._key, b"data key")

    @override
    def __repr__(self) -> str:
        return "Sealer()"


def new_sealer() -> Sealer:
    return Sealer(os.urandom(KEY_BYTES))


def unwrap(wrapped: bytes, wrapping: bytes) -> Sealer:
    """Raises CannotUnseal."""
    nonce, body = wrapped[1 : 1 + _NONCE], wrapped[1 + _NONCE :]
    try:
        return Sealer(AESGCM(wrapping).decrypt(nonce, body, b"data key"))
    except (InvalidTag, ValueError):
        raise CannotUnseal("the data key cannot be opened") from None


def derive(secret: bytes, salt: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, purpose.encode()).derive(secret)


class Sealed:
    """A secret that is opened when it is first needed."""

    __slots__ = ("_place", "_sealed", "_sealer", "_text")

    def __init__(self, sealer: Sealer, sealed: bytes, place: str) -> None:
        self._sealer = sealer
        self._sealed = sealed
        self._place = place
        self._text: str | None = None

    def reveal(self) -> str:
        """Raises CannotUnseal."""
        if self._text is None:
            self._text = self._sealer.unseal(self._sealed, self._place)
        return self._text

    @override
    def __repr__(self) -> str:
        return "Sealed()"
